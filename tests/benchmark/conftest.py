"""Artifacts on ONNX Runtime written by hand: no torch, so that a process to time starts quickly."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from signatures import answering
from specs import static
from tokenizers import Tokenizer, models, pre_tokenizers

from millis.storage.manifest import Manifest, seal


@pytest.fixture
def artifact(tmp_path):
    """Makes an artifact whose logits are (0, number of tokens), after `work` products of 256 x 256 matrices."""

    def make(name, work=0):
        folder = tmp_path / name
        folder.mkdir()
        ones = numpy_helper.from_array(np.ones((1, 256), np.float32), "ones")
        square = numpy_helper.from_array(np.full((256, 256), 1 / 256, np.float32), "square")
        ends = numpy_helper.from_array(np.array([[0] * 256, [1 / 256] * 256], np.float32).T.copy(), "ends")
        nodes = [
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["mask", "axis"], ["count"], keepdims=1),
            helper.make_node("MatMul", ["count", "ones"], ["x0"]),
            *(helper.make_node("MatMul", [f"x{i}", "square"], [f"x{i + 1}"]) for i in range(work)),
            helper.make_node("MatMul", [f"x{work}", "ends"], ["logits"]),
        ]
        axis = numpy_helper.from_array(np.array([1], np.int64), "axis")
        inputs = ("input_ids", "attention_mask")
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in inputs],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
            [ones, square, ends, axis],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, folder / "model.onnx")
        tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.save(str(folder / "tokenizer.json"))
        seal(folder, Manifest(name, "onnxruntime", static(), answering("few", "many"), inputs, max_length=8))
        return folder

    return make
