"""The second pass moves word vectors against the model by a stated length, and its gradients are added."""

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from millis.data.batches import Rows
from millis.errors import MillisError
from millis.training.fit import Fit


class Gradients(pl.Callback):
    """What the optimizer is given at the first step."""

    def __init__(self):
        self.found = {}

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if not self.found:
            named = pl_module.model.named_parameters()
            self.found = {name: p.grad.clone() for name, p in named if p.grad is not None}


@pytest.fixture
def fit(separable, tmp_path):
    def run(module, radius, callbacks=(), **flags):
        trainer = Fit(
            max_epochs=1, batch_size=64, accelerator="cpu", adversarial=radius, gradient_clip_val=None, **flags
        )
        return trainer(
            module, separable(64), separable(32, seed=1), 0,
            folder=tmp_path / str(radius), seed=0, title="toy", callbacks=callbacks,
        )  # fmt: skip

    return run


def by_hand(model, rows, radius):
    """Gradients of loss(s) + loss(s + r), r = radius · g / ||g|| a text, the model spelled out: mean, then linear."""
    batch = rows.__getitems__(list(range(64)))
    mask = batch["attention_mask"].float().unsqueeze(-1)

    def loss(vectors):
        return F.cross_entropy(model.head((vectors * mask).sum(1) / mask.sum(1)), batch["target/logits"])

    vectors = model.embedding(batch["input_ids"])
    (gradient,) = torch.autograd.grad(loss(vectors), vectors, retain_graph=True)
    offset = radius * gradient / gradient.flatten(1).norm(dim=1)[:, None, None]
    assert torch.allclose(offset.flatten(1).norm(dim=1), torch.tensor(radius))
    assert loss(vectors + offset) > loss(vectors)
    (loss(vectors) + loss(vectors + offset)).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def test_gradients_are_those_of_both_passes(module, fit, separable):
    built, seen = module(), Gradients()
    fit(built, 0.5, [seen])
    expected = by_hand(module().model, Rows(separable(64), 0), 0.5)
    assert set(seen.found) == set(expected)
    for name, gradient in expected.items():
        assert torch.allclose(seen.found[name], gradient, atol=1e-6), name


def test_frozen_word_vectors_are_moved_but_not_trained(module, fit):
    built, plain = module(), module()
    for one in (built, plain):
        one.optimizer = type(one.optimizer)(lr=0.05, head_lr=0.05, freeze_embeddings=True)
    seen, unmoved = Gradients(), Gradients()
    before = built.model.embedding.weight.clone()
    fit(built, 0.5, [seen])
    assert torch.equal(built.model.embedding.weight, before)
    fit(plain, None, [unmoved])
    assert set(seen.found) == set(unmoved.found) == {"head.weight", "head.bias"}
    assert not torch.allclose(seen.found["head.weight"], 2 * unmoved.found["head.weight"], atol=1e-4)


def test_the_model_is_left_without_the_listener(module, fit):
    built = module()
    fit(built, 0.5)
    assert not built.model.embedding._forward_hooks


@pytest.mark.parametrize("radius", [0, -1.0])
def test_a_radius_that_moves_nothing_is_refused(module, fit, radius):
    with pytest.raises(MillisError, match=f"trainer.adversarial={radius}: expected a length above 0"):
        fit(module(), radius)


def test_a_model_without_word_vectors_is_refused(module, fit):
    built = module()
    built.model = torch.nn.Linear(1, 2)
    with pytest.raises(MillisError, match="moves word vectors, and this model has none"):
        fit(built, 0.5)
