"""Parts in order of importance: the same logits, and the most important first."""

import pytest
import torch
from causal import writer
from labelled import encoded
from shaped import batch, transformer

from millis.data.batches import Rows
from millis.elastic.order import by_importance, falling, reordered
from millis.models import anatomy
from millis.models.outputs import each
from millis.models.selection import Selection
from millis.models.student import channel_importance
from millis.pruning.fisher_mask import gate_gradients


def test_units_fall_in_importance_and_groups_stay_together():
    importance = torch.tensor([1.0, 5.0, 3.0, 4.0, 2.0, 2.0])
    assert falling(importance).tolist() == [1, 3, 2, 4, 5, 0]
    assert falling(importance, 2).tolist() == [2, 3, 0, 1, 4, 5]  # 6, 7 and 4


def shuffled(model, seed=0):
    """An order that has nothing to do with importance."""
    torch.manual_seed(seed)
    shape, parts = model.spec.known_shape, anatomy.find(model.spec.kind)
    groups = parts.groups(model.spec.encoder)
    return Selection(
        layers=list(range(model.spec.layers)),
        hidden=torch.randperm(anatomy.hidden_size(model.spec)),
        heads=[falling(torch.rand(heads), groups) for heads in shape.heads],
        ffn=[torch.randperm(neurons) for neurons in shape.ffn],
    )


@pytest.mark.parametrize("model", [transformer("bert"), transformer("distilbert"), writer("gpt2"), writer("qwen2")],
                         ids=lambda model: model.spec.kind)  # fmt: skip
def test_logits_stay_in_any_order(model):
    features = batch(1, 5, 9)
    inputs = {
        "input_ids": torch.as_tensor(features.ids),
        "attention_mask": torch.as_tensor(features.mask),
    }
    other = reordered(model, shuffled(model))
    with torch.inference_mode():
        assert not torch.equal(next(other.parameters()), next(model.parameters()))
        for ours, theirs in zip(each(other(**inputs)), each(model(**inputs)), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_the_most_important_come_first():
    model = transformer("bert", heads=(4, 4), ffn=(12, 12))
    rows = Rows(encoded([[2, 5, 3], [2, 7, 9, 3], [2, 4, 3]], [0, 1, 2]), 1)
    batches = [rows.__getitems__([0, 1, 2])]
    order = by_importance(model, batches)
    heads, ffn = gate_gradients(reordered(model, order), batches).fisher()
    for falls in (*heads, *ffn, channel_importance(anatomy.find("bert"), reordered(model, order).encoder)):
        assert (falls.diff() <= 1e-6 * falls.max()).all()
