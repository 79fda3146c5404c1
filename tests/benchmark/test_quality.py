from dataclasses import replace

import numpy as np
import pytest
from causal import TEXTS, TOKENIZER, written

from millis.benchmark import quality
from millis.benchmark.quality import answer
from millis.serving.runner import load


def logits(outputs):
    """Of each text, [N][C]; a text's are [1, C]."""
    return [row for (array,) in outputs for row in array.tolist()]


def test_every_text_is_answered_and_long_ones_are_counted(artifact):
    answers = answer(load(artifact("tiny")), ["a", "a a a", " ".join("a" * 12)])
    # Logits are (0, number of tokens); 8 is the longest.
    assert logits(answers.outputs) == [[0, 1], [0, 3], [0, 8]]
    assert answers.predictions == [1, 1, 1]
    assert answers.truncated == 1


def test_no_texts(artifact):
    answers = answer(load(artifact("tiny")), [])
    assert (answers.predictions, answers.outputs, answers.truncated) == ([], [], 0)


@pytest.mark.parametrize("together", [1, 2, 32])
def test_texts_that_share_a_pass_get_their_own_answers(artifact, monkeypatch, together):
    monkeypatch.setattr(quality, "TOGETHER", together)
    runner = load(artifact("tiny"))
    texts = ["a a", "a", "", "a a a", "a", "", "a a"]
    found = answer(runner, texts).outputs
    assert [array.shape for (array,) in found] == [(1, 2)] * len(texts)
    assert logits(found) == runner.logits(texts).tolist()


def test_int8_is_asked_one_text_at_a_time(artifact, monkeypatch):
    runner = load(artifact("tiny"))
    monkeypatch.setattr(runner, "manifest", replace(runner.manifest, quantization={"weights": 8}))
    sizes = []
    compute = runner.compute
    monkeypatch.setattr(runner, "compute", lambda features: sizes.append(len(features.ids)) or compute(features))
    answer(runner, ["a", "a", "a"])
    assert sizes == [1, 1, 1]


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    return load(written(tmp_path_factory.mktemp("writer") / "a"))


def test_what_writes_is_judged_by_its_likelihoods(writer):
    found = answer(writer, TEXTS[:4])
    assert [len(outputs) for outputs in found.outputs] == [1] * 4
    for text, (nats, tokens, bytes_), (logits,) in zip(TEXTS, found.predictions, found.outputs, strict=False):
        ids = TOKENIZER.encode(text).ids
        assert logits.shape == (1, len(ids), TOKENIZER.get_vocab_size())
        assert (tokens, bytes_) == (len(ids) - 2, len(text.encode()))
        rows = logits[0].astype(np.float64)
        chances = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
        assert nats == pytest.approx(-np.log([chances[at, ids[at + 1]] for at in range(len(ids) - 2)]).sum(), rel=1e-6)


@pytest.mark.parametrize(("room", "kept"), [(0, 1), (1.5, 1), (2.5, 2), (99, 5)])
def test_outputs_over_a_vocabulary_are_kept_and_computed_within_bounds(writer, monkeypatch, room, kept):
    """Five texts of as many tokens; there is room for the outputs of `room` of them."""
    text = TEXTS[0]
    each = 4 * len(TOKENIZER.encode(text).ids) * TOKENIZER.get_vocab_size()
    whole = answer(writer, [text] * 5)
    monkeypatch.setattr(quality, "BYTES", int(room * each))
    sizes = []
    compute = writer.compute
    monkeypatch.setattr(writer, "compute", lambda features: sizes.append(len(features.ids)) or compute(features))
    found = answer(writer, [text] * 5)
    assert len(found.outputs) == kept and len(whole.outputs) == 5
    assert max(sizes) == min(5, max(1, int(room))) and sum(sizes) == 5
    assert [nats for nats, *_ in found.predictions] == pytest.approx([nats for nats, *_ in whole.predictions])


def test_few_outputs_are_kept_however_small(writer, monkeypatch):
    monkeypatch.setattr(quality, "KEPT", 2)
    assert len(answer(writer, TEXTS[:4]).outputs) == 2
