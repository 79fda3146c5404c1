"""The data of a virtual assistant: a folder that `millis build app=virtual_assistant data.path=FOLDER` reads.

train.jsonl, validation.jsonl, test.jsonl    `text`, `label` (an intent or `out_of_scope`) and `slots`: a tag for each
                                             word, `O`, `B-slot` or `I-slot`, divided by blanks
commands.jsonl   `intent`, and where wanted `needs` (slots) and `asks` (what is said where one is missing); the
                 intent `unknown` has in `asks` what is said where nothing was understood
types.jsonl      may be there: `slot` and `type` (`date`, `duration`, `number`); others are text
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from millis.applications.lines import Said, lines
from millis.applications.scope import OUTSIDE
from millis.applications.tables import SPLITS
from millis.applications.virtual_assistant.answering import Command
from millis.applications.virtual_assistant.arguments import Type
from millis.errors import MillisError

COMMANDS, TYPES = "commands.jsonl", "types.jsonl"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Message:
    """A row of a split."""

    text: Said
    label: str
    slots: str

    @property
    def row(self) -> dict[str, Any]:
        """As it is judged."""
        return vars(self)


@dataclass(frozen=True)
class _Command:
    intent: str
    needs: list[str] = field(default_factory=list)
    asks: str = ""


@dataclass(frozen=True)
class _Typed:
    slot: str
    type: Type


def messages(corpus: Path, split: str) -> list[Message]:
    """The rows of a split.

    Raises:
        MillisError: a row that has not as many tags as words.
    """
    found = []
    for place, row in lines(corpus / f"{split}.jsonl", Message):
        if len(row.text.split()) != len(row.slots.split()):
            words, tags = len(row.text.split()), len(row.slots.split())
            raise MillisError(f"{place}: {words} words have {tags} tags in slots; expected one for each")
        found.append(row)
    return found


def commands_of(corpus: Path) -> tuple[dict[str, Command], str]:
    """Intent → command; what is said where nothing was understood.

    Raises:
        MillisError: the latter is missing, or a command has the name of what is out of scope.
    """
    found = {}
    for place, row in lines(corpus / COMMANDS, _Command):
        if row.intent in OUTSIDE:
            raise MillisError(f"{place}: {row.intent!r} is no command, for it is what is out of scope: leave it out")
        found[row.intent] = Command(row.needs, row.asks)
    unknown = found.pop(UNKNOWN, None)
    if unknown is None:
        raise MillisError(f"{corpus / COMMANDS} does not say what is answered for {UNKNOWN!r}: add a line for it")
    return found, unknown.asks


def types_of(corpus: Path) -> dict[str, Type]:
    """Slot → type."""
    path = corpus / TYPES
    return {row.slot: row.type for _, row in lines(path, _Typed)} if path.exists() else {}


def check(corpus: Path) -> None:
    """Refuse what is not laid out so.

    Raises:
        MillisError: the file and what is wrong.
    """
    commands = commands_of(corpus)[0]
    types_of(corpus)
    for split in SPLITS:
        rows = messages(corpus, split)
        if not rows:
            raise MillisError(f"{corpus / split}.jsonl has no rows")
        for row in rows:
            if row.label not in (*commands, *OUTSIDE):
                raise MillisError(
                    f"{corpus / split}.jsonl: {row.text[:60]!r} has the label {row.label!r}, which {COMMANDS} lacks"
                )
        outside = [row.label in OUTSIDE for row in rows]
        if split != "train" and all(outside):
            raise MillisError(f"{corpus / split}.jsonl has no row that is a command: thresholds and measures need some")
        if split == "test" and not any(outside):
            raise MillisError(f"{corpus / split}.jsonl has no row that is out of scope: measures need some")
