"""Sequence-level distillation: each training text once more, answered by what the teacher writes (Kim and Rush 2016,
1606.07947).

Of all that is right for a text, a corpus has one, and a small model that is to learn them all learns none of them well.
What the teacher writes is simpler and says the same in the same way, and is where the teacher has its own probability.
The paper learns those texts alone; here they stand beside the corpus' own, which may be better than the teacher's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from millis.errors import MillisError
from millis.models.outputs import replies
from millis.traits import TEACHES, Traits
from millis.types import Output, Text


@dataclass(frozen=True)
class SequenceLevel:
    """The training texts themselves: as with all further texts, their answers are the teacher's."""

    traits: ClassVar[Traits] = (TEACHES,)

    @staticmethod
    def check_outputs(outputs: Sequence[Output]) -> None:
        """Refuse answers that are not written.

        Raises:
            MillisError: not a text that is written for a text.
        """
        if not replies(outputs):
            raise MillisError(
                "augmentation=sequence_level has the teacher write an answer for each training text, such as its "
                "translation, and this task's models write none: choose augmentation=none"
            )

    def __call__(self, texts: Sequence[Text], tokenizer: Tokenizer, table: NDArray[np.float32]) -> list[Text]:
        """Each of `texts` once; tokenizer and word table are not read."""
        return list(dict.fromkeys(texts))
