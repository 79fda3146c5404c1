"""Criteria that learn: soft movement and hard-concrete gates."""

import math

import pytest
import torch

from millis.errors import MillisError
from millis.pruning.criterion.hard_concrete import SMALLEST, HardConcrete, open_probability, stretched
from millis.pruning.criterion.soft_movement import SoftMovement
from millis.pruning.granularity.element import Element
from millis.pruning.granularity.hidden import Hidden
from millis.pruning.granularity.together import HeadsAndNeurons
from millis.pruning.mask import Masks


@pytest.fixture
def attached(net):
    def make(criterion):
        model = net()
        return model, Masks(model, Element().groups(model, None), criterion)

    return make


def test_soft_scores_get_the_gradient_of_their_gates(attached):
    model, masks = attached(SoftMovement())
    keep = torch.ones(2, 4, dtype=torch.bool)
    keep[0, 1] = False
    masks.set([keep])
    model.train()
    output = model(torch.tensor([[1.0, 1.0, 2.0, 0.0]]))
    assert output[0, 0].item() == 1 + 3 * 2  # without -2 · 1
    output[0, 0].backward()
    assert masks.criterion.trained[0].grad.tolist() == [[1, -2, 6, 0], [0, 0, 0, 0]]
    assert model.body.parametrizations.weight.original.grad.tolist() == [[1, 0, 2, 0], [0, 0, 0, 0]]


def test_the_soft_penalty_by_hand(attached):
    _, masks = attached(SoftMovement(penalty=8.0))
    # σ(0) = ½ of every score; its slope is ¼, over 8 scores.
    penalty = masks.criterion.pressure(0.5)
    assert penalty.item() == pytest.approx(8 * 0.5 * 0.5)
    penalty.backward()
    assert masks.criterion.trained[0].grad.flatten().tolist() == pytest.approx([8 * 0.5 * 0.25 / 8] * 8)


def test_gates_are_drawn_as_their_distribution_says(encoder):
    # P(z = 0) = 1 - σ(log α + 1.6) by eq. 12, held to 5,000 draws; standard error up to 0.007.
    model = encoder()
    masks = Masks(model, Hidden().groups(model, None), HardConcrete())
    values = torch.linspace(-4, 4, 16)
    with torch.no_grad():
        masks.criterion.log_alpha[0].copy_(values)
    draws = []
    for _ in range(5_000):
        draws.append(masks.criterion.gate(0, masks.masks[0]).detach())
        masks.criterion.update(1.0)
    drawn = torch.stack(draws)
    torch.testing.assert_close((drawn > 0).float().mean(0), open_probability(values), atol=0.03, rtol=0)
    assert drawn.min() == 0
    assert drawn.max() == 1


def test_a_gate_is_drawn_once_a_step(encoder, batch):
    model = encoder().train()
    masks = Masks(model, Hidden().groups(model, None), HardConcrete(droprate=0.5))
    first, again = masks.gate(0), masks.gate(0)
    assert first is again
    model(*batch).sum().backward()
    assert masks.criterion.log_alpha[0].grad.abs().sum() > 0
    masks.criterion.update(1.0)
    assert not torch.equal(masks.gate(0), first)


def test_the_gate_without_noise_by_hand(attached):
    # σ(0) = ½ → 0.5 · 1.2 - 0.1 = 0.5; σ(∞) → 1.1, clipped to 1; a kept gate is never 0.
    _, masks = attached(HardConcrete())
    with torch.no_grad():
        masks.criterion.log_alpha[0].copy_(torch.tensor([[0.0, 20.0, -20.0, 0.0]] * 2))
    assert masks.criterion.kept(0)[0].tolist() == pytest.approx([0.5, 1, SMALLEST, 0.5])
    keep = torch.ones(2, 4, dtype=torch.bool)
    keep[:, 0] = False
    masks.set([keep])
    assert masks.masks[0][0].tolist() == pytest.approx([0, 1, SMALLEST, 0.5])
    assert stretched(torch.tensor([0.0, 1.0])).tolist() == [0, 1]


def test_the_model_starts_as_it_was(attached):
    _, masks = attached(HardConcrete(droprate=0.05))
    assert masks.criterion.kept(0).min() == 1.0
    # P(z = 0) = 1 - σ(log α + β log 11): β log 11 = 1.599, log 19 = 2.944 and log 1 = 0.
    closed = [1 - open_probability(torch.tensor(math.log((1 - rate) / rate))).item() for rate in (0.05, 0.5)]
    assert closed == pytest.approx([0.0105, 0.1681], abs=1e-4)


def test_the_lagrangian_by_hand(attached):
    _, masks = attached(HardConcrete(droprate=0.5))
    criterion = masks.criterion
    sparsity = 1 - 1 / (1 + math.exp(-2 / 3 * math.log(11)))  # log α = 0; -β log(0.1 / 1.1) = β log 11
    assert criterion.sparsity().item() == pytest.approx(sparsity)
    with torch.no_grad():
        criterion.multipliers.copy_(torch.tensor([2.0, 3.0]))
    distance = sparsity - 0.5
    penalty = criterion.pressure(0.5)
    assert penalty.item() == pytest.approx(2 * distance + 3 * distance**2, rel=1e-5)
    penalty.backward()
    # The multipliers ascend: what an optimizer subtracts is minus the distance.
    assert criterion.multipliers.grad.tolist() == pytest.approx([-distance, -(distance**2)], rel=1e-5)
    # dŝ / d log α of one of 8 gates = -P (1 - P) / 8, with P = 1 - ŝ.
    slope = (2 + 2 * 3 * distance) * -sparsity * (1 - sparsity) / 8
    assert criterion.log_alpha[0].grad.flatten().tolist() == pytest.approx([slope] * 8, rel=1e-4)


def test_large_units_weigh_more_in_the_expected_sparsity(encoder):
    model = encoder()
    masks = Masks(model, HeadsAndNeurons().groups(model, None), HardConcrete())
    with torch.no_grad():
        for index, group in enumerate(masks.groups):
            masks.criterion.log_alpha[index].fill_(-50.0 if group.kind == "heads" else 50.0)
    # All heads are gone: 8 of 256 weights each, and 24 neurons of 32.
    assert masks.criterion.sparsity().item() == pytest.approx(8 * 256 / (8 * 256 + 24 * 32))


@pytest.mark.parametrize("target", [0.25, 0.75])
def test_the_constraint_is_met_by_descending(attached, target):
    _, masks = attached(HardConcrete())
    optimizer = torch.optim.Adam(masks.criterion.parameters(), lr=0.1)
    for _ in range(400):
        optimizer.zero_grad()
        masks.criterion.pressure(target).backward()
        optimizer.step()
    assert masks.criterion.sparsity().item() == pytest.approx(target, abs=0.03)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SoftMovement(lr=0.0), "lr=0.0, penalty=100.0: expected a rate above 0, a penalty from 0"),
        (lambda: SoftMovement(penalty=-1.0), "lr=0.01, penalty=-1.0: expected a rate above 0, a penalty from 0"),
        (lambda: HardConcrete(lr=-1.0), "lr=-1.0, droprate=0.05: expected a rate above 0, a droprate between 0 and 1"),
        (
            lambda: HardConcrete(droprate=1.0),
            "lr=0.1, droprate=1.0: expected a rate above 0, a droprate between 0 and 1",
        ),
    ],
)
def test_settings_without_sense(make, message):
    with pytest.raises(MillisError) as caught:
        make()
    assert str(caught.value) == f"pruning.criterion.{message}"
