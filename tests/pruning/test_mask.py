"""Masks on a model: zeros that stay zero, beside other parametrizations, in state dicts and in copies."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from millis.pruning.criterion.hard_concrete import HardConcrete
from millis.pruning.criterion.magnitude import Magnitude
from millis.pruning.criterion.movement import Movement
from millis.pruning.criterion.soft_movement import SoftMovement
from millis.pruning.granularity.element import Element
from millis.pruning.granularity.head import Head
from millis.pruning.granularity.hidden import Hidden
from millis.pruning.granularity.layer import Layer
from millis.pruning.granularity.neuron import Neuron
from millis.pruning.mask import Masks, masks_of

KEEP = torch.tensor([[True, False, True, False], [False, True, True, True]])


def masked(model, criterion=None, part=None):
    return Masks(model, (part or Element()).groups(model, None), criterion or Magnitude())


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda parameters: torch.optim.AdamW(parameters, lr=0.1),
        lambda parameters: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, nesterov=True),
        lambda parameters: torch.optim.RMSprop(parameters, lr=0.1, momentum=0.9),
    ],
)
def test_masked_weights_stay_zero_through_momentum(net, optimizer):
    model = net()
    masks, optimizer = masked(model), optimizer(model.parameters())
    for step in range(6):
        if step == 3:
            masks.set([KEEP])  # after momentum has built up for all of them
        optimizer.zero_grad()
        model(torch.ones(2, 4)).square().sum().backward()
        optimizer.step()
    weight = model.body.weight
    assert torch.equal(weight == 0, ~KEEP)
    masks.remove(model)
    assert torch.equal(model.body.weight == 0, ~KEEP)
    assert torch.equal(model.body.weight, weight)


def test_a_weight_that_comes_back_is_what_it_was(net):
    model = net()
    masks = masked(model)
    before = model.body.weight.clone()
    masks.set([KEEP])
    assert torch.equal(model.body.weight, before * KEEP)
    masks.set([torch.ones_like(KEEP)])
    assert torch.equal(model.body.weight, before)


def test_sparsity_counts_weights(net, encoder):
    model = net()
    masks = masked(model)
    assert masks.sparsity() == (0.0, {"body": 0.0})
    masks.set([KEEP])
    assert masks.sparsity() == (3 / 8, {"body": 3 / 8})
    model = encoder()
    masks = masked(model, part=Head())
    names = [group.name for group in masks.groups]
    masks.set([torch.tensor([True, False, False, False]), torch.tensor([True] * 4)])
    assert masks.sparsity() == (3 / 8, dict(zip(names, (0.75, 0.0), strict=True)))


@pytest.mark.parametrize("part", [Element(), Head(), Neuron(), Hidden(), Layer()], ids=lambda part: type(part).__name__)
@pytest.mark.parametrize("criterion", [Movement(), SoftMovement(), HardConcrete()], ids=lambda c: type(c).__name__)
def test_everything_comes_off_again(encoder, batch, part, criterion):
    model, plain = encoder(), encoder()
    masks = masked(model, copy.deepcopy(criterion), part)
    model.train()
    model(*batch).sum().backward()
    masks.criterion.update(1.0)
    masks.remove(model.eval())
    assert list(model.state_dict()) and set(model.state_dict()) == set(plain.state_dict())
    assert masks_of(model) is None
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert {type(module) for module in model.modules()} == {type(module) for module in plain.modules()}
    if not isinstance(criterion, HardConcrete):
        assert torch.equal(model(*batch), plain(*batch))


def test_a_state_dict_carries_masks_and_scores(encoder, batch):
    model, other = encoder(), encoder(seed=1)
    masks, others = masked(model, Movement(), Neuron()), masked(other, Movement(), Neuron())
    model.train()
    model(*batch).square().sum().backward()
    masks.criterion.update(1.0)
    masks.set([score > score.median() for score in masks.scores()])
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.eval()(*batch), model.eval()(*batch))
    assert others.sparsity() == masks.sparsity()
    assert all(torch.equal(one, two) for one, two in zip(others.scores(), masks.scores(), strict=True))


def test_a_copy_is_masked_by_itself(encoder, batch):
    for part in (Element(), Hidden(), Layer()):
        model = encoder()
        masks = masked(model, Movement(), part)
        copied = copy.deepcopy(model)
        before = model(*batch)
        masks_of(copied).set([torch.zeros(group.shape, dtype=torch.bool) for group in masks.groups])
        assert masks.sparsity()[0] == 0.0
        assert torch.equal(model(*batch), before)
        assert not torch.equal(copied(*batch), before)
        masks_of(copied).remove(copied)
        assert torch.equal(model(*batch), before)


def test_once_settled_the_criterion_has_no_say(net):
    model = net().train()
    masks = masked(model, HardConcrete(droprate=0.5))
    masks.set([KEEP])
    drawn = model.body.weight
    masks.settle()
    assert not torch.equal(model.body.weight, drawn)
    assert torch.equal(model.body.weight == 0, ~KEEP)
    model(torch.ones(1, 4)).sum().backward()
    assert masks.criterion.log_alpha[0].grad is None


def test_values_that_gates_have_learned_are_multiplied_in(net):
    model = net()
    masks = masked(model, HardConcrete())
    with torch.no_grad():
        masks.criterion.log_alpha[0].zero_()  # without noise: 0.5
    masks.set([KEEP])
    masks.remove(model.eval())
    assert model.body.weight.tolist() == [[0.5, 0, 1.5, 0], [0, -3, 3.5, -4]]


def test_another_parametrization_stays(net):
    class Half(nn.Module):
        def forward(self, weight):
            return weight / 2

    for mine_first in (True, False):
        model = net()
        if not mine_first:
            parametrize.register_parametrization(model.body, "weight", Half())
        masks = masked(model)
        if mine_first:
            parametrize.register_parametrization(model.body, "weight", Half())
        masks.set([KEEP])
        before = model.body.weight.clone()
        assert torch.equal(before == 0, ~KEEP)
        masks.remove(model)
        assert torch.equal(model.body.weight, before)
        assert [type(each) for each in model.body.parametrizations.weight] == [Half]


def test_layers_and_channels_leave_with_their_gates(encoder):
    # A head: its rows of q, k, v with their biases and its columns; the output bias, which every head shares, stays.
    model = encoder()
    masks = masked(model, part=Head())
    masks.set([torch.tensor([True, True, False, True]), torch.tensor([True] * 4)])
    masks.remove(model)
    attention = model.encoder.encoder.layer[0].attention
    for linear in (attention.self.query, attention.self.key, attention.self.value):
        assert torch.equal((linear.weight == 0).all(1), torch.arange(16) // 4 == 2)
        assert torch.equal(linear.bias == 0, torch.arange(16) // 4 == 2)
    assert torch.equal((attention.output.dense.weight == 0).all(0), torch.arange(16) // 4 == 2)
    assert (attention.output.dense.bias != 0).all()
    # A channel: everything that reads or writes it, tables and norms included.
    model = encoder()
    masks = masked(model, part=Hidden())
    masks.set([torch.arange(16) != 5])
    masks.remove(model)
    of_width_16 = [
        p for name, p in model.named_parameters() if p.shape[-1] == 16 and "intermediate.dense.b" not in name
    ]
    read = [p for p in of_width_16 if p.ndim == 2 and p.shape[0] != 16]
    assert all((parameter[..., 5] == 0).all() for parameter in read)
    layer = model.encoder.encoder.layer[0]
    assert (layer.output.dense.weight[5] == 0).all()
    assert (layer.attention.self.query.weight[:, 5] == 0).all()
    assert layer.output.dense.bias[5] == layer.output.LayerNorm.bias[5] == layer.output.LayerNorm.weight[5] == 0
    assert (layer.attention.self.query.bias != 0).all()
