"""Tags: the category of each word of a text, and the spans that begin, continue and end in them.

A span's tags are `B-city` at its first word and `I-city` at the others, and `O` is outside of all (Ramshaw and Marcus
1995, cmp-lg/9505040); `E-` and `S-` for the last and the only word are read as well. What breaks the scheme is read as
the CoNLL-2000 evaluation and seqeval's default mode do: a span begins wherever the kind changes, whatever the prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple, Self

from msgspec import Meta

from millis.errors import MillisError
from millis.metrics._labels import Kind
from millis.units import Better

OUTSIDE = "O"
PREFIXES = "BIES"
BEGINS, ENDS = "BS", "ES"
MOST = 2**16  # kinds of tags


class Span(NamedTuple):
    """Words `first` up to but not including `last`, and what they are."""

    kind: str
    first: int
    last: int


def parted(tag: str) -> tuple[str, str] | None:
    """Prefix and kind of a tag; None outside of spans.

    Raises:
        MillisError: neither `O` nor a prefix, `-` and a kind.
    """
    if tag == OUTSIDE:
        return None
    prefix, dash, kind = tag.partition("-")
    if not dash or len(prefix) != 1 or prefix not in PREFIXES or not kind:
        raise MillisError(
            f"tag {tag!r} is no part of a span: expected O, or B- or I- and a kind, such as B-city. Plain tags, "
            "one a word, have no spans to judge: leave span_f1 and slot_f1 out of task.metric and task.also"
        )
    return prefix, kind


def is_scheme(tags: Sequence[str]) -> bool:
    """Whether tags mark spans; else they are plain, one a word."""
    return all(tag == OUTSIDE or (tag[:1] in PREFIXES and tag[1:2] == "-" and tag[2:]) for tag in tags)


def spans(tags: Sequence[tuple[str, str] | None]) -> list[Span]:
    """The spans of a text.

    Args:
        tags: Of each word, as `parted`.
    """
    found: list[Span] = []
    open_from: int | None = None
    previous: tuple[str, str] | None = None
    for word, tag in enumerate([*tags, None]):
        if previous is not None and open_from is not None and _ends(previous, tag):
            found.append(Span(previous[1], open_from, word))
            open_from = None
        if tag is not None and open_from is None:
            open_from = word
        previous = tag
    return found


def _ends(before: tuple[str, str], after: tuple[str, str] | None) -> bool:
    """Whether a span ends between two words, the first of which is in one."""
    return after is None or before[1] != after[1] or before[0] in ENDS or after[0] in BEGINS


def broken(tags: Sequence[tuple[str, str] | None]) -> bool:
    """Whether some tag continues a span that has not begun: `I-city` after `O` or after another kind."""
    previous: tuple[str, str] | None = None
    for tag in tags:
        if tag is not None and tag[0] in "IE" and (previous is None or previous[1] != tag[1] or previous[0] in ENDS):
            return True
        previous = tag
    return False


@dataclass(frozen=True)
class OverTags:
    """What metrics in percent over spans have to know.

    Args:
        tags: Their names, a tag's position being its index.
    """

    tags: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MOST)]
    judges: ClassVar[tuple[Kind, ...]] = ("tags",)
    better: ClassVar[Better] = "higher"
    unit: ClassVar[str] = "%"

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """Over the tags `labels`.

        Raises:
            MillisError: they mark no spans.
        """
        for tag in labels:
            parted(tag)
        return cls(tuple(labels))
