"""Decoders on every instruction set: against transformers, piece by piece, and by hand; what has no steps."""

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import LlamaModel, MistralModel, Qwen2Model, Qwen3Model
from writers import VOCABULARY, after_each, planned, tokens, writer

from millis.backends.plan import decoder, file, packing
from millis.backends.plan.builder import Builder, Integers
from millis.backends.plan.continuation import PlanDecoder
from millis.backends.plan.steps import Causal, Embed, Gate, Give, Linear, Norm, Plan, PreNorm, Slot, Table
from millis.errors import MillisError
from millis.types import Features, Output

INTEGERS = Integers(127, True, ())
LENGTHS = (1, 2, 16, 33, 140)  # one token, panels of tokens, blocks of queries, groups of tokens
SHAPES = {
    "usual": {},
    "own matrix": {"tied": False},
    "whole panels": {"size": 16},
    "odd sizes": {"size": 10, "hidden": 21, "layers": ((3, 3, 7), (5, 1, 1), (1, 1, 40))},
    "many heads on one": {"size": 16, "layers": ((40, 1, 5),)},
    "biases": {"kind": Qwen2Model},
    "scaled turns": {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}},
    "yarn": {"rope_parameters": {
        "rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4, "original_max_position_embeddings": 128,
    }},
    "no windows": {"kind": MistralModel, "sliding_window": None},
    "another gate": {"hidden_act": "gelu_pytorch_tanh"},
}  # fmt: skip


def session(model, folder, integers=None):
    return PlanDecoder(planned(model, folder / "model.plan", integers))


def close(found, expected, tolerance=2e-5):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * max(1, np.abs(expected).max())


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_says_what_transformers_say(shape, tmp_path):
    model = writer(**SHAPES[shape])
    native = session(model, tmp_path)
    for seed, length in enumerate(LENGTHS):
        ids = tokens(seed, length)
        expected = after_each(model, ids)
        close(native(Features(ids[None], np.ones((1, length), np.int64), None))[0][0], expected)
        close(native.begin(length).read(ids, every=True), expected)
        close(native.begin(length + 1).read(ids), expected[-1:])


@pytest.mark.usefixtures("instructions")
def test_batches_with_padding_on_either_side(tmp_path):
    model = writer()
    ids = tokens(0, 4 * 40).reshape(4, 40)
    mask = np.ones_like(ids)
    mask[1, 30:] = mask[2, 1:] = mask[3, :7] = 0
    (found,) = session(model, tmp_path)(Features(ids, mask, None))
    with torch.inference_mode():
        expected = model(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    close(found[mask > 0], expected[mask > 0])
    assert not found[mask == 0].any()


@pytest.mark.usefixtures("instructions")
def test_what_is_written_greedily_is_what_transformers_write(tmp_path):
    model = writer(layers=((6, 2, 50), (4, 2, 50), (2, 1, 50)), hidden=32, size=16)
    native, ids = session(model, tmp_path), tokens(1, 5)
    text = native.begin(60)
    logits = text.read(ids)
    for _ in range(55):
        expected = after_each(model, ids)[-1]
        chosen = int(logits[0].argmax())
        assert chosen == int(expected.argmax())
        ids = np.append(ids, chosen)
        logits = text.read(ids[-1:])
    assert text.length == 60


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("integers", [None, INTEGERS], ids=["fp32", "int8"])
@pytest.mark.parametrize("size", [16, 10])
def test_pieces_say_what_the_whole_says(size, integers, tmp_path):
    """To the last bit: every row is computed by itself, and no sum depends on how many rows there are."""
    native, ids = session(writer(size=size), tmp_path, integers), tokens(2, 150)
    whole = native(Features(ids[None], np.ones((1, 150), np.int64), None))[0][0]
    for piece in (1, 7, 32, 149):
        text = native.begin(150)
        found = [text.read(ids[at : at + piece], every=True) for at in range(0, 150, piece)]
        assert np.array_equal(np.concatenate(found), whole)
    text = native.begin(200)
    text.read(tokens(3, 170))  # other tokens, which are forgotten
    text.rewind(0)
    assert np.array_equal(text.read(ids[:141]), whole[140:141])
    text.read(tokens(4, 30))
    text.rewind(100)
    assert np.array_equal(text.read(ids[100:]), whole[-1:])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_decoders(tmp_path, data):
    layer = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 40))
    layers = [
        (share * groups, groups, ffn) for share, groups, ffn in data.draw(st.lists(layer, min_size=1, max_size=3))
    ]
    seed = data.draw(st.integers(0, 99))
    model = writer(
        layers, data.draw(st.booleans()), hidden=data.draw(st.integers(2, 40)), size=2 * data.draw(st.integers(1, 12)),
        seed=seed,
    )  # fmt: skip
    ids = tokens(seed, data.draw(st.integers(1, 40)))
    expected = after_each(model, ids)
    native, cut = session(model, tmp_path), data.draw(st.integers(0, len(ids) - 1))
    text = native.begin(len(ids))
    if cut:
        close(text.read(ids[:cut]), expected[cut - 1 : cut], 1e-4)
    close(text.read(ids[cut:], every=True), expected[cut:], 1e-4)
    close(native(Features(ids[None], np.ones((1, len(ids)), np.int64), None))[0][0], expected, 1e-4)


