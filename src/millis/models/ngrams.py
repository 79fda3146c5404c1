"""Hashed word and character n-grams of a text, as token ids: a tokenizer that is learned in a second, in any language.

A text is lower-cased, normalised (NFKC) and its blanks are made single ones. Its n-grams are the runs of 1 and 2 words
and of 1 to 5 characters, blanks included.
The polynomial hash of the characters c_i .. c_{j-1} comes from prefix sums, all n-grams of a length at once:

    h(i, j) = Σ_{i <= k < j} c_k · B^{k-i} = (S_j - S_i) · B^{-i},  S_i = Σ_{k < i} c_k · B^k   (mod 2^64, B odd)

Each hash is mixed with its kind and cut to a bucket (feature hashing, Weinberger et al. 2009, 0902.2206). Buckets that
training texts filled often enough are numbered, and these numbers are the ids; others are not seen. Ids are a set: an
n-gram that occurs twice counts once. In a pair, n-grams of both texts, of the first alone and of the second alone are
of three kinds, for what two texts share is what most pairs are about.

`NgramTokenizer` has those members of `tokenizers.Tokenizer` that millis calls.
"""

import base64
import json
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.types import Text

TYPE = "millis-ngrams"
BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2^64
INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))
MIX = np.uint64(0xD6E8FEB86659FD93)
HALF = np.uint64(32)
WORDS, CHARACTERS = 2, 5  # the longest runs
BLANK = ord(" ")
LONGEST = 1024  # characters that are read of a text
PAD, SHARED, FIRST, SECOND = 0, 1, 2, 3
LIMIT = LONGEST * (WORDS + CHARACTERS) * 2  # ids of the longest pair
_POWERS = np.cumprod(np.concatenate([[np.uint64(1)], np.full(LONGEST + 1, BASE)]), dtype=np.uint64)
_INVERSES = np.cumprod(np.concatenate([[np.uint64(1)], np.full(LONGEST + 1, INVERSE)]), dtype=np.uint64)
Hashes = NDArray[np.uint64]


class Runs(NamedTuple):
    """All runs in a sequence, ascending by their ends: those of its first `total` items are the first `counts[total]`.

    Args:
        starts, ends: From which item, before which.
        kinds: What is added to a hash: the length, and more for words.
        counts: By number of items.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    kinds: Hashes
    counts: list[int]

    @classmethod
    def upto(cls, longest: int, kind: int) -> "Runs":
        """Of 1 to `longest` items among LONGEST + 1."""
        items = np.arange(1, LONGEST + 2)
        ends, sizes = np.repeat(items, longest), np.tile(np.arange(1, longest + 1), len(items))
        inside = sizes <= ends
        ends, sizes = ends[inside], sizes[inside]
        counts = np.cumsum(np.minimum(items, longest))
        return cls(ends - sizes, ends, (sizes + kind).astype(np.uint64), [0, *counts.tolist()])


_CHARACTERS, _WORDS = Runs.upto(CHARACTERS, 0), Runs.upto(WORDS, 100)
_CHARACTER_INVERSES = _INVERSES[_CHARACTERS.starts]


class NgramEncoding(NamedTuple):
    """One text's ids; the members of `tokenizers.Encoding` that millis reads."""

    ids: NDArray[np.int64]
    overflowing: bool

    @property
    def n_sequences(self) -> int:
        """A pair is one set of ids."""
        return 1

    @property
    def type_ids(self) -> NDArray[np.int64]:
        """Which of two texts an id is of lies in the id itself."""
        return np.zeros(len(self.ids), np.int64)


