"""Criteria made of ∂L/∂z: worked by hand, held to finite differences, and fed by units that are closed."""

import pytest
import torch

from millis.errors import MillisError
from millis.pruning.criterion.fisher import Fisher
from millis.pruning.criterion.movement import Movement
from millis.pruning.criterion.taylor import Taylor
from millis.pruning.granularity.element import Element
from millis.pruning.granularity.head import Head
from millis.pruning.granularity.hidden import Hidden
from millis.pruning.granularity.layer import Layer
from millis.pruning.granularity.neuron import Neuron
from millis.pruning.mask import Masks


def step(model, masks, x, upstream):
    """One backward pass of Σ upstream · output, which gives ∂L/∂w' = upstreamᵀ x."""
    model.train()
    model.zero_grad()
    (model(torch.tensor([x])) * torch.tensor([upstream])).sum().backward()
    masks.criterion.update(1.0)


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        # w · ∂L/∂w' in two steps. First ∂L/∂w' = (1, 0)ᵀ (1, 1, 2, 0), then (0, 2)ᵀ (1, 0, 0, 1).
        # w = 1 -2 3 -4 / 5 -6 7 -8: gradients 1 -2 6 0 / 0 0 0 0, then 0 0 0 0 / 10 0 0 -16.
        (Movement(), [[-1, 2, -6, 0], [-10, 0, 0, 16]]),
        # Halves of what came last: ½ (½ |first|) + ½ |second|, rows apart.
        (Taylor(decay=0.5), [[0.25, 0.5, 1.5, 0], [5, 0, 0, 8]]),
        (Fisher(decay=0.5), [[0.25, 1, 9, 0], [50, 0, 0, 128]]),
    ],
)
def test_two_steps_by_hand(net, criterion, expected):
    model = net()
    masks = Masks(model, Element().groups(model, None), criterion)
    step(model, masks, [1.0, 1.0, 2.0, 0.0], [1.0, 0.0])
    step(model, masks, [1.0, 0.0, 0.0, 1.0], [0.0, 2.0])
    assert masks.criterion.scores(0).tolist() == expected


def test_movement_is_the_weights_way_from_zero(net):
    # Plain gradient descent moves w by -lr · g; w and the movement point the same way where S > 0.
    model = net()
    masks = Masks(model, Element().groups(model, None), Movement())
    before = model.body.parametrizations.weight.original.detach().clone()
    step(model, masks, [1.0, -1.0, 2.0, 0.5], [1.0, -1.0])
    torch.optim.SGD(model.body.parameters(), lr=0.01).step()
    grown = model.body.parametrizations.weight.original.abs() > before.abs()
    assert torch.equal(masks.criterion.scores(0) > 0, grown)


def test_a_masked_weight_is_frozen_but_its_gate_is_not(net):
    model = net()
    masks = Masks(model, Element().groups(model, None), Movement())
    keep = torch.ones(2, 4, dtype=torch.bool)
    keep[0, 1] = False
    masks.set([keep])
    step(model, masks, [1.0, 1.0, 2.0, 0.0], [1.0, 0.0])
    gradient = model.body.parametrizations.weight.original.grad
    assert gradient.tolist() == [[1, 0, 2, 0], [0, 0, 0, 0]]
    assert masks.criterion.scores(0).tolist() == [[-1, 2, -6, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("part", [Head(), Neuron(), Hidden(), Layer()], ids=lambda part: type(part).__name__)
@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
def test_the_gates_gradient_is_that_of_finite_differences(encoder, batch, part, model_type):
    model = encoder(model_type).double()
    masks = Masks(model, part.groups(model, None), Movement())
    last = len(masks.groups) - 1
    keep = [torch.ones(group.shape, dtype=torch.bool) for group in masks.groups]
    if len(keep[last]) > 1:
        keep[last][1] = False  # one of the gates is closed
    masks.set(keep)
    masks.double()

    def loss():
        return model(*batch).square().sum()

    model.train()
    loss().backward()
    gradient = masks.criterion.leaves[last].grad.clone()
    model.eval()
    for unit in range(min(3, len(gradient))):
        values, away = masks.masks[last], 1e-5
        with torch.no_grad():
            values[unit] += away
            up = loss()
            values[unit] -= 2 * away
            down = loss()
            values[unit] += away
        assert gradient[unit].item() == pytest.approx(((up - down) / (2 * away)).item(), rel=1e-4, abs=1e-7)


def test_a_scaled_loss_is_scaled_back_and_one_that_overflowed_passed_over(net):
    scores = []
    for scale in (1.0, 1024.0):
        model = net()
        masks = Masks(model, Element().groups(model, None), Movement())
        model.train()
        (model(torch.ones(1, 4)).sum() * scale).backward()
        masks.criterion.update(scale)
        (model(torch.full((1, 4), torch.inf)).sum()).backward()
        masks.criterion.update(1.0)
        scores.append(masks.criterion.scores(0))
    assert torch.equal(*scores)


def test_evaluation_leaves_no_trace(net):
    model = net()
    masks = Masks(model, Element().groups(model, None), Movement())
    model.eval()
    model(torch.ones(1, 4)).sum().backward()
    assert masks.criterion.leaves == {}
    masks.criterion.update(1.0)
    assert not masks.criterion.scores(0).any()


@pytest.mark.parametrize("kind", [Taylor, Fisher])
def test_a_decay_without_sense(kind):
    with pytest.raises(MillisError) as caught:
        kind(decay=1.0)
    assert str(caught.value) == ("pruning.criterion.decay=1.0: expected 0 (the last step alone) up to 1, 1 excluded")
