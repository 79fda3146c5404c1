"""AWQ: scales by hand, the search against NumPy's errors of outputs, models that compute what they computed."""

import numpy as np
import pytest
import torch
from causal import writer
from low_bits import FOUR, divergence, learned, texts
from shaped import batch, eager, transformer
from torch import nn

from millis.backends.onnx import blocks
from millis.backends.onnx.arithmetic import arithmetic
from millis.errors import MillisError
from millis.models import anatomy, build
from millis.quantization.arithmetic import Stored
from millis.quantization.awq import awq, best, nearest, scales
from millis.quantization.calibration import requests
from millis.quantization.fake_quantize import INT4, INT8_NARROW
from millis.quantization.ptq import prepare
from millis.quantization.simulate import logits
from millis.quantization.spec import Awq, Calibration, Quantization
from millis.quantization.steps import extreme, symmetric
from millis.quantization.weights import PerBlock, PerRow

BLOCKS = Stored(PerBlock(16), extreme, INT4, blocks.SHARES)
ROWS = Stored(PerRow(), symmetric, INT8_NARROW)


def test_scales_by_hand():
    # Mean squares 16, 1 and 4 are magnitudes 4, 1 and 2; to the power 1/2 they are 2, 1 and 1.4142, over √(2 · 1).
    products = torch.diag(torch.tensor([16.0, 1.0, 4.0], dtype=torch.float64))
    assert scales(products, 0.5).tolist() == pytest.approx([2**0.5, 2**-0.5, 1.0])
    assert scales(products, 0.0).tolist() == [1, 1, 1]
    assert scales(products * 0, 0.5).tolist() == [1, 1, 1]
    products[1, 1] = 0  # an input that is never active counts as one of a ten-thousandth of the largest magnitude
    assert scales(products, 0.5).tolist() == pytest.approx([10.0, 0.1, 10 * 0.5**0.5])


def test_weights_to_the_nearest_by_hand():
    # A row's step is 127 / 127 = 1.
    weight = torch.tensor([[127.0, 1.4, -2.6]])
    assert nearest(weight, ROWS).tolist() == [[127, 1, -3]]


def outlying(seed, outputs, inputs=32, rows=100):
    """A layer, and what it reads, of which two inputs are large."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, inputs, generator=generator, dtype=torch.float64)
    x[:, [3, 17]] *= 30
    layer = nn.Linear(inputs, outputs, bias=False)
    layer.weight.data = torch.randn(outputs, inputs, generator=generator)
    return layer, x


@pytest.mark.parametrize("how", [BLOCKS, ROWS], ids=["blocks", "rows"])
def test_the_best_scales_are_those_of_the_outputs_that_err_least(how):
    (one, x), (other, _) = outlying(0, 6), outlying(1, 9)
    errors = []
    for step in range(8):
        s = x.square().sum(0).sqrt().numpy() ** (step / 8)
        s /= np.sqrt(s.max() * s.min())
        errors.append(0.0)
        for layer in (one, other):
            weight = layer.weight.detach()
            rounded = nearest(weight * torch.from_numpy(s).float(), how).double().numpy()
            errors[-1] += np.square(rounded @ (x.numpy() / s).T - weight.double().numpy() @ x.numpy().T).sum()
    found = best({one: how, other: how}, x.T @ x, 8)
    chosen = int(np.argmin(errors))
    assert torch.allclose(found, scales(x.T @ x, chosen / 8))
    assert chosen > 0 and errors[chosen] < 0.5 * errors[0]


def test_inputs_of_one_magnitude_are_left():
    layer, _ = outlying(0, 6)
    assert torch.equal(best({layer: BLOCKS}, torch.eye(32, dtype=torch.float64), 4), torch.ones(32))


@pytest.mark.parametrize(
    ("kind", "places"), [("llama", 3), ("llama, every head its own", 4), ("qwen2", 3), ("gpt2", 3)]
)
def test_a_scaled_decoder_says_what_it_said(kind, places):
    model = writer(kind)
    for layer in anatomy.find(model.spec.kind).layers(model.encoder):
        layer.attention_norm.weight.data[5] *= 20
        layer.ffn_norm.weight.data[2] *= 20
    done = awq(model, texts(6), Awq(4), arithmetic(FOUR))
    assert done.places == 2 * places and done.scaled >= 4
    unseen = texts(4, seed=9)
    (expected,), (found,) = (map(torch.as_tensor, logits(one, unseen)) for one in (model, done.model))
    assert (found - expected).abs().max() < 1e-3 * expected.abs().max()
    before, after = (one.encoder.state_dict() for one in (model, done.model))
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_blocks_whose_norm_is_their_residual_have_the_values_scaled_alone():
    model, features = transformer("bert"), batch(0, 4, 12)
    for layer in anatomy.find("bert").layers(model.encoder):
        layer.value.weight.data[3] *= 30
        layer.value.bias.data[3] *= 30
    done = awq(model, requests([features]), Awq(), arithmetic(FOUR))
    assert (done.scaled, done.places) == (2, 2)
    (expected,), (found,) = (eager(one, features) for one in (model, done.model))
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def on_the_grid(model, kept=()):
    """The model with every linear layer but those of `kept` rounded to the nearest."""
    made = build(model.spec).eval()
    made.load_state_dict(model.state_dict())
    for name, layer in made.named_modules():
        if isinstance(layer, nn.Linear) and name not in kept:
            layer.weight = nn.Parameter(nearest(layer.weight.data, arithmetic(FOUR).matrix))
    return made


def test_a_language_model_with_large_activations_keeps_more_of_what_it_says():
    model = learned(steps=40)
    with torch.no_grad():
        for layer in anatomy.find("llama").layers(model.encoder):  # as large models come by them: 2402.17762
            for norm, readers in (
                (layer.attention_norm, (layer.query, layer.key, layer.value)),
                (layer.ffn_norm, (layer.ffn_gate, layer.ffn_in)),
            ):
                norm.weight[7] *= 30
                for reader in readers:
                    reader.weight[:, 7] /= 30
    unseen = texts(seed=9)
    done = awq(model, texts(), Awq(), arithmetic(FOUR), kept=("head.next",))
    pair = [on_the_grid(one, ("head.next",)) for one in (model, done.model)]
    (expected,), (plainly,), (scaled,) = (logits(one, unseen) for one in (model, *pair))
    assert divergence(expected, scaled) < 0.8 * divergence(expected, plainly)


def test_layers_that_stay_fp32_ask_for_no_scales():
    model = writer()
    assert awq(model, texts(2), Awq(2), arithmetic(FOUR), kept=tuple(dict(model.named_modules()))).scaled == 0


def test_what_was_done_is_told_and_the_model_is_left():
    model, asked = writer(), Quantization(
        weights=4, activations="none", block_size=16, awq=Awq(3), calibration=Calibration()
    )  # fmt: skip
    before = {name: value.clone() for name, value in model.state_dict().items()}
    notes = prepare(model, asked, arithmetic(asked), texts(2)).notes
    assert [note.startswith("AWQ scaled what linear layers read in ") for note in notes] == [True]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_model_whose_parts_are_not_known(bag):
    with pytest.raises(MillisError, match=r"quantization.awq folds scales into .* Choose quantization=gptq"):
        awq(bag(), texts(2), Awq(), arithmetic(FOUR))
