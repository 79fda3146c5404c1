"""What metrics know of the labels, and what every metric reads: label indices, checked once, before any arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
from msgspec import Meta
from numpy.typing import ArrayLike, NDArray

from millis.errors import MillisError
from millis.schema import Count
from millis.units import Better

MOST = 2**16  # classes: sums over 1,000 resamples take 2 · 8 · 1,000 bytes each, so 1 GB
Classes = Annotated[int, Meta(ge=1, le=MOST)]
"""C, where statistics have columns for each class; a file cannot ask for more memory than that."""
Kind: TypeAlias = Literal["label", "labels", "number", "tags", "label and tags", "scores", "likelihood", "written"]
"""What an answer is: the index of a label, a tuple of the indices of several, a number, a tuple with the index of each
word's tag, a tuple of a label and such a tuple, a tuple with the score of each of a query's candidates, how likely a
text is as (nats, tokens, bytes), or a text."""
LABEL: tuple[Kind, ...] = ("label",)
OUT_OF_SCOPE = ("oos", "out_of_scope")
"""Names that data sets give to the label of texts that belong to no other label."""


@dataclass(frozen=True)
class OverClasses:
    """What metrics in percent that take each class for itself have to know.

    Args:
        classes: C.
    """

    classes: Classes
    judges: ClassVar[tuple[Kind, ...]] = LABEL
    better: ClassVar[Better] = "higher"
    unit: ClassVar[str] = "%"

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """Over `labels`.

        Raises:
            MillisError: none, or more than statistics have columns for.
        """
        if not 1 <= len(labels) <= MOST:
            raise MillisError(
                f"got {len(labels):,} labels; this metric takes each class for itself and needs 1 to {MOST:,}. "
                "Choose another metric such as 'accuracy'"
            )
        return cls(len(labels))


@dataclass(frozen=True)
class OverScope:
    """What metrics in percent that tell texts of no intent from others have to know.

    Args:
        out_of_scope: Index of the out-of-scope label.
    """

    out_of_scope: Count
    judges: ClassVar[tuple[Kind, ...]] = LABEL
    better: ClassVar[Better] = "higher"
    unit: ClassVar[str] = "%"

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """Over `labels`.

        Raises:
            MillisError: no label is named as the out-of-scope one.
        """
        for index, label in enumerate(labels):
            if label in OUT_OF_SCOPE:
                return cls(index)
        shown = ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
        raise MillisError(
            f"got the labels [{shown}]; this metric needs one named {' or '.join(map(repr, OUT_OF_SCOPE))}. "
            "Rename the out-of-scope label in the data, or choose another metric such as 'accuracy'"
        )


def checked(
    predictions: ArrayLike, references: ArrayLike, labels: Sequence[str] = ()
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both as int64 [N].

    Raises:
        MillisError: empty, of unequal lengths, not integers in one dimension, or beyond `labels` where those are given.
    """
    predicted = _indices("predictions", predictions, labels)
    actual = _indices("references", references, labels)
    if len(predicted) != len(actual):
        raise MillisError(
            f"got {len(predicted)} predictions for {len(actual)} references; expected as many of one as of the other. "
            "Predict every text of the split, in order"
        )
    return predicted, actual


def numbered(*indices: ArrayLike) -> tuple[str, ...]:
    """Names for labels that nobody named, their numbers: as many as the largest of `indices`, lists [N], asks for."""
    highest = max((int(np.max(values)) for values in indices if np.size(values)), default=0)
    return tuple(map(str, range(min(highest, MOST) + 1)))


def indicators(answers: NDArray[Any], classes: int) -> NDArray[np.float64]:
    """Which classes each item has: one, or those of a tuple, [N] → [N, C].

    Raises:
        MillisError: an index beyond the classes.
    """
    if answers.dtype != object:
        return one_hot(answers, classes)
    rows = np.repeat(np.arange(len(answers)), [len(answer) for answer in answers])
    columns = np.zeros((len(answers), classes))
    np.maximum.at(columns, rows, one_hot(np.array([one for answer in answers for one in answer], np.int64), classes))
    return columns


def one_hot(indices: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """1 in the column of each item's class, [N] → [N, C].

    Raises:
        MillisError: an index beyond the classes.
    """
    if len(indices) and not 0 <= indices.min() <= indices.max() < classes:
        raise MillisError(
            f"got label indices {indices.min()}..{indices.max()}; expected 0..{classes - 1}, for the metric is over "
            f"{classes} classes. Judge answers by the labels they were made for"
        )
    columns = np.zeros((len(indices), classes))
    columns[np.arange(len(indices)), indices] = 1
    return columns


def _indices(what: str, values: ArrayLike, labels: Sequence[str]) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.size == 0:
        raise MillisError(f"got no {what}; expected one label index a text. Is the split empty?")
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise MillisError(
            f"got {what} of shape {array.shape} and type {array.dtype}; expected one whole number a text, [N]. "
            "Pass label indices (the argmax of the logits), not label names or scores"
        )
    lowest, highest = int(array.min()), int(array.max())
    if lowest < 0 or (labels and highest >= len(labels)):
        wrong = lowest if lowest < 0 else highest
        valid = f"0..{len(labels) - 1}" if labels else "0 or above"
        raise MillisError(f"got {wrong} among the {what}; expected label indices {valid}. Check the label column")
    return array.astype(np.int64, copy=False)
