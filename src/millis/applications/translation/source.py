"""What can be translated of a text that is sent: sentences in the language, of which there has to be one."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from millis.applications.translation.layout import Piece, pieces
from millis.applications.translation.scripts import script, share
from millis.errors import MillisError

NATIVE = 0.5  # share of a sentence's letters from which on it is one of the language
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_UNREADABLE, _BROKEN = 0.1, "\ufffd"


@dataclass(frozen=True)
class Source:
    """The language that is read.

    Args:
        language: As ISO 639-1 has it.
        scripts: That it is written in (`scripts.py`).
        most_characters: Of a text.
    """

    language: str
    scripts: Sequence[str]
    most_characters: int

    @cached_property
    def word(self) -> str:
        """The first letter of its scripts and a blank: of the language, as far as a server that warms it has to
        know."""
        letters = (chr(code) for code in range(ord("A"), sys.maxunicode) if chr(code).isalpha())
        return f"{next(letter for letter in letters if script(letter) in self.scripts)} "

    def read(self, text: str) -> tuple[list[Piece], str]:
        """The sentences of a text, and what stands behind the last.

        Raises:
            MillisError: too many characters, or some that no text has.
        """
        if len(text) > self.most_characters:
            raise MillisError(
                f"the text has {len(text)} characters: expected at most {self.most_characters} at once. Send it in "
                "parts"
            )
        if (strange := _NO_TEXT.search(text)) is not None:
            place, code = strange.start(), ord(strange.group())
            raise MillisError(f"character {place} of the text is U+{code:04X}, which no text has: expected words")
        if text.count(_BROKEN) > _UNREADABLE * len(text):
            raise MillisError("the text was decoded from something else than UTF-8: expected words")
        return pieces(text, self.language)

    def foreign(self, found: Sequence[Piece]) -> list[bool]:
        """Of each sentence of a text, whether it is not in the language.

        Raises:
            MillisError: none is.
        """
        foreign = [share(piece.text, self.scripts) < NATIVE for piece in found]
        if foreign and all(foreign):
            raise MillisError(
                f"no sentence of the text is in {self.language!r}, which is translated here (letters: "
                f"{', '.join(self.scripts)})"
            )
        return foreign

    def check(self, text: str) -> None:
        """Refuse what is not translated.

        Raises:
            MillisError: as `read` and `foreign`.
        """
        self.foreign(self.read(text)[0])