def rounded_weights(weight):
    step = (weight.abs().amax(dim=1, keepdim=True).double() / 127).float()
    return (weight / step).round() * step


def rounded_rows(x):
    low, high = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
    step = (high - low) / 255
    zero = (-low / step + 0.5).floor()
    return ((x * (1 / step)).round() + zero).clamp(0, 255).sub(zero) * step


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("tied", [True, False])
def test_integers_are_those_that_are_described(tied, tmp_path):
    model, ids = writer(hidden=48, size=16, tied=tied), tokens(0, 60)
    plain, found = after_each(model, ids), session(model, tmp_path, INTEGERS).begin(60).read(ids, every=True)
    for module in [*model.modules()]:
        if isinstance(module, nn.Embedding) or (isinstance(module, nn.Linear) and not (tied and module is model.next)):
            module.weight.data.copy_(rounded_weights(module.weight))
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(lambda _, given: (rounded_rows(given[0]),))
    expected = after_each(model, ids)
    # Another order of a sum may turn a rounding; that is far less than what rounding does at all.
    assert np.abs(found - expected).mean() < 0.2 * np.abs(plain - expected).mean()


@pytest.mark.parametrize(
    ("tied", "integers", "kinds"),
    [
        (True, None, ["fp32"]),
        (True, INTEGERS, ["int8"]),
        (False, INTEGERS, ["int8", "int8"]),
        (True, Integers(64, True, ()), ["int8", "int8"]),  # tables stay at 8 bits
        (True, Integers(127, False, ()), ["int8", "int8"]),  # one scale, and a scale each row
        (True, Integers(127, True, ("next",)), ["int8", "fp32"]),
    ],
)
def test_a_tied_table_is_stored_once_where_its_grid_is_one(tied, integers, kinds, tmp_path):
    mapped = planned(writer(tied=tied), tmp_path / "model.plan", integers)
    stored = [one.dtype for one in mapped.plan.tensors if one.count >= VOCABULARY * 24 and "proj" not in one.name]
    assert stored == [{"fp32": "f4", "int8": "i1"}[kind] for kind in kinds]


def by_hand(path, slots, steps, arrays):
    """What comes after each token of a plan whose last slot is given."""
    slots = [Slot("token", width) for width in slots]
    plan = Plan(slots, [slots[-1]], [*steps, Give(len(slots) - 1, 0, slots[-1].width)], file.placed(arrays))
    file.write(path, plan, [array for _, array in arrays])
    return PlanDecoder(file.read(path)).begin(8)


