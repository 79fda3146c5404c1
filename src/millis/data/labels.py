"""Labels: names and their indices, by the same rules in every format.

Without a list of names, the labels that training rows have are the classes, whatever their spelling: whole numbers are
names too, sorted by number. Only where a list gives names by index (`labels.txt`, a `ClassLabel`) may a whole number be
an index.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from millis.data.cells import WITHHELD, tidy
from millis.errors import MillisError

_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]{0,99}))(?:\.0+)?")
_NUMBER = re.compile(r"[-+]?[0-9]*[.,]?[0-9]+(?:[eE][-+]?[0-9]{1,3})?")


@dataclass(frozen=True)
class Labels:
    """Names by index.

    Args:
        names: Of index 0, 1, ...
        origin: Where they were given; None where training rows gave them.
        by_number: Whether a whole number in the data is an index.

    Raises:
        MillisError: fewer than two names, or one that is empty or occurs twice.
    """

    names: tuple[str, ...]
    origin: str | None = None
    by_number: bool = False

    def __post_init__(self) -> None:
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise MillisError(f"label names occur twice: {', '.join(twice)}. Every name needs its own index")
        if "" in self.names:
            raise MillisError(f"{self.origin}: name {self.names.index('') + 1} is empty; expected one name a line")
        if len(self.names) < 2:
            raise MillisError(f"classification needs at least 2 labels, found {list(self.names)}")

    @classmethod
    def learned(cls, found: Iterable[str]) -> "Labels":
        """The labels that training rows have: whole numbers by number, other names by their letters."""
        names = set(found)
        numbers = {whole(name) for name in names}
        if None not in numbers:
            return cls(tuple(str(number) for number in sorted(number for number in numbers if number is not None)))
        values = {name: number(name) for name in names}
        if None not in values.values():
            return cls(tuple(sorted(names, key=lambda name: (values[name] or 0.0, name))))
        return cls(tuple(sorted(names)))

    @classmethod
    def given(cls, names: Sequence[str], origin: str, found: Iterable[str]) -> "Labels":
        """Names by index, and whether the whole numbers among `found`, the labels of training rows, are indices.

        They are where no name is a number. Where some are, each number must be a name, or else all are indices.

        Raises:
            MillisError: they can be read in both ways, and each gives other classes.
        """
        labels = cls(tuple(tidy(name) for name in names), origin)
        if all(whole(name) is None for name in labels.names):
            return cls(labels.names, origin, by_number=True)
        numbers = [value for name in found if (value := whole(name)) is not None and not labels.withholds(name)]
        as_names = all(str(value) in labels.index for value in numbers)
        as_indices = all(0 <= value < len(names) for value in numbers)
        moved = [value for value in numbers if as_names and labels.index[str(value)] != value]
        if as_indices and moved:
            raise MillisError(
                f"label {moved[0]} can be the name {str(moved[0])!r} in {origin}, or the index of its name "
                f"{labels.names[moved[0]]!r}. Remove {origin} if names are meant; write names for indices if they are"
            )
        return cls(labels.names, origin, by_number=not as_names)

    @cached_property
    def index(self) -> dict[str, int]:
        """Name → index."""
        return {name: i for i, name in enumerate(self.names)}

    def withholds(self, label: str | None) -> bool:
        """Whether `label` stands for none: an empty cell, or -1 where that is no class."""
        return label is None or (label == str(WITHHELD) and label not in self.index)

    def find(self, label: str) -> int | None:
        """The index of a label, by its name or its number; None where there is none."""
        value = whole(label)
        if value is not None and self.by_number:
            return value if 0 <= value < len(self.names) else None
        return self.index.get(label, None if value is None else self.index.get(str(value)))


def whole(label: str) -> int | None:
    """The whole number that a label writes, as `7` or `7.0`; None for `07`, which is a code, and for all else."""
    match = _WHOLE.fullmatch(label)
    return int(match[1]) if match else None


def number(label: str) -> float | None:
    """The number that a label writes, with a point or a comma before decimals."""
    return float(label.replace(",", ".")) if _NUMBER.fullmatch(label) else None


def fractions(names: Collection[str]) -> bool:
    """Whether all names are numbers, and not all whole: amounts, where there are many."""
    values = [number(name) for name in names]
    return None not in values and not all(value.is_integer() for value in values if value is not None)
