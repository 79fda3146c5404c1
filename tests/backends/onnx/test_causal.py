"""Graphs of decoders against their modules: every architecture whose tokens look back, and whatever shape is left."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from looking_back import LONGEST, VOCABULARY, after_each, exported, looking_back, tokens
from shaped import agree, eager

from millis.backends.onnx import nodes
from millis.backends.onnx.causal import graph
from millis.errors import MillisError
from millis.types import Features

TURNED = {"rope_theta": 100.0, "factor": 4.0, "original_max_position_embeddings": 16}
MODELS = {
    "llama": {},
    "heads of 16, as ONNX Runtime has them": {"size": 16},
    "heads of 6, each with a key": {"size": 6, "groups": 1, "tied": False},
    "without neurons": {"ffn": (0, 20)},
    "biases": {"attention_bias": True, "mlp_bias": True, "ffn": (0, 20)},
    "yarn": {"rope_parameters": {"rope_type": "yarn", **TURNED}},
    "llama3": {"rope_parameters": {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0, **TURNED}},
    "tanh": {"hidden_act": "tanh"},
    "low ranks": {"ranks": {"encoder.layers.0.self_attn.q_proj": 4, "encoder.layers.1.mlp.down_proj": 3}},
    "a table of low rank": {"tied": False, "ranks": {"encoder.embed_tokens": 4}},
    "mistral": {"kind": "mistral", "sliding_window": 5},
    "mistral without a window": {"kind": "mistral", "sliding_window": None},
    "qwen2": {"kind": "qwen2"},
    "qwen2 with windows": {
        "kind": "qwen2", "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1,
    },
    "gpt2": {"kind": "gpt2"},
    "gpt2, heads of 5": {"kind": "gpt2", "size": 5, "ffn": (0, 7)},
    "gpt2, scaled by layer": {"kind": "gpt2", "scale_attn_by_inverse_layer_idx": True, "activation_function": "relu"},
}  # fmt: skip


def agrees(model, path, ids, cuts):
    """Read in pieces, the graph says what the module does."""
    text, expected = exported(model, path).begin(len(ids)), after_each(model, ids)
    found = np.concatenate([text.read(piece, every=True) for piece in np.split(ids, cuts) if len(piece)])
    assert np.abs(found - expected).max() <= 1e-4
    return text


@pytest.mark.parametrize("name", MODELS)
def test_every_architecture_reads_in_pieces_as_its_module_reads_the_whole(tmp_path, name):
    agrees(looking_back(**MODELS[name]), tmp_path / "m.onnx", tokens(1, LONGEST), [7, 8, 9, 30])


@settings(max_examples=12)
@given(
    st.sampled_from(["llama", "qwen2", "mistral", "gpt2"]), st.sampled_from([1, 2, 3]), st.sampled_from([4, 8, 16]),
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 20)), min_size=1, max_size=3), st.booleans(),
    st.lists(st.integers(0, 20), max_size=4), st.integers(0, 99),
)  # fmt: skip
def test_whatever_shape_is_left_reads_in_pieces(tmp_path_factory, kind, groups, size, layers, tied, cuts, seed):
    groups = 1 if kind == "gpt2" else groups
    model = looking_back(
        kind, [heads * groups for heads, _ in layers], [ffn for _, ffn in layers], groups, size, tied=tied, seed=seed
    )
    agrees(model, tmp_path_factory.mktemp("graph") / "m.onnx", tokens(seed, 20), sorted(cuts))


def test_it_is_a_session_of_whole_padded_texts(tmp_path):
    model = looking_back()
    session, ids = exported(model, tmp_path / "m.onnx"), tokens(2, 24).reshape(3, 8)
    for rows, length in ((1, 1), (1, 8), (3, 8)):
        mask = (np.arange(length) < np.array([length, 3, 1])[:rows, None]).astype(np.int64)
        features = Features(ids[:rows, :length], mask, None)
        agree(session(features), eager(model, features), features, model.spec.outputs)


def test_all_logits_are_computed_only_where_they_are_asked_for():
    """The states are cut before the last product."""
    found = graph(looking_back()).graph.node
    (cut,) = [place for place, node in enumerate(found) if "rows" in node.input]
    assert [node.op_type for node in found[cut:]] == ["Slice", "RMSNormalization", "MatMul", "Identity"]


def test_tables_of_turns_are_not_stored():
    model = looking_back(max_position_embeddings=10**6)
    assert graph(model).ByteSize() < 100_000


def test_weights_that_no_file_holds_are_refused(monkeypatch):
    monkeypatch.setattr(nodes, "LARGEST", 10_000)
    with pytest.raises(MillisError, match=r"would hold weights of 0.0 GB: expected at most 2, .*Use backend=native"):
        graph(looking_back())


def test_keys_and_values_are_as_many_as_there_are_groups():
    made = graph(looking_back(size=16))
    kept = {value.name: value.type.tensor_type.shape.dim for value in made.graph.input if "past" in value.name}
    assert {name: (shape[1].dim_value, shape[3].dim_value) for name, shape in kept.items()} == {
        "past_0_key": (2, 16), "past_0_value": (2, 16), "past_1_key": (1, 16), "past_1_value": (1, 16),
    }  # fmt: skip
    (logits,) = [value for value in made.graph.output if value.name == "next"]
    assert logits.type.tensor_type.shape.dim[2].dim_value == VOCABULARY
    onnx.checker.check_model(made)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"hidden_act": "mish"},
            r"cannot write the activation 'mish' as a decoder: expected one of silu, gelu, .*. Use backend=eager",
        ),
        (
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 100.0, "factor": 2.0}},
            r"cannot write heads that are turned by the length of the text \(rope_type 'dynamic'\) as a decoder",
        ),
    ],
)
def test_what_has_no_form_is_refused(changes, message):
    with pytest.raises(MillisError, match=message):
        graph(looking_back(**changes))
