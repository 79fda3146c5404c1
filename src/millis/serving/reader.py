"""From a request's text to a model's inputs: an artifact's tokenizer, and arrays that are made once, one a length."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from millis.data.beginning import beginning
from millis.errors import MillisError, is_panic, without_panics
from millis.models import tokenizer as tokenizers
from millis.models.ngrams import NgramEncoding
from millis.models.tokenizer import AnyTokenizer
from millis.serving.quick_tokens import QuickEncoding, quick
from millis.storage.archived import read_bytes
from millis.storage.manifest import TOKENIZER, Manifest
from millis.types import Features, Text


class Reader:
    """Reads one request at a time.

    Args:
        manifest: What the artifact is.
        tokenizer: The artifact's; its truncation is set and its padding turned off.
    """

    def __init__(self, manifest: Manifest, tokenizer: AnyTokenizer) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(manifest.max_length)
        self.tokenizer = tokenizer
        self._beginning = beginning(tokenizer, manifest.max_length)
        self._keeps_text = manifest.answers.reads_offsets
        self._single: Callable[[str], QuickEncoding] | None = None  # reads single texts in its place, where it can
        # Without offsets 17 µs, with them 24; by `_single` 2.
        self._encode: Any = tokenizer.encode_batch if manifest.answers.reads_offsets else tokenizer.encode_batch_fast
        # Row n of each: what a text of n tokens needs, [1, n].
        ones, zeros = np.ones((1, manifest.max_length), np.int64), np.zeros((1, manifest.max_length), np.int64)
        self._masks = [ones[:, :length] for length in range(manifest.max_length + 1)]
        self._types = [zeros[:, :length] for length in range(manifest.max_length + 1)]
        self._takes_types = "token_type_ids" in manifest.inputs
        # A text without a single token, as training pads it: one position, masked out.
        blank = zeros[:, :1]
        self._blank = Features(blank, blank, blank if self._takes_types else None)

    @classmethod
    def of(cls, folder: Path, manifest: Manifest) -> "Reader":
        """The reader of an artifact or of a cascade's member.

        Raises:
            MillisError: its tokenizer is missing or damaged.
        """
        with without_panics(str(folder / TOKENIZER)):
            try:
                serialized = bytes(read_bytes(folder / TOKENIZER)).decode("utf-8")
                reader = cls(manifest, tokenizers.read(serialized))
                if not reader._keeps_text and isinstance(reader.tokenizer, Tokenizer):
                    reader._single = quick(reader.tokenizer, serialized, reader.largest_id, manifest.max_length)
                return reader
            except MillisError:
                raise
            except Exception as error:  # tokenizers raises bare Exception
                raise MillisError(f"{folder / TOKENIZER} cannot be read: {error}. Make the artifact again") from error

    @cached_property
    def largest_id(self) -> int:
        """Of the tokenizer's tokens; 0 where it has none."""
        return max(self.tokenizer.get_vocab().values(), default=0)

    def tokenize(self, text: Text) -> "Encoded":
        """Text to at most `max_length` tokens; of a long text no more is read than settles these.

        Raises:
            MillisError: neither a string nor a pair of strings, or nothing that the tokenizer can read.
        """
        if self._keeps_text and not isinstance(text, str):
            raise MillisError(
                f"a request got a {type(text).__name__}, expected one string: the words of a text, divided by "
                "blanks, have tags"
            )
        try:
            if self._single is not None and type(text) is str:
                return self._single(cast(str, self._beginning(text)))
            encoding: Encoding | NgramEncoding = self._encode([self._beginning(text)])[0]
            return TextEncoding(encoding, text) if self._keeps_text else encoding
        except (TypeError, UnicodeEncodeError) as error:
            raise MillisError(
                f"a request got a {type(text).__name__}, expected a string or a pair (tuple) of strings, of valid "
                "Unicode"
            ) from error
        except BaseException as error:
            if not is_panic(error):
                raise
            raise MillisError(f"the artifact's tokenizer cannot read a request: {error}") from error

    def feed(self, encoding: Any) -> Features:
        """Tokens to the model's inputs, [1, S]."""
        ids = np.asarray(encoding.ids, np.int64)[None]
        length = ids.shape[1]
        if length == 0:
            return self._blank
        if not self._takes_types:
            return Features(ids, self._masks[length], None)
        if isinstance(encoding, TextEncoding) or encoding.n_sequences == 1:  # tags are those of one text
            return Features(ids, self._masks[length], self._types[length])
        return Features(ids, self._masks[length], np.array([encoding.type_ids], dtype=np.int64))

    def examples(self) -> list[Features]:
        """A request of 1, 2, 4, ... tokens, up to the longest; of all words, for a model may drop a text of one."""
        longest = len(self._masks) - 1
        lengths = sorted({*(2**power for power in range(longest.bit_length()) if 2**power < longest), longest})
        known = np.sort(np.fromiter(self.tokenizer.get_vocab().values(), np.int64))
        return [
            Features(
                known[np.linspace(0, len(known) - 1, length).astype(int)][None],
                self._masks[length],
                self._types[length] if self._takes_types else None,
            )
            for length in lengths
        ]


class Texts(Features):
    """Features and the texts that they are of, for a member of a cascade that reads them for itself."""

    texts: Sequence[Text] = ()


class TextEncoding(NamedTuple):
    """A text's tokens, and the text."""

    encoding: Encoding | NgramEncoding | QuickEncoding
    text: Text

    @property
    def ids(self) -> Sequence[int] | NDArray[Any]:
        """Token ids."""
        ids: Sequence[int] | NDArray[Any] = self.encoding.ids
        return ids

    @property
    def overflowing(self) -> bool:
        """Whether the text is longer than is read."""
        return bool(self.encoding.overflowing)


Encoded: TypeAlias = Encoding | NgramEncoding | QuickEncoding | TextEncoding


class TextKeeper:
    """A reader whose features keep their texts."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.examples = reader.examples

    def tokenize(self, text: Text) -> TextEncoding:
        """As the reader does."""
        encoding = self._reader.tokenize(text)
        return encoding if isinstance(encoding, TextEncoding) else TextEncoding(encoding, text)

    def feed(self, encoding: Any) -> Texts:
        """As the reader does."""
        features = Texts(*self._reader.feed(encoding.encoding))
        features.texts = (encoding.text,)
        return features


def with_texts(features: Features, rows: Sequence[Features]) -> Features:
    """`features` [B, S], and the texts of its `rows` where these keep them."""
    if not isinstance(rows[0], Texts):
        return features
    kept = Texts(*features)
    kept.texts = [text for row in rows if isinstance(row, Texts) for text in row.texts]
    return kept


def stack(rows: Sequence[Features]) -> Features:
    """Rows of one length, [1, S] each, to [B, S]."""
    types = [one.token_types for one in rows if one.token_types is not None]
    stacked = Features(
        np.concatenate([one.ids for one in rows]),
        np.concatenate([one.mask for one in rows]),
        np.concatenate(types) if types else None,
    )
    return with_texts(stacked, rows)
