"""Tagging: one text in, a tag for each of its words out; with tags that mark spans, the spans.

A word is what blanks divide a text into, and its tag is read at its first token (Devlin et al. 2019, 1810.04805,
section 5.3); words past the longest sequence are outside of all spans.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict

from msgspec import Meta

from millis.data.dataset import Dataset
from millis.data.tags import TAG, Tags
from millis.data.words import first_pieces, words
from millis.metrics import named
from millis.metrics.contract import AnyMetric
from millis.metrics.tags import OUTSIDE, is_scheme, parted, spans
from millis.tasks.contract import LEARNED, EachText, check_length, check_names, few
from millis.types import Output, Outputs


class Found(NamedTuple):
    """A span of a text: what it is, its characters from `start` up to but not including `end`, and these."""

    kind: str
    start: int
    end: int
    text: str


class Tagged(NamedTuple):
    """An answer.

    Args:
        tags: Of each word.
        spans: That they mark; none where tags are plain.
        words: The text's.
        indices: Of the tags.
    """

    tags: tuple[str, ...]
    spans: tuple[Found, ...]
    words: tuple[str, ...]
    indices: tuple[int, ...]

    @property
    def text(self) -> str:
        """`fly to [city New York]`; with plain tags `fly/VB to/TO ...`."""
        if not self.spans and any(tag != OUTSIDE for tag in self.tags):
            return " ".join(map("/".join, zip(self.words, self.tags, strict=True)))
        return " ".join(f"[{span.kind} {span.text}]" for span in self.spans) or "no spans"

    def value(self) -> tuple[int, ...]:
        """The index of each word's tag."""
        return self.indices


class Described(TypedDict):
    """What an artifact says of this task."""

    tags: Annotated[list[str], Meta(min_length=1)]


def read(described: Mapping[str, Any]) -> "Tagging":
    """The task of an artifact.

    Raises:
        MillisError: a tag that stands twice.
    """
    return Tagging(tags=tuple(described["tags"]))


@dataclass(frozen=True)
class Tagging(EachText):
    """What is predicted and how it is judged.

    Args:
        column: Of the data: tags divided by blanks, as many as the text has words, or a list of them.
        metric: The quality metric: models are selected, compared and reported by it. Plain tags have no spans: take
            `token_accuracy`.
        also: Metrics reported beside it.
        max_length: Longest token sequence; words beyond it are outside of all spans, and such texts are counted.
        tags: Their names; a tag's position is its index. None before the data is read.

    Raises:
        MillisError: no room for a token, or a tag that stands twice.
    """

    column: str = "tags"
    metric: str = "span_f1"
    also: Sequence[str] = ("token_accuracy", "exact_match")
    max_length: int = 128
    tags: tuple[str, ...] = field(default=(), metadata=LEARNED)
    name: ClassVar[str] = "tagging"
    reads_offsets: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_length(self.max_length)
        object.__setattr__(self, "also", tuple(self.also))
        check_names("tags", self.tags)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """One, with a logit for each tag at each token."""
        return (Output("tags", "token", len(self.tags)),)

    @property
    def summary(self) -> str:
        """How many tags, and the first of them."""
        return f"{len(self.tags)} tags a word ({few(self.tags)})"

    @property
    def references(self) -> Tags:
        """The index of each word's tag."""
        return Tags(self.column)

    def learned(self, dataset: Dataset, cache: Path | None = None) -> "Tagging":
        """Over the tags of `dataset`.

        Raises:
            MillisError: a metric does not exist or cannot work with these tags.
        """
        found = replace(self, tags=dataset.names[TAG])
        found.metrics()
        return found

    def described(self) -> dict[str, Any]:
        """The tags."""
        return {"name": self.name, "tags": list(self.tags)}

    @property
    def identity(self) -> dict[str, Any]:
        """All of it."""
        return self.described()

    def answer(self, outputs: Outputs, encoding: Any) -> Tagged:
        """The likeliest tag at each word's first token."""
        return self.tagged(outputs[0][0].argmax(axis=1).tolist(), encoding)

    def tagged(self, at_tokens: Sequence[int], encoding: Any) -> Tagged:
        """The answer that the tags of a text's tokens make.

        Args:
            at_tokens: Index of each token's tag, [S].
            encoding: The text and its tokens.
        """
        text: str = encoding.text
        places = words(text)
        pieces = first_pieces(places, encoding.encoding)
        indices = tuple([self._outside if piece is None else at_tokens[piece] for piece in pieces])
        found: tuple[Found, ...] = ()
        if self._parts is not None:
            marked = spans([self._parts[index] for index in indices])
            ends = [(kind, places[first][0], places[last - 1][1]) for kind, first, last in marked]
            found = tuple([Found(kind, start, end, text[start:end]) for kind, start, end in ends])
        return Tagged(
            tuple([self.tags[index] for index in indices]),
            found,
            tuple([text[start:end] for start, end in places]),
            indices,
        )

    def metrics(self) -> dict[str, AnyMetric]:
        """Every metric of the task, by name.

        Raises:
            MillisError: one that does not exist or cannot work with these tags.
        """
        return {name: named(name, self.tags, "tags") for name in (self.metric, *self.also)}

    @cached_property
    def _parts(self) -> list[tuple[str, str] | None] | None:
        """Prefix and kind of each tag; None where tags are plain."""
        return [parted(tag) for tag in self.tags] if is_scheme(self.tags) else None

    @cached_property
    def _outside(self) -> int:
        """Index of the tag of words that are not read."""
        return self.tags.index(OUTSIDE) if OUTSIDE in self.tags else 0
