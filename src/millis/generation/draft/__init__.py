"""Draft: what guesses the next tokens, so that several are read at once. One file each; the contract.

Reading K tokens at once costs less than reading them one by one, as long as weights take longer to be read than to be
multiplied. Guesses change nothing but the time: see `millis.generation.writing.Drafting`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.generation.writing import Drafter
from millis.types import Decoder


@dataclass(frozen=True)
class Draft(ABC):
    """How tokens are guessed.

    Args:
        tokens: Most guesses that are read at once.

    Raises:
        MillisError: fewer than one.
    """

    asks_a_model: ClassVar[bool] = False

    tokens: int

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise MillisError(
                f"generation.draft.tokens={self.tokens}: expected 1 or more; for none choose generation/draft=none"
            )

    def check(self, smaller: Decoder | None) -> None:
        """Refuse a model that nobody asks, or none where one is asked.

        Raises:
            MillisError: what to do about it.
        """
        if smaller is None and self.asks_a_model:
            raise MillisError(
                f"generation.draft is {type(self).__name__}, and there is no smaller model: give one of the same "
                "vocabulary, or choose generation/draft=lookup, which needs none"
            )
        if smaller is not None and not self.asks_a_model:
            raise unused(type(self).__name__)

    @abstractmethod
    def drafter(self, prompt: NDArray[np.int64], room: int, size: int, smaller: Decoder | None) -> Drafter:
        """What guesses in one text.

        Args:
            prompt: [S]
            room: Most tokens that are read of the prompt and of what is written.
            size: V of the decoder that writes.
            smaller: The decoder that guesses, where one is asked.
        """


def none() -> None:
    """Nothing is guessed: tokens are read one by one."""


def unused(draft: str) -> MillisError:
    """What is raised where a smaller model is given that `draft` does not ask."""
    return MillisError(
        f"got a smaller model, which generation.draft, {draft}, does not ask: give none, or choose "
        "generation/draft=smaller_model"
    )
