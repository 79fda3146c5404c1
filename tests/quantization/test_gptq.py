"""GPTQ against the formula of the paper it stands on, spelled out; what it does to layers, and to whole models."""

import numpy as np
import pytest
import torch
from causal import spec_of
from hypothesis import given, settings
from hypothesis import strategies as st
from low_bits import GPTQ, divergence, learned, texts
from torch import nn

from millis.backends.onnx import blocks
from millis.backends.onnx.arithmetic import arithmetic
from millis.errors import MillisError
from millis.models import build
from millis.quantization.arithmetic import Stored
from millis.quantization.fake_quantize import INT4, INT8_NARROW
from millis.quantization.gptq import LAZY, Compensation, gptq, grid
from millis.quantization.simulate import logits
from millis.quantization.spec import Gptq, Quantization
from millis.quantization.steps import extreme, symmetric
from millis.quantization.weights import PerBlock, PerRow, PerTensor

BLOCKS = Stored(PerBlock(16), extreme, INT4, blocks.SHARES)
GRIDS = {
    "blocks": BLOCKS,
    "blocks, whole ranges": Stored(PerBlock(16), extreme, INT4),
    "rows": Stored(PerRow(), symmetric, INT8_NARROW),
    "one scale": Stored(PerTensor(), symmetric, INT8_NARROW),
}


def problem(seed, outputs, inputs, rows, correlated=True):
    """A weight and what it is multiplied with, fp64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, inputs, generator=generator, dtype=torch.float64)
    if correlated:
        x = x @ torch.randn(inputs, inputs, generator=generator, dtype=torch.float64) / inputs**0.5
    return torch.randn(outputs, inputs, generator=generator, dtype=torch.float64), x


def plain(weight, x, scales, grid, dampening, largest_first):
    """Optimal brain quantization in a fixed order: the inverse of what is left of the Hessian, eliminated step by step
    (2210.17323, equations 2 and 3)."""
    weight, hessian = weight.copy(), x.T @ x
    inputs = len(hessian)
    order = np.argsort(-hessian.diagonal(), kind="stable") if largest_first else np.arange(inputs)
    inverse = np.linalg.inv(hessian + dampening * hessian.diagonal().mean() * np.eye(inputs))
    found, left = np.zeros_like(weight), list(order)
    for j in order:
        found[:, j] = np.clip(np.rint(weight[:, j] / scales[:, j]), grid.low, grid.high)
        error = (weight[:, j] - scales[:, j] * found[:, j]) / inverse[j, j]
        for k in left:
            weight[:, k] -= error * inverse[j, k]
        inverse -= np.outer(inverse[:, j], inverse[j]) / inverse[j, j]
        left.remove(j)
    return found


def error(weight, integers, how, x):
    """Mean square of what the layer's output errs by."""
    return float(((integers.floats(how.grouping).double() - weight) @ x.T).square().mean())


def to_the_nearest(weight, how):
    """With the same scales as GPTQ has where no input weighs more than another."""
    unit = Compensation(torch.eye(weight.shape[1], dtype=torch.float64), Gptq())
    return unit.rounded(weight, how)


@pytest.mark.parametrize("largest_first", [True, False])
@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize(("inputs", "rows"), [(24, 60), (40, 10), (LAZY + 20, 300)])
def test_the_integers_are_those_of_the_formula(kind, largest_first, inputs, rows):
    weight, x = problem(inputs, 6, inputs, rows)
    how, asked = GRIDS[kind], Gptq(dampening=0.02, largest_first=largest_first)
    products = x.T @ x
    found = Compensation(products, asked).rounded(weight, how)
    scale, zero_point = grid(weight, how, products.diagonal().float())
    assert not zero_point.any()
    assert torch.equal(scale.flatten(), found.scale.flatten())
    each = how.grouping.join(scale.expand_as(how.grouping.split(weight)), weight.shape).numpy()
    expected = plain(weight.numpy(), x.numpy(), each, how.grid, 0.02, largest_first)
    assert np.array_equal(found.values.numpy(), expected)
    assert not np.array_equal(found.values.numpy(), to_the_nearest(weight, how).values.numpy())


