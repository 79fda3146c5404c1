"""Writing token by token on ONNX Runtime: the contract of `millis.types.Continuation`."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from looking_back import LONGEST, VOCABULARY, after_each, exported, looking_back, signature, tokens

from millis.backends.eager_decoder import EagerDecoder
from millis.backends.onnx.decoder import OnnxDecoder
from millis.backends.onnx.export import export
from millis.backends.onnx.session import open_inference
from millis.errors import MillisError
from millis.generation.greedy import Greedy
from millis.generation.writing import Vocabulary
from millis.types import Features

NO_END = Vocabulary((), str)


@pytest.fixture(scope="module")
def model():
    return looking_back(size=16)


@pytest.fixture(scope="module")
def decoder(model, tmp_path_factory):
    return exported(model, tmp_path_factory.mktemp("graph") / "m.onnx")


def test_the_last_row_alone_or_every_row(model, decoder):
    ids, expected = tokens(0, 9), after_each(model, tokens(0, 9))
    text = decoder.begin(9)
    assert (first := text.read(ids[:5])).shape == (1, VOCABULARY)
    assert first.dtype == np.float32
    assert first == pytest.approx(expected[4:5], abs=1e-4)
    assert text.read(ids[5:], every=True) == pytest.approx(expected[5:], abs=1e-4)
    assert text.length == 9


def test_a_text_is_rewound_and_goes_on_otherwise(model, decoder):
    ids, others = tokens(0, 9), tokens(1, 9)
    text = decoder.begin(9)
    text.read(ids)
    text.rewind(3)
    assert text.length == 3
    expected = after_each(model, np.concatenate([ids[:3], others[:6]]))
    assert text.read(others[:6], every=True) == pytest.approx(expected[3:], abs=1e-4)
    text.rewind(0)
    assert text.read(others) == pytest.approx(after_each(model, others)[-1:], abs=1e-4)


def test_a_later_answer_leaves_an_earlier_one_alone(decoder):
    text = decoder.begin(3)
    first = text.read(tokens(0, 1))
    kept = first.copy()
    text.read(tokens(1, 1))
    assert first.tolist() == kept.tolist()


def test_tokens_may_lie_anywhere(model, decoder):
    spread = np.repeat(tokens(0, 6), 2)[::2]
    assert not spread.flags.c_contiguous
    assert decoder.begin(6).read(spread) == pytest.approx(after_each(model, tokens(0, 6))[-1:], abs=1e-4)


def test_there_is_room_for_what_was_asked_for(decoder):
    text = decoder.begin(4)
    text.read(tokens(0, 3))
    for count in (0, 2):
        with pytest.raises(MillisError, match=rf"has read 3 and got {count} more: expected 1 to 1. Begin it with more"):
            text.read(tokens(0, count))
    assert text.length == 3
    text.read(tokens(0, 1))


def test_an_id_outside_of_the_vocabulary_leaves_the_text_as_it_was(decoder):
    text = decoder.begin(4)
    text.read(tokens(0, 2))
    message = f"token id {VOCABULARY} is outside of the model's vocabulary of {VOCABULARY}: use the artifact's own"
    with pytest.raises(MillisError, match=message):
        text.read(np.array([1, VOCABULARY]))
    assert text.length == 2
    text.read(tokens(0, 2))


@pytest.mark.parametrize("room", [0, LONGEST + 1])
def test_no_text_is_longer_than_the_model_has_positions_for(decoder, room):
    message = rf"begun with room for {room} tokens; expected 1 to {LONGEST}, which the model reads"
    with pytest.raises(MillisError, match=message):
        decoder.begin(room)
    assert len(decoder.begin(LONGEST).read(tokens(0, LONGEST))) == 1


@pytest.mark.parametrize("seed", range(3))
def test_greedy_writes_what_eager_writes(model, decoder, seed):
    choice, prompt = Greedy(max_tokens=30), tokens(seed, 5)
    ours, theirs = (choice.begin(one, prompt, NO_END).finish() for one in (decoder, EagerDecoder(model)))
    assert ours.tokens.tolist() == theirs.tokens.tolist()
    assert len(ours.tokens) == 30


def test_texts_are_written_beside_each_other(decoder):
    prompts = [tokens(seed, 3 + seed) for seed in range(8)]

    def written(prompt):
        return Greedy(max_tokens=20).begin(decoder, prompt, NO_END).finish().tokens.tolist()

    alone = [written(prompt) for prompt in prompts]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(written, prompts * 3)) == alone * 3
    texts = [decoder.begin(30) for _ in prompts]
    rows = [text.read(prompt) for text, prompt in zip(texts, prompts, strict=True)]
    for place in range(19):  # in turns
        assert [int(row.argmax()) for row in rows] == [one[place] for one in alone]
        rows = [text.read(row.argmax(axis=1)) for text, row in zip(texts, rows, strict=True)]


def test_padding_before_tokens_is_refused(decoder):
    mask = np.array([[1, 1], [0, 1]])
    with pytest.raises(MillisError, match="a decoder got padding before tokens: expected it after them"):
        decoder(Features(np.ones((2, 2), np.int64), mask, None))


def test_a_graph_of_another_kind_is_refused(model, tmp_path):
    export(model, path := tmp_path / "m.onnx", signature(model), None)
    assert "GroupQueryAttention" not in {node.op_type for node in onnx.load(path).graph.node}
    with pytest.raises(MillisError, match=r"does not write token by token, as its manifest says. Make the artifact"):
        OnnxDecoder(*open_inference(path, threads=1))
