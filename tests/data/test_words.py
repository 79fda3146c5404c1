"""Words and the tokens at which they begin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from millis.data.words import first_pieces, words

PIECES = ["[UNK]", "[CLS]", "[SEP]", "new", "york", "##er", "don", "'", "t", "a", "b", "##a", "##b", "st", "."]


@pytest.fixture(scope="module")
def wordpiece():
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return made


@pytest.fixture(scope="module")
def byte_level():
    """As GPT-2's: the blank before a word is part of its first token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
    made.decoder = decoders.ByteLevel()
    return made


def test_words_are_what_blanks_divide():
    assert words("  fly to\tSt. Louis ") == [(2, 5), (6, 8), (9, 12), (13, 18)]
    assert words("") == words(" \n") == []


def test_a_word_begins_at_its_first_piece(wordpiece):
    # [CLS] new york ##er don ' t st . [SEP]: `don't` and `st.` are words of several pieces, punctuation among them.
    text = "New yorker don't st."
    assert first_pieces(words(text), wordpiece.encode(text)) == [1, 2, 4, 7]


def test_words_past_a_truncation_have_no_token(wordpiece):
    cut = Tokenizer.from_str(wordpiece.to_str())
    cut.enable_truncation(4)
    assert first_pieces(words("new yorker a b"), cut.encode("new yorker a b")) == [1, 2, None, None]


def test_a_word_that_the_tokenizer_drops_has_no_token(wordpiece):
    assert first_pieces(words("a \u200b b"), wordpiece.encode("a \u200b b")) == [1, None, 2]


def test_a_token_with_the_blank_before_it_belongs_to_the_word_after(byte_level):
    encoding = byte_level.encode("a bc  d")
    pieces = first_pieces(words("a bc  d"), encoding)
    assert None not in pieces and pieces == sorted(set(pieces))
    starts = [encoding.offsets[piece] for piece in pieces]
    assert all(start <= place[0] < place[1] for (start, _), place in zip(starts, words("a bc  d"), strict=True))


@given(st.lists(st.text("ab.'", min_size=1, max_size=5), max_size=8), st.sampled_from([" ", "  ", "\t"]))
def test_every_word_of_known_letters_has_a_token_of_its_own(wordpiece, texts, blank):
    text = blank.join(texts)
    pieces = first_pieces(words(text), wordpiece.encode(text))
    assert len(pieces) == len(texts) and None not in pieces
    assert pieces == sorted(set(pieces))  # each later than the one before
