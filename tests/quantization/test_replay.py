"""What layers read, against whole forward passes of every family; what is computed again, and what is not."""

import numpy as np
import pytest
import rounded
import torch
from torch import nn

from millis.quantization.calibration import by_length
from millis.quantization.keep import linears
from millis.quantization.replay import Replay, readers
from millis.quantization.simulate import tensors

MODELS = {
    **{kind: lambda kind=kind: rounded.model(kind) for kind in rounded.KINDS},
    "exits": lambda: rounded.with_exits(rounded.model(), (0,)).eval(),
    "dropped tokens": lambda: rounded.with_tokens_pruned(rounded.model(), (0, 1)).eval(),
}
TEXTS = rounded.requests(8)


@torch.no_grad()
def whole(model, name):
    """Σ x xᵀ of the layer `name`, every forward pass from its beginning to its end."""
    found = []
    handle = model.get_submodule(name).register_forward_pre_hook(lambda _, args: found.append(args[0].double()))
    for text in TEXTS:
        model(*tensors(text))
    handle.remove()
    rows = torch.cat([x.flatten(0, -2) for x in found])
    return rows.T @ rows


@pytest.mark.parametrize("kind", MODELS)
def test_what_layers_read_while_those_before_them_change(kind):
    model = MODELS[kind]()
    groups = readers(model, linears(model))
    assert groups
    replay = Replay(model, by_length(TEXTS), groups)
    for group in groups:
        found = replay.products(group)
        for name in group.layers:
            assert torch.allclose(found, whole(model, name), rtol=1e-4, atol=1e-4)
        for layer in group.layers.values():
            layer.weight = nn.Parameter(layer.weight * 0.9)
    assert not any("forward" in part.__dict__ for part in model.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


def test_layers_that_read_one_tensor_come_together_and_in_order():
    groups = readers(model := rounded.model("bert"), linears(model))
    attention = "encoder.encoder.layer.0.attention"
    assert [list(group.layers) for group in groups[:4]] == [
        [f"{attention}.self.{part}" for part in ("query", "key", "value")],
        [f"{attention}.output.dense"],
        ["encoder.encoder.layer.0.intermediate.dense"],
        ["encoder.encoder.layer.0.output.dense"],
    ]
    assert list(groups[-1].layers) == ["head"]
    assert {group.calls for group in groups} == {1}


def test_layers_that_blocks_share_read_all_that_they_are_called_with():
    groups = readers(model := rounded.model("albert"), linears(model))
    assert {group.calls for group in groups} == {1, 2}


def test_layers_that_are_not_asked_about_or_never_called_are_left_out():
    model = rounded.model("bert")
    model.unused = nn.Linear(2, 2)
    asked = {name: layer for name, layer in linears(model).items() if name in ("head", "unused")}
    assert [list(group.layers) for group in readers(model, asked)] == [["head"]]


def test_blocks_that_are_settled_are_not_computed_again():
    model = rounded.model("bert")
    first, second = model.encoder.encoder.layer
    counts = np.zeros(2, int)

    def count(place):
        def hook(*_):
            counts[place] += 1

        return hook

    first.intermediate.dense.register_forward_hook(count(0))
    second.output.dense.register_forward_hook(count(1))
    groups = readers(model, linears(model))
    replay, batches = Replay(model, batches := by_length(TEXTS), groups), len(batches)
    counts[:] = 0
    for group in groups:
        replay.products(group)
    # The first block's: its own later layer, and what the second block reads; the second's: the head.
    assert counts.tolist() == [2 * batches, batches]
