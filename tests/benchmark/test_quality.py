from dataclasses import replace

import pytest

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
