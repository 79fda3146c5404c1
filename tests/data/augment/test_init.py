"""Augmentation: how many, from which seed, and that nothing occurs twice."""

from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from millis.cli.hydra_app import conf_dir
from millis.data.augment import Augmentation, drawn, none, special_tokens, stripped
from millis.data.augment.mix import Mix
from millis.data.augment.neighbours import Neighbours
from millis.data.augment.typos import Typos
from millis.errors import MillisError

TEXTS = ["Please cancel my order on Monday!", "a table for 7 on friday", "order 8 on tuesday, please"]
FILES = sorted((Path(conf_dir()) / "augmentation").glob("*.yaml"))
METHODS = {"neighbours": Neighbours(), "typos": Typos(), "mix": Mix(), "all": None}


class Numbered:
    """Gives `<text> <number>` of its own."""

    def __init__(self, mark):
        self.mark = mark

    def over(self, texts, tokenizer, table):
        return lambda row, generator: f"{texts[row]} {self.mark}{int(generator.integers(10**9))}"


def methods(name):
    return list(METHODS.values())[:3] if METHODS[name] is None else [METHODS[name]]


def test_methods_take_turns_and_rows_stay_together(tokenizer, table):
    made = Augmentation([Numbered("x"), Numbered("y")], copies=3)(["a", "b"], tokenizer, table)
    assert [text[:3] for text in made] == ["a x", "a y", "a x", "b x", "b y", "b x"]
    assert len(set(made)) == 6


@pytest.mark.parametrize("name", METHODS)
def test_one_seed_gives_one_result_whatever_else_is_there(tokenizer, table, name):
    """Mixing takes from other rows; the other methods change a row alike wherever it stands among more rows."""
    make = Augmentation(methods(name), copies=5, seed=3)
    assert make(TEXTS, tokenizer, table) == make(TEXTS, tokenizer, table)
    assert Augmentation(methods(name), copies=5, seed=4)(TEXTS, tokenizer, table) != make(TEXTS, tokenizer, table)
    if name in ("neighbours", "typos"):
        first = make(TEXTS[:1], tokenizer, table)
        assert make(TEXTS, tokenizer, table)[: len(first)] == first


@pytest.mark.parametrize("name", METHODS)
def test_extra_texts_are_new_and_differ(tokenizer, table, name):
    @given(st.lists(st.sampled_from([*TEXTS, "", "?!", "cancel"]), min_size=1, max_size=4), st.integers(1, 5))
    def check(texts, copies):
        made = Augmentation(methods(name), copies=copies)(texts, tokenizer, table)
        assert len(made) <= copies * len(texts)
        assert len(set(made)) == len(made)
        assert not set(made) & set(texts)

    check()


@pytest.mark.parametrize("name", METHODS)
def test_pairs_stay_pairs(tokenizer, table, name):
    pairs = [(TEXTS[0], TEXTS[1]), (TEXTS[2], "monday or friday")]
    made = Augmentation(methods(name), copies=4)(pairs, tokenizer, table)
    assert made and all(isinstance(text, tuple) and len(text) == 2 for text in made)


def test_what_cannot_be_changed_gives_nothing(tokenizer, table):
    for name in METHODS:
        assert Augmentation(methods(name))(["?!"], tokenizer, table) == []
        assert Augmentation(methods(name))([], tokenizer, table) == []


def test_the_callers_tokenizer_and_its_settings_are_left_alone(tokenizer, table):
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=30)
    before = tokenizer.to_str()
    try:
        made = Augmentation([Neighbours(share=1.0)], copies=1)(["one two three four monday"], tokenizer, table)
        assert tokenizer.to_str() == before
        assert made[0].endswith(("tuesday", "friday"))  # beyond the fourth token
    finally:
        tokenizer.no_truncation()
        tokenizer.no_padding()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_config_makes_extra_texts(tokenizer, table, path):
    made = instantiate(OmegaConf.load(path))
    if made is None:
        assert path.stem == "none" and none() is None
        return
    assert made(TEXTS, tokenizer, table)


@given(st.integers(0, 30), st.floats(0.01, 1), st.integers(0, 99))
def test_share_of_places(count, share, seed):
    places = drawn(count, share, np.random.default_rng(seed))
    assert len(places) == (0 if count == 0 else min(count, max(1, round(share * count))))
    assert places == sorted(set(places)) and set(places) <= set(range(count))


def test_small_helpers(tokenizer):
    assert special_tokens(tokenizer) == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    assert stripped("go  on ", (2, 7)) == (4, 6)


def test_bad_input():
    with pytest.raises(MillisError, match=r"^augmentation\.methods is empty: give some, or choose augmentation=none$"):
        Augmentation([])
    with pytest.raises(MillisError, match=r"^augmentation\.copies=0: expected at least 1; augmentation=none adds no"):
        Augmentation([Typos()], copies=0)
    for method in (Typos, Mix, Neighbours):
        for share in (0.0, 1.1):
            with pytest.raises(MillisError) as error:
                method(share=share)
            assert str(error.value) == f"augmentation.methods.share={share}: expected a share above 0 and up to 1"
