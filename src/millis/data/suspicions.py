"""Labels that look like something else: several labels a text, amounts, one label in two spellings.

What cannot be meant as classes is refused; what can, but rarely is, is said in a note.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from millis.data.cells import WITHHELD
from millis.data.labels import fractions, whole
from millis.errors import MillisError, nearest

SCALE = 20  # marks with halves from 0.5 to 10: more values with decimals than that are amounts, not classes
MANY = 20  # labels from which on one row each is worth a word
JOINTS = "|;,"  # what is written between several labels of one text
RARE_JOINTS = "|;"  # those that names of one label rarely have
WORDS_FOR_NONE = {"na", "n/a", "null", "none", "nil", "-", "--", "?", "unknown", "missing", str(WITHHELD)}


def refuse_other_tasks(names: Collection[str], where: str) -> None:
    """Refuse labels that a classifier of one label a text must not be trained on.

    Raises:
        MillisError: they are amounts (regression), or some are several of the others in one cell.
    """
    if len(names) > SCALE and fractions(names):
        few = ", ".join(list(names)[:3])
        raise MillisError(
            f"{where} holds {len(names)} different numbers with decimals ({few}, ...): amounts to predict, "
            "not labels. Choose task=regression, or give every row one of a few labels, such as a range"
        )
    for joint in JOINTS:
        for name, evidence in _several(names, joint):
            raise MillisError(
                f"{where} holds {name!r}, which is several labels at once: {evidence}. Choose task=multi_label, or "
                f"give every row one label; where the combination is a label of its own, write it without {joint!r}"
            )


def label_notes(counts: Mapping[str, int], column: str) -> list[str]:
    """What a reader should know of labels that are taken as they stand; `counts` is label → training rows."""
    notes = []
    if fractions(counts):
        notes.append(f"the numbers in column {column!r} are {len(counts)} classes; for numbers choose task=regression")
    if joined := [name for name in counts if any(len(_parts(name, joint)) > 1 for joint in RARE_JOINTS)]:
        notes.append(f"label {joined[0]!r} is one class, and not several labels ({len(joined)} such labels)")
    for name in counts:
        if name.casefold() in WORDS_FOR_NONE:
            notes.append(f"label {name!r} is a class ({counts[name]} training rows), and not a missing label")
    if twins := [names for names in _alike(counts).values() if len(names) > 1]:
        one, other = twins[0][:2]
        notes.append(
            f"labels {one!r} and {other!r} differ in {difference(one, other)}, and each is a class of its own "
            f"({len(twins)} such pairs)"
        )
    single = sum(count == 1 for count in counts.values())
    if len(counts) > MANY and single > len(counts) / 2:
        notes.append(f"{single} of {len(counts)} labels have one training row: is {column!r} the column of labels?")
    return notes


def hint(label: str, names: Collection[str]) -> str:
    """`" (did you mean ...?)"` for a label that is none of `names`, with what differs where eyes may not see it."""
    names = [name for name in names if name != label]
    for twin in _alike(names).get(_folded(label), ()):
        return f" (did you mean {twin!r}, which differs in {difference(label, twin)}?)"
    near = nearest(label, names)
    return near if label.isascii() or not near else f"{near} ({label!a})"


def difference(one: str, other: str) -> str:
    """What tells two labels apart that look alike."""
    if one.casefold() == other.casefold():
        return "case"
    if "".join(one.split()) == "".join(other.split()):
        return "blanks"
    if whole(one) is not None and whole(one) == whole(other):
        return "how the number is written"
    return "characters that look alike"


def _several(names: Collection[str], joint: str) -> Iterator[tuple[str, str]]:
    """Names that hold several labels, and what says so: each part is a label, or stands in another place elsewhere.

    Parts that keep their place, as in `food|fruit` and `food|meat`, are levels of one label.
    """
    places: dict[str, dict[int, str]] = defaultdict(dict)
    for name in names:
        parts = _parts(name, joint)
        if len(parts) > 1 and all(part in names for part in parts):
            yield name, f"{' and '.join(map(repr, parts))} are labels too"
        if len(parts) > 1 and len(set(parts)) == len(parts) and joint in RARE_JOINTS:
            for i, part in enumerate(parts):
                places[part].setdefault(i, name)
    for part, found in places.items():
        if len(found) > 1:
            one, other = list(found.values())[:2]
            yield one, f"{part!r} is also in {other!r}"


def _parts(name: str, joint: str) -> list[str]:
    return [part for part in map(str.strip, name.split(joint)) if part]


def _alike(names: Iterable[str]) -> dict[str, list[str]]:
    alike = defaultdict(list)
    for name in names:
        alike[_folded(name)].append(name)
    return alike


def _folded(name: str) -> str:
    """One spelling for all that look alike: compatible forms, case, blanks, characters without width, `7.0` for 7."""
    value = whole(name)
    seen = (char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
    return str(value) if value is not None else " ".join("".join(seen).casefold().split())
