"""Typos: each kind by hand, and what they leave alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.data.augment.typos import BESIDE, WORD, Typos, slip


def one(text, tokenizer, seed=0, share=1.0):
    return Typos(share).over([text], tokenizer, np.zeros((1, 1), np.float32))(0, np.random.default_rng(seed))


def test_every_slip_of_a_word_by_hand():
    """cat: its a becomes s (the key beside it), is dropped, doubled, or swapped with t."""
    assert {slip("cat", np.random.default_rng(seed)) for seed in range(60)} == {"cst", "ct", "caat", "cta"}


def test_keys_beside_by_hand():
    assert (BESIDE["a"], BESIDE["g"], BESIDE["p"], BESIDE["m"]) == ("s", "fh", "o", "n")


def test_capitals_stay_capitals():
    assert {slip("CAT", np.random.default_rng(seed)) for seed in range(60)} == {"CST", "CT", "CAAT", "CTA"}


@given(st.text("abcdefgh zäß日", min_size=3, max_size=9).filter(str.isalpha), st.integers(0, 99))
def test_a_slip_keeps_the_first_letter_and_almost_the_length(word, seed):
    slipped = slip(word, np.random.default_rng(seed))
    assert slipped[0] == word[0]
    assert abs(len(slipped) - len(word)) <= 1


def test_share_of_changed_words(tokenizer):
    """Ten words, each of which any slip changes: a share of 0.3 changes three."""
    words = ["horse", "plane", "table", "chair", "money", "light", "water", "bread", "stone", "cloud"]
    for seed in range(10):
        changed = one(" ".join(words), tokenizer, seed, share=0.3).split(" ")
        assert sum(before != after for before, after in zip(words, changed, strict=True)) == 3


@given(st.lists(st.sampled_from(["[SEP]", "[CLS]", "[MASK]x", "to", "12345", "?!", "abc123", "order"]), max_size=8))
def test_special_tokens_numbers_and_short_words_stay(words):
    from millis.models import wordpiece

    tokenizer = wordpiece.train(["order"], 50, lowercase=True)
    changed = one(" ".join(words), tokenizer).split(" ")
    for before, after in zip(words, changed, strict=False):
        if not WORD.search(before) or before in ("[SEP]", "[CLS]"):
            assert after == before


def test_no_word_no_change(tokenizer):
    assert one("?! 12", tokenizer) == "?! 12"
    assert one("", tokenizer) == ""


@pytest.mark.parametrize("seed", range(5))
def test_the_rest_of_the_text_is_untouched(tokenizer, seed):
    changed = one("  Hello,\tworld!  ", tokenizer, seed, share=0.5)
    assert changed.startswith("  H") and changed.endswith("!  ") and ",\t" in changed
