"""Neighbours: tokens replaced by others whose word vectors point the same way.

TinyBERT (1909.10351, algorithm 1) replaces words by what BERT's masked language model proposes, or by neighbours in
GloVe. Departure: the neighbours are those in the teacher's own word table (cosine), so nothing else is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from millis.data.augment import Change, check_share, drawn, each_part, special_tokens, stripped
from millis.errors import MillisError
from millis.types import Text, parts_of

CHUNK = 512  # rows compared with the table at a time: 512 x 30,522 cosines take 60 MB
INSIDE = "##"  # WordPiece marks what continues a word; the others mark what begins one
MARKS = (INSIDE, "Ġ", "▁")


Place: TypeAlias = tuple[int, int, list[str]]
"""Start and end of a token in its text, and what may take its place."""


class Piece(NamedTuple):
    """A token as it stands in a text."""

    surface: str
    kind: tuple[str, str]  # mark ("##", ...), and "letters" or "digits"


@dataclass(frozen=True)
class Neighbours:
    """Replaces tokens by near ones of the same kind: letters by letters, digits by digits, word starts by word starts.

    Special tokens and punctuation stay. The replacement is written into the text, the rest of which is left as it is.

    Args:
        share: Of the tokens that have neighbours, replaced; at least one is.
        nearest: How many of the nearest may take a token's place.
        similarity: Least cosine of a neighbour. With MiniLM's table 1,470 of the 2,427 pieces in the bundled training
            texts have one above 0.5: inflections, weekdays, numbers. Below 0.4 come words that merely share a topic.

    Raises:
        MillisError: a share outside (0, 1], no neighbours, or a similarity outside [-1, 1].
    """

    share: float = 0.2
    nearest: int = 8
    similarity: float = 0.5

    def __post_init__(self) -> None:
        check_share("augmentation.methods.share", self.share)
        if self.nearest < 1 or not -1 <= self.similarity <= 1:
            raise MillisError(
                f"augmentation.methods.nearest={self.nearest}, similarity={self.similarity}: expected at least 1 "
                "neighbour, and a cosine from -1 to 1"
            )

    def over(self, texts: Sequence[Text], tokenizer: Tokenizer, table: NDArray[np.float32]) -> Change:
        """Prepare to replace tokens of `texts`: finds the neighbours of every token in them, once."""
        all_pieces = pieces(tokenizer, min(len(table), tokenizer.get_vocab_size()))
        parts = dict.fromkeys(part for text in texts for part in parts_of(text))
        encodings = dict(zip(parts, tokenizer.encode_batch(list(parts), add_special_tokens=False), strict=True))
        used = {token for encoding in encodings.values() for token in encoding.ids}
        near = neighbours(table, all_pieces, sorted(used & all_pieces.keys()), self.nearest, self.similarity)
        surfaces = {token: [all_pieces[other].surface for other in others] for token, others in near.items()}
        places = {
            part: [
                (*stripped(part, span), surfaces[token])
                for token, span in zip(encoding.ids, encoding.offsets, strict=True)
                if token in surfaces
            ]
            for part, encoding in encodings.items()
        }
        return lambda row, generator: each_part(texts[row], lambda text: self._changed(text, places[text], generator))

    def _changed(self, text: str, places: list[Place], generator: np.random.Generator) -> str:
        for index in reversed(drawn(len(places), self.share, generator)):  # from the end, so that places stay right
            start, end, choices = places[index]
            text = text[:start] + choices[int(generator.integers(len(choices)))] + text[end:]
        return text


def pieces(tokenizer: Tokenizer, size: int) -> dict[int, Piece]:
    """Id → piece, of all tokens below `size` that are letters or digits and no special tokens."""
    special, found = special_tokens(tokenizer), {}
    for token in range(size):
        written = tokenizer.id_to_token(token)
        if written is None or written in special:
            continue
        mark = next((mark for mark in MARKS if written.startswith(mark)), "")
        surface = tokenizer.decode([token]).removeprefix(INSIDE).strip()  # decoding turns byte-level pieces into text
        if surface.isalpha() or surface.isdigit():
            found[token] = Piece(surface, (mark, "letters" if surface.isalpha() else "digits"))
    return found


def neighbours(
    table: NDArray[np.float32], all_pieces: dict[int, Piece], tokens: Sequence[int], nearest: int, similarity: float
) -> dict[int, list[int]]:
    """The `nearest` ids of the same kind with the largest cosine to each of `tokens`, nearest first, none below
    `similarity`; a token that has none is left out.

    Args:
        table: [V, D].
        all_pieces: Id → piece; only these are neighbours.
        tokens: Ids among them.
    """
    found: dict[int, list[int]] = {}
    for kind in {all_pieces[token].kind for token in tokens}:
        members = np.array([token for token, piece in all_pieces.items() if piece.kind == kind])
        asked = np.array([token for token in tokens if all_pieces[token].kind == kind])
        unit = _unit(table[members])
        for start in range(0, len(asked), CHUNK):
            rows = asked[start : start + CHUNK]
            cosines = _unit(table[rows]) @ unit.T  # [rows, members]
            cosines[members[None, :] == rows[:, None]] = -np.inf  # not itself
            for token, values in zip(rows.tolist(), cosines, strict=True):
                close = np.flatnonzero(values >= similarity)
                if len(close):
                    found[token] = members[close[np.argsort(-values[close], kind="stable")[:nearest]]].tolist()
    return found


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit
