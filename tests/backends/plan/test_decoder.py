"""Decoders on every instruction set: against transformers, piece by piece, and by hand; what has no steps."""

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shaped import agree, batch, eager, signature_of, spread
from torch import nn
from writers import VOCABULARY, after_each, planned, tokens, writer

from millis.backends.native import FILE_NAME, Native
from millis.backends.plan import file, packing
from millis.backends.plan.builder import Integers
from millis.backends.plan.continuation import PlanDecoder
from millis.backends.plan.session import PlanSession
from millis.backends.plan.steps import Causal, Embed, Gate, Give, Norm, Plan, PreNorm, Slot, Table
from millis.errors import MillisError
from millis.models.low_rank import LowRankEmbedding, install
from millis.quantization.spec import Quantization
from millis.types import Features

INTEGERS = Integers(127, True, ())
LENGTHS = (1, 2, 16, 33, 140)  # one token, panels of tokens, blocks of queries, groups of tokens
SHAPES = {
    "usual": {},
    "own matrix": {"tied": False},
    "whole panels": {"size": 16},
    "odd sizes": {"size": 10, "hidden": 21, "heads": (3, 5, 1), "groups": 1, "ffn": (7, 1, 40)},
    "many heads on one": {"size": 16, "hidden": 40, "heads": (40,), "groups": 40, "ffn": (5,)},
    "no neurons": {"ffn": (0, 7)},
    "biases": {"kind": "qwen2"},
    "scaled turns": {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}},
    "yarn": {"rope_parameters": {
        "rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4, "original_max_position_embeddings": 128,
    }},
    "no windows": {"kind": "mistral", "sliding_window": None},
    "another gate": {"hidden_act": "gelu_pytorch_tanh"},
    "positions": {"kind": "gpt2", "groups": 1},
    "positions, no neurons": {"kind": "gpt2", "groups": 1, "ffn": (20, 0), "tied": False},
}  # fmt: skip


def session(model, folder, integers=None, precision="fp32", cache="fp32"):
    return PlanDecoder(planned(model, folder / "model.plan", integers, precision, cache))


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
    model = writer(heads=(6, 4, 2), ffn=(50, 50, 50), groups=2, hidden=32, size=16)
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
@pytest.mark.parametrize(
    ("integers", "precision", "cache"),
    [
        (None, "fp32", "fp32"),
        (None, "bf16", "fp32"),
        (INTEGERS, "fp32", "fp32"),
        (Integers(7, True, (), 32), "fp32", "fp32"),
        (None, "fp32", "int8"),
        (INTEGERS, "fp32", "int8"),
    ],
    ids=["fp32", "bf16", "int8", "int4", "cache in int8", "int8 all through"],
)
@pytest.mark.parametrize("size", [16, 10])
def test_pieces_say_what_the_whole_says(size, integers, precision, cache, tmp_path):
    """To the last bit: every row is computed by itself, and no sum depends on how many rows there are."""
    native, ids = session(writer(size=size), tmp_path, integers, precision, cache), tokens(2, 150)
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


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_decoders(tmp_path, data):
    layers, groups = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    seed = data.draw(st.integers(0, 99))
    model = writer(
        heads=[groups * data.draw(st.integers(1, 3)) for _ in range(layers)],
        ffn=[data.draw(st.integers(0, 40)) for _ in range(layers)],
        groups=groups,
        size=2 * data.draw(st.integers(1, 12)),
        hidden=groups * data.draw(st.integers(1, 13)),
        tied=data.draw(st.booleans()),
        seed=seed,
    )
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
        if isinstance(module, nn.Embedding) or (
            isinstance(module, nn.Linear) and not (tied and module in model.classifiers())
        ):
            module.weight.data.copy_(rounded_weights(module.weight))
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(lambda _, given: (rounded_rows(given[0]),))
    expected = after_each(model, ids)
    # Another order of a sum may turn a rounding; that is far less than what rounding does at all.
    assert np.abs(found - expected).mean() < 0.2 * np.abs(plain - expected).mean()


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("tied", [True, False])
def test_bf16_is_that_of_torch(tied, tmp_path):
    model, ids = writer(hidden=47, size=16, tied=tied), tokens(0, 60)
    plain, mapped = after_each(model, ids), planned(model, tmp_path / "model.plan", precision="bf16")
    assert (mapped.plan.steps[0].matrix is not None) == tied
    found = PlanDecoder(mapped).begin(60).read(ids, every=True)
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.Linear):
            module.weight.data.copy_(module.weight.bfloat16())
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(lambda _, given: given[0].bfloat16().float())
    expected = after_each(model, ids)
    assert np.abs(found - expected).mean() < 0.2 * np.abs(plain - expected).mean()


@pytest.mark.parametrize(
    ("tied", "integers", "kinds"),
    [
        (True, None, ["fp32"]),
        (True, INTEGERS, ["int8"]),
        (False, INTEGERS, ["int8", "int8"]),
        (True, Integers(64, True, ()), ["int8", "int8"]),  # tables stay at 8 bits
        (True, Integers(127, False, ()), ["int8", "int8"]),  # one scale, and a scale each row
        (True, Integers(127, True, ("head.next",)), ["int8", "fp32"]),
        (True, Integers(7, True, (), 16), ["int8", "int4"]),
    ],
)
def test_a_tied_table_is_stored_once_where_its_grid_is_one(tied, integers, kinds, tmp_path):
    mapped = planned(writer(tied=tied), tmp_path / "model.plan", integers)
    first, last = mapped.plan.steps[0], mapped.plan.steps[-2]
    found = [(first.matrix or first.words).kind]
    if first.matrix != last.matrix:
        found.append(last.matrix.kind)
    assert found == kinds


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


