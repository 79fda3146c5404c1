"""An ONNX graph that is written node by node."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from millis.errors import MillisError

MICROSOFT = "com.microsoft"  # ONNX Runtime's own operators
OPSET = 23  # the first with RMSNormalization as one operator
IR_VERSION = 10  # of opset 23
LARGEST = 2_000_000_000  # bytes of weights: a protobuf message ends at 2^31 - 1


class Nodes:
    """Nodes, and the constants that they read."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._unknown: list[str] = []

    def constant(self, value: Any, name: str | None = None) -> str:
        """A tensor's name; those without one of their own are called after their values, and kept once."""
        from onnx import numpy_helper

        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        name = name or f"{array.dtype}_{array.tolist()}"
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The output of a node."""
        (output,) = self.add_several(kind, inputs, [""], **attributes)
        return output

    def add_several(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> list[str]:
        """A node's outputs; those without a name get one."""
        from onnx import helper

        name = f"{kind}_{len(self._nodes)}"
        named = [output or f"{name}_{place}" for place, output in enumerate(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), named, name, **attributes))
        if attributes.get("domain") == MICROSOFT:
            self._unknown += named
        return named

    def reshape(self, tensor: str, *sizes: int) -> str:
        """A tensor of other axes: 0 keeps the size of the axis in that place, -1 follows from the others."""
        return self.add("Reshape", tensor, self.constant(np.array(sizes, np.int64)))

    def model(self, inputs: Sequence[Any], outputs: Sequence[Any], properties: dict[str, str]) -> Any:
        """The ONNX model of these inputs and outputs.

        Raises:
            MillisError: constants that are too large for one file.
        """
        from onnx import TensorProto, helper

        if (size := sum(len(tensor.raw_data) for tensor in self._constants.values())) > LARGEST:
            raise MillisError(
                f"the ONNX graph would hold weights of {size / 1e9:.1f} GB: expected at most 2, all that such a file "
                "takes. Use backend=native, or backend=eager"
            )

        given = {value.name for value in outputs}
        # ONNX infers no types behind operators that it does not know, and quantizers ask for them.
        floats = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self._unknown]
        known = [value for value in floats if value.name not in given]
        graph = helper.make_graph(
            self._nodes, "millis", list(inputs), list(outputs), list(self._constants.values()), value_info=known
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="millis")
        helper.set_model_props(model, properties)
        return model


def integers(*values: int) -> NDArray[np.int64]:
    """A constant's values."""
    return np.array(values, np.int64)
