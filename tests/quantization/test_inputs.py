"""Activations: each request's own range without its padding, ranges for good, and sharing."""

import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from torch import nn

from millis.errors import MillisError
from millis.quantization.fake_quantize import UINT8
from millis.quantization.inputs import (
    BlockInput,
    DynamicInput,
    LearnedInput,
    RowInput,
    SharedInput,
    StaticInput,
    Tokens,
)
from millis.quantization.observers import Observer, full_extent, widest
from millis.quantization.steps import LearnedSteps, affine

X = torch.tensor([[[-1.0, 4.1], [0.03, 0.0]], [[2.0, 2.55], [-90.0, 90.0]]])  # [2, 2, 2]
REAL = torch.tensor([[True, True], [True, False]])


def static():
    return StaticInput(Observer(full_extent, widest))


def learned(features=2):
    return LearnedInput(LearnedSteps(affine, full_extent, UINT8, groups=1, sharing=features))


def test_every_row_has_its_own_range_and_padding_none():
    # Row 0: 5.1 / 255 = 0.02, z = 50. Row 1 without its padding: 0..2.55, 0.01, z = 0; the padding is clamped.
    rounded = DynamicInput()(X, REAL)
    assert rounded.flatten().tolist() == pytest.approx([-1, 4.1, 0.04, 0, 2, 2.55, 0, 2.55])
    integers, step = DynamicInput().factors(X, REAL)
    assert step.flatten().tolist() == pytest.approx([0.02, 0.01])
    assert integers.flatten().tolist() == [-50, 205, 2, 0, 200, 255, 0, 255]  # 0.03 / 0.02 = 1.5: to the even 2


def test_without_a_mask_a_row_is_all_of_it():
    assert DynamicInput().grid_of(X, None)[0].flatten().tolist() == pytest.approx([0.02, 180 / 255])
    assert DynamicInput().grid_of(X[:, 0], None)[0].shape == (2, 1)


def test_every_token_has_its_own_range():
    # 5.1 / 255 = 0.02, z = 50; 0.03 / 255, z = 0; 0.01, z = 0; 180 / 255, z = 127.5 → 128: -90 is -127.5 → -128 steps.
    rounded = RowInput()(X, REAL)
    step = 180 / 255
    assert rounded.flatten().tolist() == pytest.approx([-1, 4.1, 0.03, 0, 2, 2.55, -128 * step, 127 * step])
    x = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(RowInput()(x, None)[1, 2], DynamicInput()(x[1, 2][None], None)[0])  # a token, as a text of one
    quantizer = RowInput()
    quantizer.enabled = False
    assert quantizer(x, None) is x


@pytest.fixture(scope="module")
def dynamic_quantize_linear():
    """ONNX Runtime's own operator: [n] → integers, scale, zero point."""
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"])
    kinds = {"y": TensorProto.UINT8, "s": TensorProto.FLOAT, "z": TensorProto.UINT8}
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x.numpy()})


@given(seed=st.integers(0, 10_000), size=st.integers(1, 200), shift=st.floats(-3, 3), spread=st.floats(0.01, 30))
def test_dynamic_is_onnx_runtimes_operator_to_the_last_bit(dynamic_quantize_linear, seed, size, shift, spread):
    x = torch.randn(size, generator=torch.Generator().manual_seed(seed)) * spread + shift
    integers, scale, zero_point = dynamic_quantize_linear(x)
    ours, step = DynamicInput().factors(x[None], None)
    assert step.item() == scale
    assert torch.equal(ours[0] + float(zero_point), torch.from_numpy(integers).float())


def test_blocks_have_a_step_each_and_the_last_is_filled_up():
    # 127, -1 and 0.6: steps 1 and 0.6 / 127; the third value is exact, being its block's largest.
    rounded = BlockInput(2)(torch.tensor([[127.0, -1.4, 0.6]]), None)
    assert rounded.flatten().tolist() == pytest.approx([127, -1, 0.6])
    shaped = BlockInput(4)(torch.randn(2, 3, 6), None)
    assert shaped.shape == (2, 3, 6)


def test_a_static_range_is_what_training_saw_without_padding():
    quantizer = static()
    rounded = quantizer(X, REAL)
    assert quantizer.observer.range.tolist() == pytest.approx([-1, 4.1])
    assert rounded[1, 1].tolist() == pytest.approx([-1, 4.1])  # clipped
    quantizer.eval()(X * 10, REAL)
    quantizer.train().frozen = True
    quantizer(X * 10, REAL)
    assert quantizer.observer.range.tolist() == pytest.approx([-1, 4.1])


def test_a_static_range_is_observed_before_rounding_begins():
    quantizer = static()
    quantizer.enabled = False
    assert torch.equal(quantizer(X, None), X)
    assert quantizer.observer.range.tolist() == [-90, 90]


def test_a_learned_range_starts_from_the_first_rounded_batch():
    quantizer = learned()
    quantizer.enabled = False
    quantizer(X * 7, REAL)
    quantizer.enabled = True
    quantizer(X, REAL)
    quantizer(X * 9, REAL)
    scale, zero_point = quantizer.grid_of()
    assert (scale.item(), zero_point.item()) == (pytest.approx(0.02), 50)


def test_a_learned_range_goes_on_from_its_state():
    first, second = learned(), learned()
    first(X, REAL)
    second.load_state_dict(first.state_dict())
    second(X * 9, REAL)
    assert second.grid_of()[0].item() == first.grid_of()[0].item()


@pytest.mark.parametrize("make", [static, learned])
def test_an_unseen_range_is_refused(make):
    with pytest.raises(MillisError) as error:
        make().eval()(X, None)
    assert str(error.value) == (
        "static activations have no range yet: expected at least one training batch through the prepared model. Train "
        "it, or choose quantization.activations=dynamic"
    )


class Counting(DynamicInput):
    calls = 0

    def forward(self, x, real):
        self.calls += 1
        return super().forward(x, real)


def test_readers_of_one_tensor_share_one_copy_of_it():
    shared = SharedInput(Counting(), None, ["query", "key"])
    first, again, other = shared(X), shared(X), shared(X.clone())
    assert first is again
    assert torch.equal(first, other)
    assert shared.quantizer.calls == 2
    shared.forget()
    assert shared._seen is None


def test_tokens_are_known_for_batches_of_the_masks_shape_only():
    tokens, mask = Tokens(), torch.tensor([[1, 1, 0], [1, 0, 0]])
    tokens.read(nn.Identity(), (torch.zeros(2, 3), mask), {})
    assert torch.equal(tokens.of(torch.zeros(2, 3, 8)), mask.bool())
    assert tokens.of(torch.zeros(2, 8)) is None  # pooled
    assert tokens.of(torch.zeros(1, 9, 8)) is None  # a table of positions
    tokens.read(nn.Identity(), (), {"attention_mask": mask[:1]})
    assert tokens.of(torch.zeros(1, 3, 8)).tolist() == [[True, True, False]]
    tokens.forget()
    assert tokens.of(torch.zeros(1, 3, 8)) is None
