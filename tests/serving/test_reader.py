"""From text to features: the tokenizer of an artifact, whole or damaged."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.serving.reader import Reader, TextKeeper, stack, with_texts
from millis.types import Features

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
damaged = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def opened(tmp_path, ngrams, manifest):
    """Writes a description of n-grams, changed, and opens it."""
    text = ngrams()[0].to_str()

    def make(change):
        (tmp_path / "tokenizer.json").write_text(change(text), encoding="utf-8")
        return Reader.of(tmp_path, manifest(max_length=512))

    return make


def test_n_grams_are_read(opened):
    reader = opened(lambda text: text)
    features = reader.feed(reader.tokenize("a b"))
    assert features.ids.dtype == np.int64
    assert features.ids.shape == features.mask.shape == (1, len(reader.tokenize("a b").ids))


@damaged
@given(key=st.sampled_from(["type", "bits", "filled"]), value=ANYTHING.filter(lambda value: value != 14))
def test_values_of_any_kind_are_refused(opened, key, value):
    with pytest.raises(MillisError, match=r"tokenizer.json cannot be read: .*Make the artifact again"):
        opened(lambda text: json.dumps(json.loads(text) | {key: value}))


@damaged
@given(st.data())
def test_a_file_that_ends_early_is_refused(opened, data):
    with pytest.raises(MillisError, match=r"tokenizer.json cannot be read: [\s\S]*Make the artifact again"):
        opened(lambda text: text[: data.draw(st.integers(0, len(text) - 1))])


@pytest.mark.parametrize("key", ["version", "bits", "filled"])
def test_a_key_that_is_missing(opened, key):
    with pytest.raises(MillisError, match="cannot be read"):
        opened(lambda text: json.dumps({name: value for name, value in json.loads(text).items() if name != key}))


def test_a_list_of_descriptions(opened):
    with pytest.raises(MillisError, match="cannot be read"):
        opened(lambda text: f"[{text}]")


def test_texts_stay_with_their_rows(tokenizer, manifest):
    plain = Reader(manifest(), tokenizer())
    keeper = TextKeeper(plain)
    texts = ["a b", ("c", "d"), "e f"]
    rows = [keeper.feed(keeper.tokenize(text)) for text in texts]
    assert [row.texts for row in rows] == [(text,) for text in texts]
    both = stack([rows[0], rows[2]])
    assert both.texts == ["a b", "e f"]
    assert both.ids.tolist() == [[2, 4, 5, 3], [2, 8, 9, 3]]
    alone = [plain.feed(plain.tokenize(text)) for text in ("a b", "e f")]
    assert type(stack(alone)) is Features
    shape = Features(both.ids[:, :2], both.mask[:, :2], None)
    assert with_texts(shape, rows[:2]).texts == texts[:2]
    assert with_texts(shape, alone) is shape
