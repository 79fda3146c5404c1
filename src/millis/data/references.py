"""References: what a task reads from tables beside the texts, and which logits each of them is about."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, get_args

from numpy.typing import NDArray

from millis.data.classes import Tables
from millis.data.columns import Columns
from millis.data.dataset import Split
from millis.types import Text

Unseen: TypeAlias = Literal["error", "drop", "keep"]
UNSEEN: tuple[Unseen, ...] = get_args(Unseen)
IGNORED = -100  # a target at which nothing is learned and nothing judged


class Source(NamedTuple):
    """What a data set is read from.

    Args:
        name: Of the data set.
        tables: Of each split; `train` has one.
        columns: Which columns hold what.
        given: Names by index that the source gives, such as those in `labels.txt`.
        unseen: Whether rows without a reference, or with one that no training row has, are refused or left out, or the
            latter kept.
        notes: What is decided is added here.
    """

    name: str
    tables: Tables
    columns: Columns
    given: Sequence[str] | None
    unseen: Unseen
    notes: list[str]


class Read(NamedTuple):
    """What tables hold: names as `Dataset` has them, and the splits that have references."""

    names: Mapping[str, tuple[str, ...]]
    splits: dict[str, Split]


class Learned(Protocol):
    """What models learn of texts and their references.

    Args:
        reads_offsets: Whether `targets` has to know where in the text each token stands.
    """

    @property
    def reads_offsets(self) -> bool: ...

    def spelled(self, texts: Sequence[Text], references: Sequence[Any]) -> Sequence[Text]:
        """What a model reads to learn, [N]: the texts (`TextsAlone`), or pairs of them and what is to be written."""
        ...

    def targets(
        self, texts: Sequence[Text], references: Sequence[Any], encodings: Sequence[Any]
    ) -> tuple[NDArray[Any], ...]:
        """What is learned of some texts: categories at positions.

        Where they stand depends on the text alone, not on the reference.

        Args:
            encodings: Each text's tokens.

        Returns:
            An array for each output of the task. Of one category: integers, per text [N], per token those of all texts
            end to end, [tokens], with `IGNORED` at tokens that are not asked about. Of several: truth values, [N, C].
            Of a number: float32, [N].
        """
        ...


class References(Learned, Protocol):
    """How a task's columns become references. Equal ones read alike, so what was read can be kept under them."""

    def __hash__(self) -> int: ...

    def read(self, source: Source) -> Read:
        """The references of every row.

        Raises:
            MillisError: an empty split, a missing column, or a reference that is missing, unknown or unseen.
        """
        ...

    def stratum(self, reference: Any) -> Hashable:
        """A split that is cut from training keeps the share of each."""
        ...

    def group(self, reference: Any) -> Hashable:
        """Rows of one group stay in one split; None stands for itself."""
        ...

    def unanswered(self, text: Text) -> Any:
        """A stand-in for the reference of a text that has none."""
        ...

    def answered(self, text: Text, categories: Any, encoding: Any) -> Any:
        """The reference of a text that has none, from what a model says.

        Args:
            categories: The likeliest at each of the text's positions, as `millis.data.positions.likeliest` has them.
            encoding: The text's tokens, where `reads_offsets`.
        """
        ...


class TextsAlone:
    """References that no model reads."""

    def spelled(self, texts: Sequence[Text], references: Sequence[Any]) -> Sequence[Text]:
        """The texts."""
        return texts


def together(references: Sequence[Any], group: Callable[[Any], Hashable]) -> list[list[int]]:
    """Rows [N] by their groups, both in the order in which they come; a row without a group by itself."""
    found: dict[Hashable, list[int]] = {}
    for row, reference in enumerate(references):
        key = group(reference)
        found.setdefault((row,) if key is None else (None, key), []).append(row)
    return list(found.values())