@pytest.mark.usefixtures("instructions")
def test_a_norm_and_a_gate_by_hand(tmp_path):
    table = packing.table_rows(np.array([[3, 4], [1, 0]], np.float32))
    gain = packing.row(np.array([1, 10], np.float32))
    steps = [
        Embed(0, 2, words=Table(2, 2, "fp32", 0)),
        PreNorm(0, 1, 2, Norm(1, None, 0.0), source=0),  # the stream is doubled: 6, 8 and 2, 0
        Gate(1, 2, 1, "silu"),
    ]
    found = by_hand(tmp_path / "p", (2, 2, 1), steps, [("t", table), ("g", gain)]).read(np.array([0, 1]), every=True)
    # 6, 8 over the root of 50, √50 = 7.071; 2, 0 over √2. Gains 1 and 10. silu(0.84853) = 0.59407, times 11.3137.
    x = 6 / math.sqrt(50)
    assert found[:, 0] == pytest.approx([x / (1 + math.exp(-x)) * 80 / math.sqrt(50), 0], rel=1e-5)


@pytest.mark.usefixtures("instructions")
def test_attention_by_hand(tmp_path):
    # Columns: query (2), key (2), value (2). A quarter turn a place takes (a, b) to (-b, a) at place 1.
    rows = np.array([[1, 0, 1, 0, 5, 7], [0, 1, 0, 2, 1, 3]], np.float32)
    frequencies = np.array([math.pi / 2], np.float32)
    steps = [Embed(0, 6, words=Table(2, 6, "fp32", 0)), Causal(0, 1, 1, 1, 2, 1.0, frequencies=1)]
    text = by_hand(tmp_path / "p", (6, 2), steps, [("t", packing.table_rows(rows)), ("f", frequencies)])
    # Place 0 sees itself. At place 1 the query (0, 1) is (-1, 0), its key (0, 2) is (-2, 0): scores -1 with (1, 0), 2.
    share = 1 / (1 + math.exp(-3))
    expected = [[5, 7], [5 + share * (1 - 5), 7 + share * (3 - 7)]]
    assert text.read(np.array([0, 1]), every=True) == pytest.approx(np.array(expected), abs=1e-5)


REFUSED = {
    "a 'qwen3' decoder": lambda: writer(kind=Qwen3Model),
    "a 'mistral' decoder whose tokens look back through a window": lambda: writer(kind=MistralModel, sliding_window=4),
    "a 'qwen2' decoder whose tokens look back through a window": lambda: writer(
        kind=Qwen2Model, use_sliding_window=True, sliding_window=4, max_window_layers=0
    ),
    r"a decoder that turns heads by the length of the text \(rope_type 'dynamic'\)": lambda: writer(
        rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    ),
    "the activation 'leaky_relu'": lambda: writer(hidden_act="leaky_relu"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_steps_is_refused_with_the_reason(what, tmp_path):
    with pytest.raises(MillisError, match=f"backend=native cannot run {what}.*Use backend=onnxruntime"):
        planned(REFUSED[what](), tmp_path / "model.plan")


def test_layers_that_are_empty_are_passed_by(tmp_path):
    model, ids = writer(layers=((2, 1, 8), (2, 2, 8), (1, 1, 8))), tokens(0, 9)
    whole = model.encoder.layers
    with torch.no_grad():
        whole[1].self_attn.o_proj.weight.zero_()
        whole[2].mlp.down_proj.weight.zero_()
    expected = after_each(model, ids)
    for name in ("q_proj", "k_proj", "v_proj"):
        getattr(whole[1].self_attn, name).out_features = 0
    whole[2].mlp.down_proj.in_features = 0
    mapped = planned(model, tmp_path / "model.plan")
    assert [type(step) for step in mapped.plan.steps].count(Causal) == 2
    close(PlanDecoder(mapped).begin(9).read(ids, every=True), expected)


def test_every_decoder_has_one_output(tmp_path):
    model = writer()
    builder = Builder(model, [Output("next", "token", VOCABULARY, "next")], None)
    decoder.build(model.encoder, model.next, builder)
    builder.write(tmp_path / "model.plan")
    plan = file.read(tmp_path / "model.plan").plan
    assert plan.outputs == [Slot("token", VOCABULARY)]
    assert isinstance(plan.steps[-2], Linear) and plan.steps[-2].matrix == plan.steps[0].matrix
    assert isinstance(model.encoder, LlamaModel)