class NgramTokenizer:
    """Texts to the ids of their n-grams; id 0 is padding.

    Args:
        bits: log2 of the number of buckets.
        kept: Buckets that have an id, ascending, [V - 1].
    """

    def __init__(self, bits: int, kept: NDArray[np.int64]) -> None:
        self.bits, self.kept = bits, kept
        self._ids = np.zeros(1 << bits, np.int64)
        self._ids[kept] = np.arange(1, len(kept) + 1)
        self._shift = np.uint64(64 - bits)

    @classmethod
    def learn(cls, texts: Sequence[Text], bits: int = 18, least: int = 2) -> "NgramTokenizer":
        """From training texts.

        Args:
            least: Texts that must have filled a bucket.

        Raises:
            MillisError: no n-gram is in so many texts.
        """
        blank = cls(bits, np.zeros(0, np.int64))
        counts = np.zeros(1 << bits, np.int64)
        for text in texts:
            counts[blank._buckets(text)] += 1
        kept = np.flatnonzero(counts >= least)
        if not len(kept):
            raise MillisError(
                f"student=ngrams: no word or run of characters is in {least} of the {len(texts)} training texts. Add "
                "texts, or choose another student"
            )
        return cls(bits, kept)

    def encode_batch_fast(self, texts: Sequence[Text]) -> list[NgramEncoding]:
        """Each text's ids, ascending.

        Raises:
            TypeError: something that is neither a string nor a pair of strings.
        """
        return [self._encode(text) for text in texts]

    encode_batch = encode_batch_fast

    def no_padding(self) -> None:
        """There is none."""

    def enable_truncation(self, max_length: int) -> None:
        """The longest text is bounded by its characters, not its ids."""

    @property
    def max_length(self) -> int:
        """Most ids that a text can have."""
        return min(LIMIT, len(self.kept))

    def get_vocab_size(self) -> int:
        """V, padding included."""
        return len(self.kept) + 1

    def get_vocab(self) -> dict[str, int]:
        """An id is known by its bucket."""
        return {str(bucket): id for id, bucket in enumerate(self.kept.tolist(), start=1)}

    def token_to_id(self, token: str) -> int | None:
        """Padding alone has a spelling."""
        return PAD if token == "[PAD]" else None

    def to_str(self) -> str:
        """JSON that `read` makes this from again."""
        filled = np.zeros(1 << self.bits, np.bool_)
        filled[self.kept] = True
        packed = base64.b64encode(np.packbits(filled).tobytes()).decode()
        return json.dumps({"type": TYPE, "version": 1, "bits": self.bits, "filled": packed})

    def save(self, path: str) -> None:
        """Write `to_str` to a file."""
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - as `tokenizers.Tokenizer.save`
            file.write(self.to_str())

    @classmethod
    def from_str(cls, text: str) -> "NgramTokenizer":
        """Inverse of `to_str`.

        Raises:
            ValueError, KeyError, TypeError: not what `to_str` writes.
        """
        values = json.loads(text)
        bits = values["bits"]
        if values.get("version") != 1 or not isinstance(bits, int) or not 8 <= bits <= 24:
            raise ValueError(f"n-grams of version {values.get('version')!r} with {bits!r} bits")
        packed = np.frombuffer(base64.b64decode(values["filled"], validate=True), np.uint8)
        if len(packed) != (1 << bits) // 8:
            raise ValueError(f"{len(packed)} bytes of buckets, expected {(1 << bits) // 8}")
        return cls(bits, np.flatnonzero(np.unpackbits(packed)))

    def _encode(self, text: Text) -> NgramEncoding:
        buckets = self._buckets(text)
        ids = np.zeros(
            len(buckets) + 1, np.int64
        )  # a zero before all: each id that differs from the one before is kept
        ids[1:] = self._ids[buckets]
        ids.sort()
        found = ids[1:][ids[1:] != ids[:-1]]
        length = len(text) if isinstance(text, str) else max(map(len, text))
        return NgramEncoding(found, length > LONGEST)

    def _buckets(self, text: Text) -> NDArray[np.int64]:
        """The bucket of every n-gram of a text, some of them several times."""
        if isinstance(text, str):
            hashes = _hashes(text)
        elif isinstance(text, tuple) and len(text) == 2 and all(isinstance(part, str) for part in text):
            hashes = _pair_hashes(*text)
        else:
            raise TypeError(f"expected a string or a pair of strings, got {type(text).__name__}")
        hashes ^= hashes >> HALF
        hashes *= MIX
        hashes >>= self._shift
        return hashes.view(np.int64)


def _hashes(text: str) -> Hashes:
    """A hash for every n-gram of one text, some of them several times."""
    points = _points(text)
    sums = np.zeros(len(points) + 1, np.uint64)
    np.add.accumulate(points * _POWERS[: len(points)], out=sums[1:])
    starts, ends, kinds, counts = _CHARACTERS
    count = counts[len(points)]
    characters = sums[ends[:count]]
    characters -= sums[starts[:count]]
    characters *= _CHARACTER_INVERSES[:count]
    characters += kinds[:count]
    blanks = (points == BLANK).nonzero()[0]
    starts, ends, kinds, counts = _WORDS
    count = counts[len(blanks) - 1]
    begins = blanks[starts[:count]] + 1
    words = sums[blanks[ends[:count]]]
    words -= sums[begins]
    words *= _INVERSES[begins]
    words += kinds[:count]
    return np.concatenate((characters, words))


def _points(text: str) -> NDArray[np.uint8] | NDArray[np.uint32]:
    """The normalised text's code points, a blank before and behind."""
    text = text[:LONGEST]
    if not text.isascii():  # nothing in ASCII is normalised
        text = unicodedata.normalize("NFKC", text)
    plain = f" {' '.join(text.lower().split())} "[: LONGEST + 1]
    if plain.isascii():
        return np.frombuffer(plain.encode(), np.uint8)
    return np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), np.uint32)


def _pair_hashes(*texts: str) -> Hashes:
    """A hash for every n-gram of two texts, of three kinds: in both, in the first alone, in the second alone."""
    first, second = map(_hashes, texts)
    first.sort()
    second.sort()
    shared, others = _are_in(second, first), ~_are_in(first, second)
    first *= np.where(shared, np.uint64(2 * SHARED + 1), np.uint64(2 * FIRST + 1))
    return np.concatenate((first, second[others] * np.uint64(2 * SECOND + 1)))


def _are_in(known: Hashes, hashes: Hashes) -> NDArray[np.bool_]:
    """Which of `hashes` are among `known`, which ascend."""
    return np.equal(known.take(known.searchsorted(hashes), mode="clip"), hashes)