def test_by_hand():
    # One output of two inputs, steps of 1, X Xᵀ = [[4, 3], [3, 4]] without dampening worth a mention: 1.4 becomes 1,
    # and its 0.4 is worth 0.4 · 3 / 4 = 0.3 of the other input, whose 0.3 thereby becomes 0.6, and so 1.
    how = Stored(PerTensor(), lambda low, high, grid: (torch.ones_like(low), torch.zeros_like(low)), INT8_NARROW)
    products = torch.tensor([[4.0, 3.0], [3.0, 4.0]], dtype=torch.float64)
    weight = torch.tensor([[1.4, 0.3]])
    assert Compensation(products, Gptq(dampening=1e-9)).rounded(weight, how).values.tolist() == [[1, 1]]
    assert to_the_nearest(weight, how).values.tolist() == [[1, 0]]


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(sorted(GRIDS)),
    seed=st.integers(0, 999),
    inputs=st.integers(2, 50),
    outputs=st.integers(1, 9),
    share=st.floats(0.001, 1),
    largest_first=st.booleans(),
)
def test_inputs_that_have_nothing_in_common_are_rounded_to_the_nearest(
    kind, seed, inputs, outputs, share, largest_first
):
    weight, _ = problem(seed, outputs, inputs, 1)
    weight = weight.float()
    asked = Gptq(dampening=share, largest_first=largest_first)
    found = Compensation(torch.eye(inputs, dtype=torch.float64) * 3, asked).rounded(weight, GRIDS[kind])
    steps = found.scale.reshape(-1, 1)
    groups = GRIDS[kind].grouping.split(weight)
    expected = (groups / steps).round().clamp(GRIDS[kind].grid.low, GRIDS[kind].grid.high)
    assert torch.equal(GRIDS[kind].grouping.split(found.values.float()), expected)


@pytest.mark.parametrize("bits", [4, 8])
def test_and_their_scales_are_those_of_the_backends(bits):
    weight, _ = problem(3, 20, 40, 1)
    weight = weight.float()
    how = arithmetic(Quantization(weights=bits, activations="none", block_size=16)).matrix
    scale, _ = grid(weight, how, torch.ones(40))
    expected = blocks.block_scales(how.grouping.split(weight).numpy(), bits)
    assert np.array_equal(scale.flatten().numpy(), expected)


@pytest.mark.parametrize(("correlated", "share"), [(True, 0.6), (False, 1.0)])
def test_outputs_err_less_than_with_the_nearest(correlated, share):
    ratios = []
    for seed in range(12):
        weight, x = problem(seed, 8, 32, 200, correlated)
        found = Compensation(x.T @ x, Gptq()).rounded(weight, BLOCKS)
        ratios.append(error(weight, found, BLOCKS, x) / error(weight, to_the_nearest(weight, BLOCKS), BLOCKS, x))
    assert np.mean(ratios) < share
    assert max(ratios) < 1 or not correlated


def test_fewer_texts_than_inputs():
    weight, x = problem(0, 8, 64, 5)
    found = Compensation(x.T @ x, Gptq()).rounded(weight, BLOCKS)
    assert error(weight, found, BLOCKS, x) < 0.05 * error(weight, to_the_nearest(weight, BLOCKS), BLOCKS, x)


