"""Mixing: spans by hand, their share, and languages without spaces."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from millis.data.augment.mix import Mix, words
from millis.models import wordpiece

NOTHING = np.zeros((1, 1), np.float32)


def mixes(texts, tokenizer, share, seeds=range(60)):
    change = Mix(share).over(texts, tokenizer, NOTHING)
    return {change(0, np.random.default_rng(seed)) for seed in seeds}


def test_every_mixture_of_two_texts_by_hand(tokenizer):
    """Two of four words give way to two neighbouring words of the other."""
    assert mixes(["a b c d", "X y"], tokenizer, 0.5) == {"X y c d", "a X y d", "a b X y"}
    assert mixes(["a b", "x y z"], tokenizer, 0.5) == {f"{w} b" for w in "xyz"} | {f"a {w}" for w in "xyz"}


def test_a_shorter_text_gives_all_it_has(tokenizer):
    assert mixes(["a b c", "x"], tokenizer, 1.0) == {"x b c", "a x c", "a b x"}


@given(st.integers(1, 9), st.integers(1, 9), st.floats(0.05, 1), st.integers(0, 99))
def test_share_of_words_replaced(mine, theirs, share, seed):
    tokenizer = wordpiece.train(["m t"], 50, lowercase=True)
    change = Mix(share).over([" ".join("m" * mine), " ".join("t" * theirs)], tokenizer, NOTHING)
    mixed = change(0, np.random.default_rng(seed)).split()
    assert len(mixed) == mine
    assert mixed.count("t") == min(max(1, round(share * mine)), mine, theirs)


def test_pairs_are_mixed_part_by_part(tokenizer):
    change = Mix(0.1).over([("a a", "b b"), ("x x", "y y")], tokenizer, NOTHING)
    seen = {change(0, np.random.default_rng(seed)) for seed in range(30)}
    assert seen == {(first, second) for first in ("x a", "a x") for second in ("y b", "b y")}


def test_never_with_itself(tokenizer):
    change = Mix(1.0).over(["a", "b", "c"], tokenizer, NOTHING)
    assert {change(1, np.random.default_rng(seed)) for seed in range(30)} == {"a", "c"}
    assert Mix(1.0).over(["a"], tokenizer, NOTHING)(0, np.random.default_rng(0)) == "a"


def test_languages_without_spaces_have_words_too():
    tokenizer = wordpiece.train(["天气很好", "喜欢喝茶"], 50, lowercase=True)
    assert mixes(["天气", "茶"], tokenizer, 0.5) == {"茶气", "天茶"}


def test_words_hold_all_their_pieces_and_special_tokens_are_words(tokenizer):
    text = "Mondays,  [SEP] zzz a"
    assert [text[start:end] for start, end in words(text, tokenizer)] == ["Mondays", ",", "[SEP]", "zzz", "a"]
    assert words("", tokenizer) == []


def test_texts_without_words_are_left(tokenizer):
    assert mixes(["", "a b"], tokenizer, 0.5) == {""}
    assert mixes(["a b", ""], tokenizer, 0.5) == {"a b"}
