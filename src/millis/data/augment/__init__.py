"""Augmentation for distillation: extra texts without labels, which the teacher answers and the student learns from.

A student learns its teacher where it sees it answer, and some thousand labelled texts show little of it (TinyBERT, Jiao
et al. 2020, 1909.10351, distils on twenty times its data). What was changed may no longer mean what its label says, so
extra texts have none: their target is the teacher's output.

A way of changing texts is one file here and one YAML in `conf/augmentation/`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from millis.errors import MillisError
from millis.traits import TEACHES, Traits
from millis.types import Text

Change: TypeAlias = Callable[[int, np.random.Generator], Text]
"""A row's number in, its text changed; what is drawn comes from the generator alone."""


class Method(Protocol):
    """One way of changing texts."""

    def over(self, texts: Sequence[Text], tokenizer: Tokenizer, table: NDArray[np.float32]) -> Change:
        """Prepare to change `texts`.

        Args:
            texts: Of the training split, all single or all pairs.
            tokenizer: The teacher's.
            table: The teacher's word table, [V, D].
        """
        ...


def none() -> None:
    """No extra texts: what `conf/augmentation/none.yaml` asks for."""


@dataclass(frozen=True)
class Augmentation:
    """Extra texts for each text, the methods taking turns.

    Args:
        methods: Ways of changing a text; copy k of each row takes method k modulo their number.
        copies: Extra texts for each text.
        seed: Of all that is drawn. Each row and copy has a generator of its own, so a row's extra texts do not depend
            on the others' number.

    Raises:
        MillisError: no method, or no copies.
    """

    methods: Sequence[Method]
    copies: int = 4
    seed: int = 0
    traits: ClassVar[Traits] = (TEACHES,)

    def __post_init__(self) -> None:
        if not self.methods:
            raise MillisError("augmentation.methods is empty: give some, or choose augmentation=none")
        if self.copies < 1:
            raise MillisError(f"augmentation.copies={self.copies}: expected at least 1; augmentation=none adds no text")

    def __call__(self, texts: Sequence[Text], tokenizer: Tokenizer, table: NDArray[np.float32]) -> list[Text]:
        """At most `copies` extra texts for each of `texts`, row by row; those that occur already are left out.

        Args:
            texts: Of the training split.
            tokenizer: The teacher's; left as it is.
            table: The teacher's word table, [V, D].
        """
        plain = Tokenizer.from_str(tokenizer.to_str())  # the caller's keeps its own settings
        plain.no_truncation()
        plain.no_padding()
        changes = [method.over(texts, plain, table) for method in self.methods]
        made = (
            changes[copy % len(changes)](row, np.random.default_rng((self.seed, row, copy)))
            for row in range(len(texts))
            for copy in range(self.copies)
        )
        seen = set(texts)
        extra: dict[Text, None] = dict.fromkeys(text for text in made if text not in seen)
        return list(extra)


def each_part(text: Text, change: Callable[[str], str]) -> Text:
    """`change` on a text, or on both texts of a pair."""
    return change(text) if isinstance(text, str) else (change(text[0]), change(text[1]))


def check_share(option: str, share: float) -> None:
    """Refuse what is no share.

    Raises:
        MillisError: outside (0, 1].
    """
    if not 0 < share <= 1:
        raise MillisError(f"{option}={share}: expected a share above 0 and up to 1")


def stripped(text: str, span: tuple[int, int]) -> tuple[int, int]:
    """The span without the space that byte-level tokenizers count to the word after it."""
    piece = text[span[0] : span[1]]
    return span[0] + len(piece) - len(piece.lstrip()), span[1] - len(piece) + len(piece.rstrip())


def special_tokens(tokenizer: Tokenizer) -> set[str]:
    """Texts that the tokenizer reads as special tokens wherever they stand, such as `[SEP]`."""
    return {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}


def drawn(count: int, share: float, generator: np.random.Generator) -> Any:
    """`share` of `count` places, at least one where there is any, without repetition, ascending."""
    wanted = min(count, max(1, round(share * count)))
    return sorted(generator.choice(count, wanted, replace=False).tolist()) if count else []
