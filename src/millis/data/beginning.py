"""The beginning of a long text: as much of it as settles its first tokens, so that nobody tokenises the rest.

A tokenizer with truncation reads the whole text and keeps every piece that it cuts off: some 85 bytes for each byte of
it. What it keeps is nearly always settled by a few characters for each token. Here a text is cut, and the cut is
believed only where no rule of a tokenizer can look from its end back to the tokens that are kept:

* their words, as the tokenizer itself splits the text, are complete, so that neither WordPiece's limit of characters
  a word nor a search over a whole word (Unigram, byte pairs) sees another text;
* after them, but well before the cut, there is a letter or sign. Only runs of digits ("in threes, from the right"), of
  blanks and of combining marks are split by what ends them; and added tokens by their own length.

Otherwise four times as much is tried, at last all of it: a text without a single break, for a tokenizer that splits
at blanks alone, is tokenised whole.
"""

from collections.abc import Callable
from unicodedata import category

from tokenizers import Tokenizer

from millis.models.ngrams import NgramTokenizer
from millis.models.tokenizer import AnyTokenizer
from millis.types import Text

PER_TOKEN = 8  # characters to begin with: twice what a token of most languages takes
MARGIN = 64  # characters before the cut that settle nothing: longer than any sequence that a normalizer composes
GROWTH = 4
BREAKS = "LPS"  # letters, punctuation, symbols; by the first letter of their Unicode category


def beginning(tokenizer: AnyTokenizer, max_length: int) -> Callable[[Text], Text]:
    """What shortens texts for `tokenizer`; n-grams are read of a bounded beginning anyway."""
    return _whole if isinstance(tokenizer, NgramTokenizer) else Beginning(tokenizer, max_length)


def _whole(text: Text) -> Text:
    return text


class Beginning:
    """Shortens texts for a tokenizer, without changing a token of what is kept or whether anything is cut off.

    Args:
        tokenizer: With its truncation on; see `tokenizers.Tokenizer.enable_truncation`.
        max_length: To which it truncates.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        self._tokenizer, self._max_length = tokenizer, max_length
        self._window = PER_TOKEN * max_length + 8 * MARGIN
        added = tokenizer.get_added_tokens_decoder().values()
        self._margin = MARGIN + max((len(token.content) for token in added), default=0)
        # Of two long texts the longer keeps a token more where the room is odd: then both are counted out.
        self._needs_order = (max_length - tokenizer.num_special_tokens_to_add(is_pair=True)) % 2 == 1

    def __call__(self, text: Text) -> Text:
        """`text`, or a beginning of it of which the tokenizer makes the same tokens, cut off in the same way."""
        if type(text) is str:
            return text if len(text) <= self._window else self._shortened(text)
        if type(text) is tuple and len(text) == 2 and all(type(part) is str for part in text):
            return text if max(map(len, text)) <= self._window else self._pair(text)
        return text  # the tokenizer refuses it

    def _pair(self, pair: tuple[str, str]) -> Text:
        first, second = map(self._shortened, pair)
        if not self._needs_order or min(map(self._count, (first, second))) <= self._max_length:
            return first, second
        longer = self._count(pair[0]) > self._count(pair[1])
        for candidate in ((first, second), (pair[0], second), (first, pair[1])):
            if (self._count(candidate[0]) > self._count(candidate[1])) == longer:
                return candidate
        return pair

    def _shortened(self, text: str) -> str:
        length = self._window
        while length < len(text):
            if self._settles(text[:length]):
                return text[:length]
            length *= GROWTH
        return text

    def _settles(self, start: str) -> bool:
        """Whether more than `max_length` tokens of `start` are those of every text that begins so."""
        last = len(start) - self._margin - 1
        settled = next((i for i in range(last, 0, -1) if category(start[i])[0] in BREAKS), 0)
        words = self._words(start)
        if len(words) <= self._max_length:
            return False
        decisive = words[self._max_length][0]
        return max(end for word, end in words if word == decisive) <= settled

    def _count(self, text: str) -> int:
        """Tokens of the whole of `text`."""
        return len(self._words(text))

    def _words(self, text: str) -> list[tuple[int, int]]:
        """The word of each token of the whole of `text`, and where the token ends."""
        [whole] = self._tokenizer.encode_batch([text])  # with words and offsets, unlike `encode_batch_fast`
        return [
            (word, end)
            for piece in (whole, *whole.overflowing)
            for word, (_, end) in zip(piece.word_ids, piece.offsets, strict=True)
            if word is not None
        ]
