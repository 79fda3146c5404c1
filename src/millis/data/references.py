"""References: what a task reads from tables beside the texts."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from millis.data.classes import Tables
from millis.data.columns import Columns
from millis.data.dataset import Split


class Read(NamedTuple):
    """What tables hold: names as `Dataset` has them, and the splits that have references."""

    names: Mapping[str, tuple[str, ...]]
    splits: dict[str, Split]


class References(Protocol):
    """How a task's columns become references. Equal ones read alike, so what was read can be kept under them."""

    def __hash__(self) -> int: ...

    def read(
        self,
        name: str,
        tables: Tables,
        columns: Columns,
        given: Sequence[str] | None,
        drop: bool,
        notes: list[str],
    ) -> Read:
        """The references of every row.

        Args:
            name: Of the data set.
            tables: Of each split; `train` has one.
            columns: Which columns hold what.
            given: Names by index that the source gives, such as those in `labels.txt`.
            drop: Whether rows without a reference, or with one that no training row has, are left out.
            notes: What was decided is added here.

        Raises:
            MillisError: an empty split, a missing column, or a reference that is missing, unknown or unseen.
        """
        ...

    def stratum(self, reference: Any) -> Hashable:
        """A split that is cut from training keeps the share of each."""
        ...
