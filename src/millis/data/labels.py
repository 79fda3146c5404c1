"""Labels: names and their indices, by the same rules in every format.

Without a list of names, the labels that training rows have are the classes, whatever their spelling: whole numbers are
names too, sorted by number. Only where a list gives names by index (`labels.txt`, a `ClassLabel`) may a whole number be
an index.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property

from millis.data.cells import WITHHELD, is_visible, tidy
from millis.errors import MillisError

_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]{0,99}))(?:\.0+)?")
_CODE = re.compile(r"0[0-9]{1,99}")
_THOUSANDS = re.compile(r"[-+]?[1-9][0-9]{0,2}(?:,[0-9]{3})+")
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
        for i, name in enumerate(self.names, start=1):
            if not is_visible(name):
                raise MillisError(f"{self.origin}: name {i} is empty; expected one name a line")
        if len(self.names) < 2:
            raise MillisError(f"expected at least 2 labels, found {list(self.names)}")

    @classmethod
    def learned(cls, found: Iterable[str]) -> "Labels":
        """The labels that training rows have, each number once: numbers by their values, names by their letters."""
        names = _folded(found)
        numbers = {whole(name) for name in names}
        if None not in numbers:
            return cls(tuple(str(number) for number in sorted(number for number in numbers if number is not None)))
        values = {name: number(name) for name in names}
        if None not in values.values():
            return cls(tuple(sorted(names, key=lambda name: (values[name] or 0.0, name))))
        return cls(tuple(sorted(names)))

    @classmethod
    def given(
        cls, names: Sequence[str], origin: str, bare: Mapping[str, int], classes: Collection[str] = ()
    ) -> "Labels":
        """Names by index, and whether whole numbers in the data are indices.

        They are where no name is a number. Where some are, each number must be a name, or else all are indices; where
        neither fits every row, most rows decide.

        Args:
            bare: Label → rows, in all splits, of tables that have no classes of their own.
            classes: What those that tables have are called: names, even where they are numbers.

        Raises:
            MillisError: they can be read in both ways, and each gives other classes.
        """
        labels = cls(tuple(tidy(name) for name in names), origin)
        return replace(labels, by_number=_are_indices(labels, bare, classes))

    @cached_property
    def index(self) -> dict[str, int]:
        """Name → index."""
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def _by_value(self) -> dict[Decimal | None, int]:
        """Value → index of the names that are numbers."""
        return {_value(name): i for name, i in reversed(self.index.items()) if _value(name) is not None}

    def withholds(self, label: str | None) -> bool:
        """Whether `label` stands for none: an empty cell, or -1 where that is no class."""
        return label is None or (label == str(WITHHELD) and label not in self.index)

    def find(self, label: str) -> int | None:
        """The index of a label, by its name or its number; None where there is none."""
        value = whole(label)
        if value is not None and self.by_number:
            return value if 0 <= value < len(self.names) else None
        return self.index.get(label, self._by_value.get(_value(label)))


def _are_indices(labels: Labels, bare: Mapping[str, int], classes: Collection[str]) -> bool:
    """Whether whole numbers are indices into `labels`; the arguments are those of `Labels.given`."""
    places = {int(name): i for i, name in enumerate(labels.names) if _CODE.fullmatch(name)}
    places |= {value: i for i, name in enumerate(labels.names) if (value := whole(name)) is not None}
    if not places:
        return True
    numbers: Counter[int] = Counter()
    for name, rows in bare.items():
        if (value := whole(name)) is not None and not labels.withholds(name):
            numbers[value] += rows
    indices = [value for value in numbers if 0 <= value < len(labels.names)]
    if len(indices) == len(numbers) and all(value in places for value in numbers):
        _refuse_moved(indices, places, labels, bool(classes))
    as_names = sum(rows for value, rows in numbers.items() if str(value) in labels.index)
    as_names_or_codes = sum(rows for value, rows in numbers.items() if value in places)
    as_indices = sum(numbers[value] for value in indices)
    return as_names < as_indices >= as_names_or_codes and all(whole(name) is None for name in classes)


def _refuse_moved(numbers: Iterable[int], places: Mapping[int, int], labels: Labels, classes: bool) -> None:
    """Refuse numbers that are names at other places than those that they have as indices."""
    for value in numbers:
        if places[value] != value:
            remedy = f"Remove {labels.origin} if names are meant; write names for indices if they are"
            if classes:
                remedy = "Write names that are no numbers, or give every file the same classes"
            raise MillisError(
                f"label {value} can be the name {labels.names[places[value]]!r} in {labels.origin}, or the index of "
                f"its name {labels.names[value]!r}. {remedy}"
            )


def whole(label: str) -> int | None:
    """The whole number that a label writes, as `7` or `7.0`; None for `07`, which is a code, and for all else."""
    match = _WHOLE.fullmatch(label)
    return int(match[1]) if match else None


def number(label: str) -> float | None:
    """The number that a label writes, with a point or a comma before decimals."""
    return float(label.replace(",", ".")) if _NUMBER.fullmatch(label) else None


def is_thousands(label: str) -> bool:
    """Whether a label can be read as a number with a comma between thousands, as `1,000`."""
    return _THOUSANDS.fullmatch(label) is not None


def _value(label: str) -> Decimal | None:
    """The number that a label writes, however: `1.5` and `1.50` are one; `01` is a code, `1,000` can be two numbers."""
    is_one = _NUMBER.fullmatch(label) and not _CODE.match(label.lstrip("+-")) and not _THOUSANDS.fullmatch(label)
    return Decimal(label.replace(",", ".")) if is_one else None


def _folded(found: Iterable[str]) -> set[str]:
    """Names, of each number its shortest spelling."""
    spellings: dict[str | Decimal, list[str]] = {}
    for name in found:
        value = _value(name)
        spellings.setdefault(name if value is None else value, []).append(name)
    return {min(names, key=lambda name: (len(name), name)) for names in spellings.values()}


def fractions(names: Collection[str]) -> bool:
    """Whether all names are numbers, and not all whole, as `1,000` can be: amounts, where there are many."""
    values = {name: number(name) for name in names}
    return None not in values.values() and not all(
        _THOUSANDS.fullmatch(name) or (value or 0.0).is_integer() for name, value in values.items()
    )
