"""A byte-level tokenizer of any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.models import byte_pairs

TEXTS = ["low lower lowest", "new newer newest", "größer", "das Größte"] * 4
TOKENIZER = byte_pairs.train(TEXTS, 300)


def test_special_tokens_come_first_and_stand_around_a_text():
    assert [TOKENIZER.token_to_id(token) for token in ("<pad>", "<s>", "</s>", "<turn>")] == [0, 1, 2, 3]
    found = TOKENIZER.encode("low")
    assert (found.ids[0], found.ids[-1]) == (1, 2)
    assert found.special_tokens_mask == [1, *[0] * (len(found.ids) - 2), 1]
    assert TOKENIZER.encode("").ids == [1, 2]
    assert TOKENIZER.padding is None and TOKENIZER.truncation is None


@given(st.text())
def test_every_text_is_written_as_it_was_read(text):
    ids = TOKENIZER.encode(text, add_special_tokens=False).ids
    assert TOKENIZER.decode(ids) == text == TOKENIZER.decode([1, *ids, 2])


def test_each_byte_has_a_token_and_frequent_pairs_have_theirs():
    assert TOKENIZER.get_vocab_size() <= 300
    known = set(range(TOKENIZER.get_vocab_size()))
    assert {token for text in TEXTS for token in TOKENIZER.encode(text).ids} <= known
    assert len(TOKENIZER.encode("\x00\x7f", add_special_tokens=False).ids) == 2
    # "low" is the most frequent pair of pairs: l-o, lo-w.
    assert TOKENIZER.encode("low", add_special_tokens=False).tokens == ["low"]
    assert len(TOKENIZER.encode("猫", add_special_tokens=False).ids) == 3, "bytes of UTF-8, seen or not"


def test_offsets_are_of_characters():
    found = TOKENIZER.encode("ö猫x")
    assert [found.offsets[0], found.offsets[-1]] == [(0, 0), (0, 0)]
    assert {end for _, end in found.offsets[1:-1]} == {1, 2, 3}


def test_the_same_texts_give_the_same_tokenizer_and_a_pair_is_two_texts():
    assert byte_pairs.train(TEXTS, 300).to_str() == TOKENIZER.to_str()
    pairs = list(zip(TEXTS[::2], TEXTS[1::2], strict=True))
    assert byte_pairs.train(pairs, 300).to_str() == TOKENIZER.to_str()


def test_few_texts_give_fewer_tokens():
    assert byte_pairs.SMALLEST == 260
    assert byte_pairs.train(["ab ab"], 8192).get_vocab_size() < 265


def test_a_text_that_another_is_written_to_ends_with_a_turn_and_the_other_with_an_end():
    replies = byte_pairs.train(TEXTS, 300, replies=True)
    read, reply = (replies.encode(text, add_special_tokens=False).ids for text in ("low", "new"))
    assert replies.encode("low").ids == [1, *read, 3]
    both = replies.encode("low", "new")
    assert both.ids == [1, *read, 3, *reply, 2]
    assert both.type_ids == [0] * (len(read) + 2) + [1] * (len(reply) + 1)


@pytest.mark.parametrize("texts", [[], [""], [("", "")]])
def test_no_texts(texts):
    with pytest.raises(MillisError) as error:
        byte_pairs.train(texts, 300)
    assert str(error.value) == ("the vocabulary is learned from the training texts, and there are none: check `data`")
