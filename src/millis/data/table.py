"""Table: the rows of one file, or of one split of the Hub, whatever format they lie in."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from millis.errors import MillisError

Cells = tuple[Any, ...]


@dataclass(frozen=True)
class Table:
    """Columns and a way to read rows, which are not held: a million of them need no memory here.

    Args:
        where: What errors name: a file, or a data set and its split.
        columns: Names.
        cells: Names of columns → a tuple a row; a cell that is not there is None.
        classes: Names by index of each column whose cells are indices (`ClassLabel` of `datasets`).
        notes: What was decided about reading it.

    Raises:
        MillisError: two columns of one name.
    """

    where: str
    columns: tuple[str, ...]
    cells: Callable[[Sequence[str]], Iterator[Cells]]
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        twice = [name for name, count in Counter(self.columns).items() if name and count > 1]
        if twice:
            raise MillisError(
                f"{self.where}: the column name {twice[0]!r} stands twice, so what it means is not clear. Rename one"
            )
