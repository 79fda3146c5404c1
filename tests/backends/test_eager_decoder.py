"""Writing with PyTorch: pieces of a text against the whole, of every architecture that looks back only."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from causal import CAUSAL, LONGEST, VOCABULARY, of_transformers, spec_of, writer
from hypothesis import given
from hypothesis import strategies as st
from shaped import spread

from millis.backends.eager_decoder import EagerDecoder
from millis.errors import MillisError
from millis.models import build
from millis.types import Features


def tokens(count, seed=0):
    return np.random.default_rng(seed).integers(3, VOCABULARY, count)


def whole(decoder, ids):
    """Logits after each token, of the text as a whole, [K, V]."""
    return decoder(Features(ids[None], np.ones((1, len(ids)), np.int64), None))[0][0]


def close(found, expected):
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2e-5 * max(1, np.abs(expected).max())


@pytest.fixture(scope="module", params=CAUSAL)
def decoder(request):
    return EagerDecoder(writer(request.param))


@pytest.fixture(scope="module")
def llama():
    return EagerDecoder(writer())


def test_the_whole_is_what_transformers_say(decoder):
    ids = tokens(12)
    with torch.no_grad():
        close(whole(decoder, ids), of_transformers(decoder.model)(torch.from_numpy(ids)[None]).logits[0].numpy())


@pytest.mark.parametrize("pieces", [[12], [1] * 12, [5, 1, 1, 5], [11, 1]])
def test_pieces_say_what_the_whole_says(decoder, pieces):
    ids, text, begin = tokens(12), decoder.begin(12), 0
    expected = whole(decoder, ids)
    for count in pieces:
        close(text.read(ids[begin : begin + count], every=True), expected[begin : begin + count])
        begin += count
        assert text.length == begin


def test_the_last_row_alone_is_that_of_the_last_token(decoder):
    ids = tokens(7)
    close(decoder.begin(9).read(ids), decoder.begin(9).read(ids, every=True)[-1:])


def test_what_is_rewound_is_forgotten(decoder):
    ids, other = tokens(10), tokens(10, seed=1)
    text, expected = decoder.begin(14), whole(decoder, ids)
    text.read(ids[:6])
    for kept in (6, 3, 0):
        text.rewind(kept)
        assert text.length == kept
        text.read(other[: 10 - kept])  # a draft that was wrong
        text.rewind(kept)
        close(text.read(ids[kept:], every=True), expected[kept:])
        text.rewind(6)


@given(st.data())
def test_any_reading_and_rewinding_is_the_text_that_is_left(llama, data):
    text, ids = llama.begin(20), []
    for _ in range(data.draw(st.integers(1, 6))):
        if ids and data.draw(st.booleans()):
            del ids[data.draw(st.integers(0, len(ids))) :]
            text.rewind(len(ids))
        if len(ids) == 20:
            continue
        more = data.draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=20 - len(ids)))
        ids += more
        close(text.read(np.array(more), every=True), whole(llama, np.array(ids))[-len(more) :])
    assert text.length == len(ids)


@pytest.mark.parametrize("kind", CAUSAL)
def test_layers_of_several_sizes_keep_keys_and_values_of_their_own(kind):
    spec = spec_of(kind)
    decoder = EagerDecoder(spread(build(replace(spec, shape=replace(spec.shape, heads=(2, 4), ffn=(0, 7))))))
    ids = tokens(9)
    text, expected = decoder.begin(9), whole(decoder, ids)
    close(text.read(ids[:4], every=True), expected[:4])
    close(text.read(ids[4:], every=True), expected[4:])


def test_a_window_is_looked_back_through():
    """Mistral's tokens see the last four: what was before changes nothing, in the whole as in pieces."""
    model = writer("mistral", sliding_window=4)
    decoder, ids = EagerDecoder(model), tokens(12)
    expected = whole(decoder, ids)
    with torch.no_grad():
        close(expected, of_transformers(model)(torch.from_numpy(ids)[None]).logits[0].numpy())
    text = decoder.begin(12)
    found = np.concatenate([text.read(ids[:5], every=True), *(text.read(ids[i : i + 1]) for i in range(5, 12))])
    close(found, expected)
    assert text.length == 12


def test_a_window_can_be_rewound():
    decoder, ids = EagerDecoder(writer("mistral", sliding_window=4)), tokens(12)
    text, expected = decoder.begin(12), whole(decoder, ids)
    text.read(ids[:8])
    for kept in (8, 7, 2):
        text.read(tokens(3, seed=1))
        text.rewind(kept)
    close(text.read(ids[2:], every=True), expected[2:])


def test_texts_do_not_meet(llama):
    """Two continuations in turn, and many at once in threads."""
    texts = [tokens(12, seed) for seed in range(8)]
    alone = [whole(llama, ids) for ids in texts]
    one, two = llama.begin(12), llama.begin(12)
    for at in range(12):
        close(one.read(texts[0][at : at + 1])[0], alone[0][at])
        close(two.read(texts[1][at : at + 1])[0], alone[1][at])

    def read(number):
        text = llama.begin(12)
        return np.concatenate([text.read(texts[number][at : at + 1]) for at in range(12)])

    with ThreadPoolExecutor(8) as callers:
        for found, expected in zip(callers.map(read, range(8)), alone, strict=True):
            close(found, expected)


@pytest.mark.parametrize(("read", "more", "message"), [
    (3, 3, "a continuation with room for 5 tokens has read 3 and got 3 more: expected 1 to 2. Begin it with more room"),
    (3, 0, "a continuation with room for 5 tokens has read 3 and got 0 more: expected 1 to 2. Begin it with more room"),
    (5, 1, "a continuation with room for 5 tokens has read 5 and got 1 more: expected 1 to 0. Begin it with more room"),
])  # fmt: skip
def test_what_there_is_no_room_for_is_refused_and_changes_nothing(llama, read, more, message):
    text, ids = llama.begin(5), tokens(9)
    text.read(ids[:read])
    with pytest.raises(MillisError) as error:
        text.read(ids[read : read + more])
    assert str(error.value) == message and text.length == read
    text.rewind(2)
    close(text.read(ids[2:5], every=True), whole(llama, ids)[2:5])


@pytest.mark.parametrize("length", [-1, 4])
def test_more_than_was_read_cannot_be_kept(llama, length):
    text = llama.begin(5)
    text.read(tokens(3))
    with pytest.raises(MillisError) as error:
        text.rewind(length)
    assert str(error.value) == f"cannot rewind to {length} tokens; expected 0 to 3, which were read"
    assert text.length == 3


@pytest.mark.parametrize("room", [0, LONGEST + 1])
def test_no_text_is_longer_than_the_model_has_positions_for(llama, room):
    with pytest.raises(MillisError) as error:
        llama.begin(room)
    assert str(error.value) == (
        f"a text is begun with room for {room} tokens; expected 1 to {LONGEST}, which the model reads"
    )


@pytest.mark.parametrize("wrong", [-1, VOCABULARY])
def test_an_id_outside_of_the_vocabulary_leaves_the_text_as_it_was(llama, wrong):
    text, ids = llama.begin(5), tokens(4)
    text.read(ids[:2])
    with pytest.raises(MillisError) as error:
        text.read(np.array([3, wrong]))
    assert str(error.value) == (
        f"token id {wrong} is outside of the model's vocabulary of {VOCABULARY}: use the artifact's own tokenizer"
    )
    close(text.read(ids[2:], every=True), whole(llama, ids)[2:])
