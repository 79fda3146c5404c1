"""A table that is the output matrix too is one initializer, whatever it is made of, and its rows are the matrix'."""

import numpy as np
import onnx
import pytest
from looking_back import VOCABULARY, exported, looking_back, tokens
from onnx import numpy_helper

from millis.quantization.spec import Calibration, Quantization
from millis.types import Features

TEXTS = [Features(tokens(0, 9)[None], np.ones((1, 9), np.int64), None)]
TABLE, MATRIX = "encoder.embed_tokens.weight", "head.next.weight"
FORMS = {
    "fp32": None,
    "dynamic": Quantization(),
    "dynamic, one scale": Quantization(per_channel=False),
    "static": Quantization(activations="static", calibration=Calibration(texts=1)),
    "weights": Quantization(activations="none", block_size=16),
    "4 bits": Quantization(weights=4, activations="none", block_size=16),
    "kept": Quantization(keep=("head.*",)),
}
SIZES = {"hidden": 32, "heads": (2,), "ffn": (16,), "groups": 1}


def made(path, form, **changes):
    """The graph's nodes that read a table or matrix, its initializers, and those of table and matrix."""
    session = exported(looking_back(**SIZES | changes), path, FORMS[form], TEXTS)
    graph = onnx.load(path).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    words = {name: array for name, array in arrays.items() if name.startswith((TABLE, MATRIX)) and array.size > 2}
    return session, graph, words


@pytest.mark.parametrize(
    ("form", "kept"),
    [
        ("fp32", {TABLE: (VOCABULARY, 32)}),
        ("kept", {TABLE: (VOCABULARY, 32)}),
        ("dynamic", {f"{MATRIX}_rows": (VOCABULARY, 32), f"{MATRIX}_scale": (VOCABULARY,)}),
        ("dynamic, one scale", {f"{MATRIX}_rows": (VOCABULARY, 32)}),
        ("static", {f"{MATRIX}_rows": (VOCABULARY, 32), f"{MATRIX}_scale": (VOCABULARY,)}),
        ("weights", {f"{MATRIX}_quantized": (VOCABULARY, 2, 16), f"{MATRIX}_scale": (VOCABULARY, 2)}),
        ("4 bits", {f"{MATRIX}_quantized": (VOCABULARY, 2, 8), f"{MATRIX}_scale": (VOCABULARY, 2)}),
    ],
)
def test_it_is_stored_once(tmp_path, form, kept):
    _, _, words = made(tmp_path / "m.onnx", form)
    found = {name: array.shape for name, array in words.items() if not name.endswith("zero_point")}
    assert found == kept


def matrix_of(form, words):
    """[V, D] that the integers stand for."""
    if form in ("fp32", "kept"):
        return words[TABLE]
    if form in ("weights", "4 bits"):
        values, scale = words[f"{MATRIX}_quantized"], words[f"{MATRIX}_scale"]
        if form == "4 bits":
            values = np.stack([values & 15, values >> 4], axis=-1).reshape(VOCABULARY, 2, 16)
        floats = (values.astype(np.float32) - (8 if form == "4 bits" else 128)) * scale[..., None]
        return floats.reshape(VOCABULARY, 32)
    return words[f"{MATRIX}_rows"] * words[f"{MATRIX}_scale"][:, None]


@pytest.mark.parametrize("form", [form for form in FORMS if form != "dynamic, one scale"])
def test_rows_are_those_of_the_matrix(tmp_path, form):
    """Where a text of one token begins, read off the graph."""
    path = tmp_path / "m.onnx"
    session, graph, words = made(path, form)
    states = next(node.input[0] for node in graph.node if node.op_type == "RMSNormalization")
    model = onnx.load(path)
    model.graph.output.append(onnx.helper.make_tensor_value_info(states, onnx.TensorProto.FLOAT, None))
    onnx.save(model, path)
    from onnxruntime import InferenceSession

    ids = np.array([[0, 7, VOCABULARY - 1]])
    given = session.feeds(Features(ids, np.ones_like(ids), None))
    (rows,) = InferenceSession(str(path), providers=["CPUExecutionProvider"]).run([states], given)
    assert rows[0] == pytest.approx(matrix_of(form, words)[ids[0]], abs=1e-6)


def test_blocks_that_do_not_fill_a_row_are_not_shared(tmp_path):
    session, graph, words = made(tmp_path / "m.onnx", "4 bits", hidden=24)
    assert words[f"{TABLE}_quantized"].shape == (VOCABULARY, 24)
    assert "GatherBlockQuantized" not in {node.op_type for node in graph.node}
    assert session.begin(5).read(tokens(0, 5)).shape == (1, VOCABULARY)


def test_tables_of_their_own_stay(tmp_path):
    _, _, words = made(tmp_path / "m.onnx", "dynamic", tied=False)
    assert {f"{TABLE}_quantized", f"{MATRIX}_quantized"} <= set(words)
