import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

from millis.backends.onnx.nodes import MICROSOFT, Nodes, integers


def value(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def test_a_graph_by_hand():
    """y = 2 · reshape(x), twice."""
    nodes = Nodes()
    two = nodes.constant(np.array(2, np.float32))
    doubled = nodes.add("Mul", nodes.reshape("x", 0, -1), two)
    nodes.add_several("Mul", [doubled, two], ["y"])
    made = nodes.model([value("x", 2, 2, 1)], [value("y", 2, 2)], {"said": "so"})
    onnx.checker.check_model(made)
    session = InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(["y"], {"x": np.array([[[1], [2]], [[3], [4]]], np.float32)})
    assert found.tolist() == [[4, 8], [12, 16]]
    assert session.get_modelmeta().custom_metadata_map == {"said": "so"}


def test_constants_of_the_same_values_are_one():
    nodes = Nodes()
    assert nodes.constant(integers(1, 2)) == nodes.constant(np.array([1, 2])) == "int64_[1, 2]"
    assert nodes.constant(np.array([1, 2], np.int32)) == "int32_[1, 2]"
    assert nodes.constant(torch.ones(2, 3).T, "weight") == "weight"
    tensors = {one.name: numpy_helper.to_array(one) for one in nodes.model([], [], {}).graph.initializer}
    assert {name: array.shape for name, array in tensors.items()} == {
        "int64_[1, 2]": (2,), "int32_[1, 2]": (2,), "weight": (3, 2),
    }  # fmt: skip


def test_types_behind_operators_that_onnx_does_not_know_are_said():
    nodes = Nodes()
    inner = nodes.add("QuickGelu", "x", domain=MICROSOFT, alpha=1.0)
    nodes.add_several("QuickGelu", [inner], ["y"], domain=MICROSOFT)
    (said,) = nodes.model([value("x", 2)], [value("y", 2)], {}).graph.value_info
    assert (said.name, said.type.tensor_type.elem_type) == (inner, TensorProto.FLOAT)


def test_outputs_have_the_names_that_they_are_given():
    nodes = Nodes()
    assert nodes.add_several("Split", ["x"], ["first", ""], num_outputs=2) == ["first", "Split_0_1"]
