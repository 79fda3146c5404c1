"""What metrics of texts share: what is right may be several texts, and packages count what answers have of them.

The packages are those that the field reports with, so a corpus is worth here what it is worth in a paper. They are
asked about one item at a time, and what they count is kept: bootstraps, comparisons and reports ask for it again.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.metrics._labels import Kind
from millis.metrics.contract import Items
from millis.units import Better

KEPT = 2**16  # items whose counts are kept, the last ones asked for: 18 numbers each, so 20 MB
Counted: TypeAlias = tuple[float, ...]


@dataclass(frozen=True)
class OverTexts:
    """A metric of texts.

    Args:
        package: What counts, from the extra `text`.
        columns: K, the statistics of an item.
    """

    judges: ClassVar[tuple[Kind, ...]] = ("written",)
    better: ClassVar[Better] = "higher"
    unit: ClassVar[str]
    package: ClassVar[str]
    columns: ClassVar[int]

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """Over texts, which have no names.

        Raises:
            MillisError: the package that counts is not installed.
        """
        if find_spec(cls.package) is None:
            raise cls.missing()
        return cls()

    @classmethod
    def missing(cls) -> MillisError:
        """What to do where the package is not installed."""
        return MillisError(f"texts are judged with {cls.package}, which is not installed: pip install 'millis[text]'")

    @abstractmethod
    def counted(self, answer: str, right: tuple[str, ...]) -> Counted:
        """Statistics of an item, [K]."""

    def statistics(self, answers: Items, references: Items) -> NDArray[np.float64]:
        """Of each item, [N, K].

        Args:
            answers: Texts, [N].
            references: Of each item a text, or several in a tuple, [N].

        Raises:
            MillisError: something else than texts, or the package that counts is not installed.
        """
        rows = np.zeros((len(references), self.columns))
        try:
            for row, answer, reference in zip(rows, answers, references, strict=True):
                row[:] = self.counted(_text(answer), _texts(reference))
        except ImportError as error:
            raise self.missing() from error
        return rows


def _text(answer: Any) -> str:
    if not isinstance(answer, str):
        raise MillisError(f"got {answer!r} as an answer; expected a text, for the metric judges what was written")
    return answer


def _texts(reference: Any) -> tuple[str, ...]:
    texts = (reference,) if isinstance(reference, str) else reference
    if not isinstance(texts, tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise MillisError(
            f"got {reference!r} as a reference; expected a text, or several in a tuple, for the metric judges what was "
            "written"
        )
    return texts
