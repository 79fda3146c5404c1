"""Vectors of texts, on tiny encoders made of texts."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from millis.errors import MillisError
from millis.models import sentence_vectors as module
from millis.models.scratch import Scratch
from millis.models.sentence_vectors import sentence_vectors

TEXTS = ("the cat", "a dog barked at the cat on the mat", "mat", "is the dog here no it left", "")


@dataclass(frozen=True)
class Source:
    """Whatever the texts, of one vocabulary and of weights that follow `seed`."""

    seed: int = 0
    pooling: str = "mean"
    max_length: int = 32

    def __call__(self, outputs, texts, labels=()):
        torch.manual_seed(self.seed)
        made = Scratch(
            2, 16, 2, 32, vocab_size=120, max_length=self.max_length, pooling=self.pooling, dropout=0.5
        )(outputs, [*TEXTS] * 3)  # fmt: skip
        with torch.no_grad():
            for parameter in made[0].parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)
        return made


def by_hand(source, text, longest=32):
    """Of one text, of its first tokens and the last special one."""
    model, tokenizer = source((module.Output("logits", "text", 2),), ())
    ids = tokenizer.encode(text).ids
    ids = ids if len(ids) <= longest else [*ids[: longest - 1], ids[-1]]
    with torch.inference_mode():
        states = model.eval().encoder(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    pooled = states.mean(axis=0) if source.pooling == "mean" else states[0]
    return pooled / np.linalg.norm(pooled)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_they_are_the_pooled_states_of_length_1(pooling):
    source = Source(pooling=pooling)
    found = sentence_vectors(source, TEXTS, 32)
    assert found.shape == (len(TEXTS), 16) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found, [by_hand(source, text) for text in TEXTS], atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 0.01, "texts are to differ"


def test_what_stands_beside_a_text_changes_nothing():
    together = sentence_vectors(Source(), TEXTS, 32)
    alone = np.concatenate([sentence_vectors(Source(), [text], 32) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_texts_of_many_passes_keep_their_order(monkeypatch):
    at_once = sentence_vectors(Source(seed=1), TEXTS, 32)
    monkeypatch.setattr(module, "TOGETHER", 2)
    module._kept.cache_clear()
    np.testing.assert_allclose(sentence_vectors(Source(seed=1), TEXTS, 32), at_once, atol=1e-5)


@pytest.mark.parametrize(("longest", "of_model", "expected"), [(4, 32, 4), (32, 5, 5), (6, 32, 6)])
def test_longer_texts_are_read_as_far_as_task_and_model_go(longest, of_model, expected):
    source = Source(max_length=of_model)
    (found,) = sentence_vectors(source, [TEXTS[1]], longest)
    np.testing.assert_allclose(found, by_hand(source, TEXTS[1], expected), atol=1e-5)


def test_they_are_computed_once_a_process():
    asked = []

    def source(outputs, texts, labels=()):
        asked.append(texts)
        return Source()(outputs, texts)

    first = sentence_vectors(source, list(TEXTS), 32)
    assert sentence_vectors(source, TEXTS, 32) is first and asked == [TEXTS]


def test_they_are_kept_where_there_is_a_cache(tmp_path, monkeypatch):
    source = Source(seed=5)
    first = sentence_vectors(source, TEXTS, 32, tmp_path)
    np.testing.assert_array_equal(first, sentence_vectors(source, TEXTS, 32))
    module._kept.cache_clear()
    monkeypatch.setattr(module, "_computed", lambda *_: pytest.fail("they lie there"))
    np.testing.assert_array_equal(sentence_vectors(source, TEXTS, 32, tmp_path), first)
    for other in ((Source(seed=6), TEXTS, 32), (source, TEXTS[1:], 32), (source, TEXTS, 31)):
        with pytest.raises(pytest.fail.Exception):
            sentence_vectors(*other, tmp_path)


def test_damaged_ones_are_named(tmp_path):
    sentence_vectors(Source(seed=7), TEXTS, 32, tmp_path)
    module._kept.cache_clear()
    (path,) = (tmp_path / "vectors").glob("*.npy")
    path.write_bytes(b"no numbers")
    with pytest.raises(MillisError, match=rf"{path} is damaged or gone .*Delete it"):
        sentence_vectors(Source(seed=7), TEXTS, 32, tmp_path)