@pytest.mark.usefixtures("instructions")
def test_keys_and_values_in_8_bits_by_hand(tmp_path):
    # One head of two numbers; no turns. Largest magnitudes of the keys are 127 and 254, so steps are 1 and 2: of the
    # second key, 3 is 1.5 steps, which is rounded to the even 2, and 4. Values: 5 and 127; -63.5, half a step, to 0.
    rows = np.array([[0.01, 0.0, 127, 1.4, 5, 127], [0.02, 0.01, 254, 3, -63.5, 0.2]], np.float32)
    steps = [Embed(0, 6, words=Table(2, 6, "fp32", 0)), Causal(0, 1, 1, 1, 2, 1.0, cache="int8")]
    text = by_hand(tmp_path / "p", (6, 2), steps, [("t", packing.table_rows(rows))])
    # Scores of the second query: 0.02 * 127 + 0.01 * 1 = 2.55, and 0.02 * 254 + 0.01 * 4 = 5.12.
    share = 1 / (1 + math.exp(2.55 - 5.12))
    expected = [[5, 127], [5 + share * (-63.5 - 5), 127 + share * (0 - 127)]]
    assert text.read(np.array([0, 1]), every=True) == pytest.approx(np.array(expected), abs=1e-4)


def in_bytes(heads):
    """Numbers [..., size] on the grid of their largest magnitude, in fp32 as the kernels."""
    step = np.abs(heads).max(axis=-1, keepdims=True) / np.float32(127)
    step = np.where(step == 0, np.float32(1), step)
    return np.rint(heads * (np.float32(1) / step)) * step


@pytest.mark.usefixtures("instructions")
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_attention_over_bytes_is_that_of_numpy(tmp_path, data):
    groups, share, size = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 40))
    count, heads, chance = 8, groups * share, np.random.default_rng(data.draw(st.integers(0, 99)))
    rows = chance.normal(size=(count, (heads + 2 * groups) * size)).astype(np.float32)
    rows[chance.integers(0, count), heads * size :] = 0  # a token whose key and value are zeros
    steps = [
        Embed(0, rows.shape[1], words=Table(count, rows.shape[1], "fp32", 0)),
        Causal(0, 1, heads, groups, size, 0.5, cache="int8"),
    ]
    text = by_hand(tmp_path / "p", (rows.shape[1], heads * size), steps, [("t", packing.table_rows(rows))])
    cut = data.draw(st.integers(1, count - 1))
    found = np.concatenate([text.read(np.arange(cut), every=True), text.read(np.arange(cut, count), every=True)])
    queries = rows[:, : heads * size].reshape(count, heads, size)
    keys, values = (
        in_bytes(part.reshape(count, groups, size)) for part in np.split(rows[:, heads * size :], 2, axis=1)
    )
    scores = 0.5 * np.einsum("qhd,khd->hqk", queries, keys.repeat(share, axis=1)).astype(np.float64)
    scores[:, np.triu(np.ones((count, count), bool), 1)] = -np.inf
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    expected = np.einsum("hqk,khd->qhd", shares, values.repeat(share, axis=1)).reshape(count, -1)
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.usefixtures("instructions")
def test_a_cache_in_8_bits_says_nearly_the_same(tmp_path):
    model, ids = writer(hidden=48, size=16), tokens(0, 140)
    expected = after_each(model, ids)
    found = session(model, tmp_path, cache="int8").begin(140).read(ids, every=True)
    assert 1e-4 < np.abs(found - expected).mean() < 0.02 * np.abs(expected).mean()


REFUSED = {
    "a 'mistral' decoder whose tokens look back through a window": {"kind": "mistral", "sliding_window": 4},
    "a 'qwen2' decoder whose tokens look back through a window": {
        "kind": "qwen2", "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0,
    },
    r"a decoder that turns heads by the length of the text \(rope_type 'dynamic'\)": {
        "rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    },
    "the activation 'leaky_relu'": {"hidden_act": "leaky_relu"},
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_steps_is_refused_with_the_reason(what, tmp_path):
    with pytest.raises(MillisError, match=f"backend=native cannot run {what}.*Use backend=onnxruntime"):
        planned(writer(**REFUSED[what]), tmp_path / "model.plan")


def test_a_token_table_of_low_rank_is_refused(tmp_path):
    model = writer(tied=False)
    model.encoder.embed_tokens = LowRankEmbedding(VOCABULARY, 24, 3)
    with pytest.raises(MillisError, match="cannot run a decoder with a token table of low rank"):
        planned(model, tmp_path / "model.plan")


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("heads", [(3, 2), (2, 0), (0, 0)])
def test_other_outputs_of_what_looks_back(kind, heads, tmp_path):
    outputs = [["intent", "text", 3, "one"], ["tags", "token", 4, "one"]]
    model = writer(heads, (9, 0), groups=1, kind=kind, outputs=outputs)
    native = PlanSession(planned(model, tmp_path / "model.plan"))
    for seed, (count, length) in enumerate([(1, 1), (1, 20), (5, 9)]):
        features = batch(seed, count, length)
        agree(native(features), eager(model, features), features, model.spec.outputs)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("quantization", [None, Quantization(reduce_range=False)], ids=["fp32", "int8"])
def test_layers_of_low_rank(quantization, tmp_path):
    names = ("self_attn.k_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")
    model = writer(tied=False)
    install(model, {f"encoder.layers.0.{name}": 4 for name in names} | {"head.next": 7})
    spread(model)
    Native().write(model, tmp_path, signature_of(model), quantization)
    found, ids = PlanDecoder(file.read(tmp_path / FILE_NAME)).begin(30), tokens(0, 30)
    close(found.read(ids, every=True), after_each(model, ids), 2e-5 if quantization is None else 0.15)
