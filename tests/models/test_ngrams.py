"""N-grams as token ids: which there are, by a plain reference; the same after a round trip; bad input."""

import json
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.models.ngrams import LONGEST, NgramTokenizer
from millis.models.tokenizer import longest, read

MASK = 2**64 - 1
TEXTS = [
    "where is my parcel",
    "where is my refund",
    "Where  IS my\tparcel",
    "包裹在哪里",
    "退款在哪里",
    "wo ist mein Paket 📦",
]


def grams(text):
    """The n-grams of a text as strings, by the docstring's words."""
    plain = f" {' '.join(unicodedata.normalize('NFKC', text[:LONGEST]).lower().split())} "
    words = plain.split()
    runs = {("c", plain[i : i + n]) for n in range(1, 6) for i in range(len(plain) - n + 1)}
    return runs | {("w", " ".join(words[i : i + n])) for n in (1, 2) for i in range(len(words) - n + 1)}


def numbers(text):
    """Hash of each n-gram by the docstring's formula, before it is mixed, in integers of Python."""
    plain = f" {' '.join(unicodedata.normalize('NFKC', text).lower().split())} "
    words = plain[1:-1].split(" ")
    runs = [(plain[i : i + n], n) for n in range(1, 6) for i in range(len(plain) - n + 1)]
    runs += [(" ".join(words[i : i + n]), 100 + n) for n in (1, 2) for i in range(len(words) - n + 1)]
    base = 0x9E3779B97F4A7C15
    return {sum(ord(c) * pow(base, k, 2**64) for k, c in enumerate(run)) + kind & MASK for run, kind in runs}


def expected_ids(tokenizer, text):
    if isinstance(text, tuple):
        first, second = map(numbers, text)
        parts = {3: first & second, 5: first - second, 7: second - first}
        hashes = {factor * number & MASK for factor, part in parts.items() for number in part}
    else:
        hashes = numbers(text)
    buckets = {((h ^ h >> 32) * 0xD6E8FEB86659FD93 & MASK) >> 64 - tokenizer.bits for h in hashes}
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary[str(bucket)] for bucket in buckets if str(bucket) in vocabulary)


@pytest.fixture(scope="module")
def everything():
    """Every n-gram of the texts has an id."""
    return NgramTokenizer.learn(TEXTS, bits=20, least=1)


@pytest.fixture(scope="module")
def every_second():
    """A vocabulary of half of all buckets: any text has ids."""
    return NgramTokenizer(10, np.arange(0, 1 << 10, 2))


def ids(tokenizer, text):
    return tokenizer.encode_batch_fast([text])[0].ids.tolist()


def test_ids_are_those_of_the_plain_definition(everything):
    # Of some 400 n-grams in a million buckets hardly two meet: as many ids as n-grams, and as many in common.
    for one in TEXTS:
        assert abs(len(ids(everything, one)) - len(grams(one))) <= 1
        for other in TEXTS:
            common = set(ids(everything, one)) & set(ids(everything, other))
            assert abs(len(common) - len(grams(one) & grams(other))) <= 1


@given(
    st.text(max_size=60) | st.text("ab ", max_size=30) | st.tuples(st.text("ab é", max_size=20), st.text(max_size=20))
)
def test_ids_are_those_of_the_formula_in_integers(every_second, text):
    assert ids(every_second, text) == expected_ids(every_second, text)


def test_threads_share_a_tokenizer(everything):
    texts = [text * repeat for text in TEXTS for repeat in range(1, 9)]
    alone = [ids(everything, text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda text: ids(everything, text), texts * 20)) == alone * 20


def test_case_and_blanks_make_no_difference(everything):
    assert ids(everything, TEXTS[0]) == ids(everything, TEXTS[2])


def test_n_grams_of_few_texts_are_not_seen():
    tokenizer = NgramTokenizer.learn(TEXTS, least=2)
    assert set(ids(tokenizer, "在哪里")) <= set(ids(tokenizer, TEXTS[3]))
    assert ids(tokenizer, "") == ids(tokenizer, "   ")


def test_a_pair_tells_what_both_say_from_what_one_says():
    pairs = [("a red car", "a red bus"), ("a red car", "a red car"), ("a blue car", "no")]
    tokenizer = NgramTokenizer.learn(pairs, bits=20, least=1)
    same, changed = ids(tokenizer, ("a red car", "a red car")), ids(tokenizer, ("a red car", "no"))
    assert abs(len(same) - len(grams("a red car"))) <= 1
    assert len(set(same) & set(changed)) <= len(grams("a red car") & grams("no"))
    assert ids(tokenizer, ("a red car", "a red bus")) != ids(tokenizer, ("a red bus", "a red car"))


@given(st.text(max_size=60))
def test_ids_ascend_within_the_vocabulary_and_survive_a_round_trip(text):
    tokenizer = NgramTokenizer.learn(TEXTS, bits=16, least=1)
    found = ids(tokenizer, text)
    assert found == sorted(set(found))
    assert all(0 < id < tokenizer.get_vocab_size() for id in found)
    again = read(tokenizer.to_str())
    assert isinstance(again, NgramTokenizer)
    assert ids(again, text) == found
    assert again.to_str() == tokenizer.to_str()


def test_a_long_text_is_cut_and_says_so(everything):
    text = "where is my parcel " * 1000
    whole, begun = everything.encode_batch_fast([text, text[:LONGEST]])
    assert np.array_equal(whole.ids, begun.ids)
    assert whole.overflowing
    assert not begun.overflowing
    assert longest(everything, 128) == everything.max_length >= len(whole.ids)


def test_a_surrogate_alone_is_no_fault(everything):
    assert isinstance(ids(everything, "a \ud800 b"), list)


def test_texts_without_a_common_n_gram():
    with pytest.raises(MillisError, match="no word or run of characters is in 3 of the 2 training texts"):
        NgramTokenizer.learn(["a", "b"], least=3)


@pytest.mark.parametrize("wrong", [None, 5, ("a",), ("a", 1), ["a", "b"]])
def test_what_is_no_text(everything, wrong):
    with pytest.raises(TypeError, match="expected a string or a pair of strings"):
        everything.encode_batch_fast([wrong])


@pytest.mark.parametrize("change", [{"version": 2}, {"bits": 99}, {"bits": "18"}, {"filled": "AAAA"}, {"filled": "?"}])
def test_a_damaged_description(everything, change):
    values = json.loads(everything.to_str()) | change
    with pytest.raises(ValueError):
        read(json.dumps(values))
