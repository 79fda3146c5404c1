"""A tag for each word: a column with as many tags as the text has words becomes indices into the names of tags."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from millis.data.cells import CellError, listed, text_of
from millis.data.dataset import Split
from millis.data.mapped import DROP
from millis.data.references import IGNORED, Read, Source, TextsAlone
from millis.data.texts import rows_of
from millis.data.words import first_pieces, words
from millis.errors import MillisError, nearest
from millis.metrics.tags import OUTSIDE, broken, is_scheme, parted
from millis.types import Text

TAG = "tag"
SHOWN = 3  # tags in a note
Tagged = list[str] | None  # of a text's words; None where a row has none


@dataclass
class TaggedRows:
    """A split as it was read.

    Args:
        texts, tags: [N].
        places: What errors call each row, [N].
    """

    texts: list[str] = field(default_factory=list)
    tags: list[Tagged] = field(default_factory=list)
    places: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Tags(TextsAlone):
    """References are tuples with the index of each word's tag.

    Args:
        column: Of the tags: names divided by blanks, or a list of names or of indices.
    """

    column: str = "tags"
    reads_offsets: ClassVar[bool] = True

    def read(self, source: Source) -> Read:
        """Names and indices; see `millis.data.references.References`.

        Tags that no training row has are known all the same: no model can answer them, so they count as mistakes.

        Raises:
            MillisError: an empty split, a missing column, pairs, or a row without tags or with more or fewer of them
                than its text has words.
        """
        unseen, notes = source.unseen, source.notes
        rows = self.rows(source)
        known = self.names(rows, notes)
        index = {tag: position for position, tag in enumerate(known)}
        splits = {}
        for split, found in rows.items():
            missing = [row for row, tags in enumerate(found.tags) if tags is None]
            if len(missing) == len(found.tags) and split != "train":
                notes.append(f"the {split} split has no tags and was not used")
                continue
            if missing and unseen != DROP:
                raise MillisError(
                    f"{found.places[missing[0]]}: column {self.column!r} is empty; {len(missing)} such rows. Tag them, "
                    "or leave them out with data.unseen_labels=drop"
                )
            if missing:
                notes.append(f"{len(missing)} rows of {split} left out: they have no tags")
            pairs = [(text, tags) for text, tags in zip(found.texts, found.tags, strict=True) if tags is not None]
            if not pairs:
                raise MillisError(f"{found.places[0]}: no row of {split} has tags; data.unseen_labels=drop left none")
            splits[split] = Split([text for text, _ in pairs], [tuple(index[tag] for tag in tags) for _, tags in pairs])
        return Read({TAG: known}, splits)

    def rows(self, source: Source) -> dict[str, TaggedRows]:
        """Every split's rows.

        Raises:
            MillisError: as `read`, but for missing tags.
        """
        marks = source.given is not None and any(name == OUTSIDE or name[1:2] == "-" for name in source.given)
        given = source.given if marks else None  # else they are names of labels
        found = {}
        for split, of_split in source.tables.items():
            found[split] = TaggedRows()
            for row in rows_of(source.name, split, of_split, source.columns, self.column, words_of):
                if not isinstance(row.text, str):
                    raise MillisError(
                        f"{row.place}: a pair of texts, and tags belong to the words of one. Name its column with "
                        "data.text=..."
                    )
                try:
                    tags = _tags(row.cell, self.column, row.classes or given)
                    self._append(found[split], row.text, tags, row.place)
                except CellError as error:
                    raise MillisError(f"{row.place}: {error}") from error
        return found

    def names(self, rows: Mapping[str, TaggedRows], notes: list[str]) -> tuple[str, ...]:
        """All tags, `O` first, and notes on those that are odd.

        Raises:
            MillisError: no training row has any.
        """
        counts = {split: Counter(tag for tags in found.tags for tag in tags or ()) for split, found in rows.items()}
        if not counts["train"]:
            raise MillisError(f"{rows['train'].places[0]}: column {self.column!r} is empty, as in every training row")
        every = set().union(*counts.values())
        self._refuse_slips(rows, every)
        known = tuple(sorted(every, key=lambda tag: (tag != OUTSIDE, *reversed(tag.partition("-")))))
        for split, found in counts.items():
            if strange := sorted(set(found) - set(counts["train"])):
                few = ", ".join(strange[:SHOWN]) + (", ..." if len(strange) > SHOWN else "")
                words = sum(found[tag] for tag in strange)
                notes.append(f"{words} words of {split} have tags that do not occur in training ({few}): mistakes")
            if is_scheme(known) and (odd := sum(broken(list(map(parted, tags))) for tags in rows[split].tags if tags)):
                notes.append(
                    f"the tags of {odd} {split} texts continue a span that has not begun (I- after O or another kind): "
                    "read as its beginning"
                )
        return known

    def _refuse_slips(self, rows: Mapping[str, TaggedRows], every: Collection[str]) -> None:
        """Refuse tags that mark no span among others that do.

        Raises:
            MillisError: names the first row that has one.
        """
        marks = {tag for tag in every if is_scheme([tag]) and tag != OUTSIDE}
        if not marks or not (slips := set(every) - marks - {OUTSIDE}):
            return
        for found in rows.values():
            for tags, place in zip(found.tags, found.places, strict=True):
                for tag in tags or ():
                    if tag in slips:
                        alike = [mark for mark in sorted(marks) if mark.casefold() == tag.casefold()]
                        raise MillisError(
                            f"{place}: tag {tag!r} marks no span, where others do, such as {min(marks)!r}: expected O, "
                            f"or B- or I- and a kind{nearest(alike[0] if alike else tag, marks)}"
                        )

    def stratum(self, reference: tuple[int, ...]) -> None:
        """None: splits are cut at random."""

    def group(self, reference: tuple[int, ...]) -> None:
        """None: each row stands for itself."""

    def targets(
        self, texts: Sequence[Text], references: Sequence[tuple[int, ...]], encodings: Sequence[Any]
    ) -> tuple[NDArray[np.int64]]:
        """The tag of each word at its first token, [tokens]; all others are ignored."""
        lengths = [len(encoding.ids) for encoding in encodings]
        targets, begin = np.full(sum(lengths), IGNORED, np.int64), 0
        for text, tags, encoding, length in zip(texts, references, encodings, lengths, strict=True):
            assert isinstance(text, str), "pairs are refused when they are read"
            for position, tag in zip(first_pieces(words(text), encoding), tags, strict=True):
                if position is not None:
                    targets[begin + position] = tag
            begin += length
        return (targets,)

    def unanswered(self, text: Text) -> tuple[int, ...]:
        """The first tag for each word."""
        assert isinstance(text, str)
        return (0,) * len(words(text))

    def answered(self, text: Text, categories: tuple[int, ...], encoding: Any) -> tuple[int, ...]:
        """The likeliest tags, and the first tag for words that no token is of."""
        assert isinstance(text, str)
        likely = iter(categories)
        return tuple([0 if piece is None else next(likely) for piece in first_pieces(words(text), encoding)])

    def _append(self, rows: TaggedRows, text: str, tags: Tagged, place: str) -> None:
        count = len(words(text))
        if tags is not None and count != len(tags):
            raise CellError(
                f"the text has {count} words and column {self.column!r} {len(tags)} tags. Every word has one tag, and "
                "blanks divide words: in a language written without them, put one between the words, or the "
                "characters, that have tags"
            )
        rows.texts.append(text)
        rows.tags.append(tags)
        rows.places.append(place)


def words_of(cell: Any, column: str) -> str:
    """The text in a cell; a list of words is joined by blanks.

    Raises:
        CellError: it holds no text, or a word with a blank within.
    """
    if isinstance(cell, str) and (found := listed(cell.strip())) is not None:
        cell = found
    if not isinstance(cell, list | tuple):
        return text_of(cell, column)
    for word in cell:
        if not isinstance(word, str) or len(word.split()) != 1:
            raise CellError(f"column {column!r} lists {word!r} as a word; expected text without blanks")
    return " ".join(cell)


def _tags(cell: Any, column: str, classes: Sequence[str] | None) -> Tagged:
    """The tags in a cell; None where there are none.

    Raises:
        CellError: neither names divided by blanks nor a list of names or indices.
    """
    if cell is None or cell == "":
        return None
    if isinstance(cell, str) and (found := listed(cell.strip())) is not None:
        cell = found
    if isinstance(cell, str):
        return cell.split() or None
    if not isinstance(cell, list | tuple):
        raise CellError(f"column {column!r} holds {cell!r}; expected tags divided by blanks, or a list of them")
    return [_tag(value, column, classes) for value in cell]


def _tag(value: Any, column: str, classes: Sequence[str] | None) -> str:
    if isinstance(value, str) and len(value.split()) == 1:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        if classes is None:
            return str(value)
        if 0 <= value < len(classes):
            return classes[value]
        raise CellError(f"column {column!r} lists {value}, which is out of range; expected 0 to {len(classes) - 1}")
    raise CellError(f"column {column!r} lists {value!r} as a tag; expected a name without blanks, or its index")