def test_an_input_that_is_never_active_is_rounded_to_the_nearest():
    weight, x = problem(0, 8, 32, 100)
    x[:, 5] = 0
    found = Compensation(x.T @ x, Gptq()).rounded(weight, GRIDS["rows"])
    assert torch.equal(found.values[:, 5], to_the_nearest(weight, GRIDS["rows"]).values[:, 5])
    others = [place for place in range(32) if place != 5]  # no part in any other's error
    scale = GRIDS["rows"].rule(weight.amin(1, keepdim=True), weight.amax(1, keepdim=True), INT8_NARROW)[0]
    same = Stored(PerRow(), lambda *_: (scale, torch.zeros_like(scale)), INT8_NARROW)
    alone = Compensation((x.T @ x)[others][:, others], Gptq(dampening=0.01 * 31 / 32)).rounded(weight[:, others], same)
    assert (alone.values == found.values[:, others]).double().mean() > 0.99


def test_a_layer_whose_inputs_are_all_zero():
    weight, _ = problem(0, 4, 16, 1)
    found = Compensation(torch.zeros(16, 16, dtype=torch.float64), Gptq()).rounded(weight, BLOCKS)
    assert torch.equal(found.values, to_the_nearest(weight, BLOCKS).values)


@pytest.fixture(scope="module")
def llama():
    return learned()


def nearest(model):
    """The model with every linear layer on its grid."""
    how = arithmetic(GPTQ).matrix
    made = build(model.spec).eval()
    made.load_state_dict(model.state_dict())
    for layer in made.modules():
        if isinstance(layer, nn.Linear):
            layer.weight = nn.Parameter(to_the_nearest(layer.weight.data, how).floats(how.grouping))
    return made


def test_a_language_model_keeps_more_of_what_it_says(llama):
    done = gptq(llama, texts(), Gptq(), arithmetic(GPTQ))
    assert len(done.rounded) == 2 * 7 + 1
    assert done.shared == ()
    unseen = texts(seed=9)
    (expected,), (rounded,), (plainly,) = (logits(one, unseen) for one in (llama, done.model, nearest(llama)))
    assert divergence(expected, rounded) < 0.8 * divergence(expected, plainly)


def test_the_model_is_left_and_its_copy_lies_on_the_grids(llama):
    before = {name: value.clone() for name, value in llama.state_dict().items()}
    done = gptq(llama, texts(4), Gptq(), arithmetic(GPTQ), kept=("head.next",))
    assert all(torch.equal(before[name], value) for name, value in llama.state_dict().items())
    assert not hasattr(llama, "quantization")
    assert "head.next.weight.values" not in done.model.quantization
    assert torch.equal(done.model.head["next"].weight, llama.head["next"].weight)
    for name in done.rounded:
        values, scale = (done.model.quantization[f"{name}.weight.{part}"] for part in ("values", "scale"))
        assert values.dtype == torch.int8
        assert -8 <= values.min() <= values.max() <= 7
        each = scale.reshape(len(values), -1).repeat_interleave(16, dim=1)[:, : values.shape[1]]
        assert torch.equal(done.model.get_submodule(name).weight, values * each)


def test_finer_layers_have_eight_bits(llama):
    done = gptq(llama, texts(4), Gptq(), arithmetic(GPTQ), finer=("head.next",))
    assert done.model.quantization["head.next.weight.values"].abs().max() > 100


def test_a_table_that_is_the_output_matrix_too_is_left(llama):
    torch.manual_seed(0)
    model = build(spec_of("llama", tied=True)).eval()
    done = gptq(model, texts(4), Gptq(), arithmetic(GPTQ))
    assert done.shared == ("head.next",)
    assert done.model.head["next"].weight is done.model.encoder.get_input_embeddings().weight
    assert torch.equal(done.model.head["next"].weight, model.head["next"].weight)


def test_activations_that_are_no_numbers_are_refused(llama):
    torch.manual_seed(0)
    model = build(spec_of("llama", tied=False)).eval()
    with torch.no_grad():
        model.encoder.layers[1].input_layernorm.weight[3] = torch.nan
    with pytest.raises(
        MillisError, match=r"^gptq: encoder\.layers\.1\.self_attn\.q_proj reads NaN .* Train again with"
    ):
        gptq(model, texts(2), Gptq(), arithmetic(GPTQ))
