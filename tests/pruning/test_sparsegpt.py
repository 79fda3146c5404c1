"""SparseGPT by hand, against the inverses that it stands on, and on a model that has learned something."""

import copy

import numpy as np
import pytest
import torch
from low_bits import divergence, learned, texts
from torch import nn

from millis.errors import MillisError
from millis.models.hessian import inverse_factor
from millis.pruning.granularity.block import Block
from millis.pruning.granularity.element import Element
from millis.pruning.granularity.n_m import NM
from millis.pruning.sparsegpt import BLOCK, SparseGpt
from millis.quantization.calibration import by_length
from millis.quantization.replay import Replay, readers
from millis.quantization.simulate import logits


def problem(seed, outputs, inputs, rows):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, inputs, generator=generator, dtype=torch.float64)
    x = x @ torch.randn(inputs, inputs, generator=generator, dtype=torch.float64) / inputs**0.5
    return torch.randn(outputs, inputs, generator=generator, dtype=torch.float64), x


def plain(weight, x, dampening, sparsity, pattern):
    """The paper's steps, each with an inverse of its own of what is left of the Hessian (equations 3 to 6)."""
    weight, hessian = weight.copy(), x.T @ x
    inputs = len(hessian)
    hessian = hessian + dampening * hessian.diagonal().mean() * np.eye(inputs)
    width = BLOCK if pattern is None else pattern[1]
    goes = np.zeros_like(weight, bool)
    inverse_of = [np.linalg.inv(hessian[place:, place:])[0] for place in range(inputs)]
    for j in range(inputs):
        if j % width == 0:
            end = min(j + width, inputs)
            worth = weight[:, j:end] ** 2 / np.array([inverse_of[place][0] for place in range(j, end)])
            if pattern is None:
                lowest = np.argsort(worth.T, axis=None)[: round(sparsity * worth.size)]
                chosen = np.zeros(worth.size, bool)
                chosen[lowest] = True
                goes[:, j:end] = chosen.reshape(end - j, -1).T
            else:
                np.put_along_axis(goes[:, j:end], np.argsort(worth, axis=1)[:, : pattern[1] - pattern[0]], True, axis=1)
        lost = np.where(goes[:, j], weight[:, j], 0) / inverse_of[j][0]
        weight[:, j:] -= np.outer(lost, inverse_of[j])
    return np.where(goes, 0, weight)


@pytest.mark.parametrize(
    ("granularity", "sparsity", "pattern"), [(Element(), 0.5, None), (Element(), 0.3, None), (NM(), 0.5, (2, 4))]
)
@pytest.mark.parametrize(("inputs", "rows"), [(24, 60), (BLOCK + 20, 300)])
def test_weights_are_those_of_the_formula(granularity, sparsity, pattern, inputs, rows):
    weight, x = problem(inputs, 6, inputs, rows)
    factor = inverse_factor(x.T @ x, 0.02)
    found = SparseGpt(granularity, sparsity, dampening=0.02).pruned(weight, factor).numpy()
    expected = plain(weight.numpy(), x.numpy(), 0.02, sparsity, pattern)
    assert np.array_equal(found == 0, expected == 0)
    assert np.allclose(found, expected, atol=1e-9)
    assert (found == 0).mean() == pytest.approx(sparsity, abs=0.01)


def test_by_hand():
    # X Xᵀ = [[4, 3], [3, 4]], whose inverse is [[4, -3], [-3, 4]] / 7. Taking the first weight away costs 0.4² / (4/7)
    # = 0.28; the second, once it is the only one left, 1² / (1/4) = 4. So the first goes, and the second makes good
    # 0.4 · 3/4 = 0.3 of it.
    products = torch.tensor([[4.0, 3.0], [3.0, 4.0]], dtype=torch.float64)
    found = SparseGpt(Element(), 0.5).pruned(torch.tensor([[0.4, 1.0]]), inverse_factor(products, 1e-9))
    assert found.tolist() == [[0.0, pytest.approx(1.3)]]


def output_error(weight, found, x):
    return float(((found - weight) @ x.T).square().mean())


@pytest.mark.parametrize("granularity", [Element(), NM()], ids=["element", "n_m"])
def test_weights_that_stay_make_good_for_those_that_go(granularity):
    for seed in range(8):
        weight, x = problem(seed, 12, 32, 200)
        ours = SparseGpt(granularity).pruned(weight, inverse_factor(x.T @ x, 0.01))
        assert output_error(weight, ours, x) < 0.85 * output_error(weight, weight * (ours != 0), x)


def pruned(model, asked):
    layers = asked.layers(model)
    groups = readers(model, layers)
    replay = Replay(model, by_length(texts()), groups)
    asked.apply([(group.layers, lambda group=group: replay.products(group)) for group in groups])
    return layers


@pytest.fixture(scope="module")
def llama():
    return learned()


@pytest.mark.parametrize("granularity", [Element(), NM()], ids=["element", "n_m"])
def test_a_language_model_keeps_more_of_what_it_says(llama, granularity):
    model, ours, plainly = llama, copy.deepcopy(llama), copy.deepcopy(llama)
    layers = pruned(ours, SparseGpt(granularity))
    assert len(layers) == 2 * 7 and not any(name.startswith("head") for name in layers)
    for layer in layers.values():
        assert (layer.weight == 0).float().mean() == pytest.approx(0.5, abs=0.02)
    with torch.no_grad():
        for name in layers:
            weight = plainly.get_submodule(name).weight
            order = weight.abs().reshape(-1, 4).argsort(dim=1)[:, :2] if granularity == NM() else None
            gone = (
                weight.abs() <= weight.abs().median()
                if order is None
                else torch.zeros_like(weight.reshape(-1, 4), dtype=torch.bool)
                .scatter_(1, order, True)
                .reshape(weight.shape)
            )
            weight.masked_fill_(gone, 0.0)
    unseen = texts(seed=9)
    (expected,), (found,), (magnitude,) = (logits(one, unseen) for one in (model, ours, plainly))
    assert divergence(expected, found) < 0.85 * divergence(expected, magnitude)


def test_inputs_that_are_never_active_go_first():
    weight, x = problem(0, 4, 16, 100)
    x[:, [2, 9]] = 0
    layer = nn.Linear(16, 4, bias=False).double()
    layer.weight.data.copy_(weight)
    SparseGpt(Element(), 0.25).apply([({"body": layer}, lambda: x.T @ x)])
    assert not layer.weight[:, [2, 9]].any() and (layer.weight == 0).sum() == 16


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"granularity": Block()},
            "takes single weights of linear layers away: expected pruning/granularity=element or",
        ),
        ({"granularity": Element(embeddings=True)}, "with embeddings=false"),
        ({"granularity": NM(), "sparsity": 0.6}, "2:4 has a sparsity of 0.5, not 0.6"),
        ({"granularity": Element(), "dampening": 0}, r"pruning.dampening=0: expected above 0, up to 1; 0.01 is usual"),
        ({"granularity": Element(), "samples": 0}, "pruning.samples=0: expected at least 1 training text; 128 are"),
    ],
)
def test_settings_out_of_their_range(settings, message):
    with pytest.raises(MillisError, match=message):
        SparseGpt(**settings)


def test_activations_that_are_no_numbers_are_refused():
    layer, broken = nn.Linear(3, 2), torch.full((3, 3), torch.nan, dtype=torch.float64)
    with pytest.raises(MillisError, match=r"^pruning=sparsegpt: body reads NaN or infinite values .* learning rate$"):
        SparseGpt(Element()).apply([({"body": layer}, lambda: broken)])
