"""A token table that is the output matrix too (Press and Wolf 2017, 1608.05859), stored once in an ONNX graph.

Quantizers see a table [V, D] and a matrix [D, V], and make integers of each by itself. Afterwards rows are read of the
matrix' integers, by its grid, which is one for each row (dynamic, static) or each block of it (weights alone) where a
table has one for all. That saves the table's 8 bits a weight, and its grid is the finer one.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.backends.onnx.layers import drop, replace
from millis.backends.onnx.nodes import MICROSOFT
from millis.backends.onnx.parameters import QUANTIZED, SCALE

Made = tuple[list[Any], dict[str, NDArray[Any]]]
"""Nodes, and initializers by name."""


def share(model: Any, table: str, matrix: str) -> None:
    """Let one initializer serve as both, in place, where their grids allow it.

    Args:
        model: An ONNX model, quantized or not.
        table: Names the initializer [V, D] that a `Gather` reads rows of, before it was quantized.
        matrix: Names the initializer [D, V] of the same values, before it was quantized.
    """
    from onnx import numpy_helper

    found = {tensor.name: tensor for tensor in model.graph.initializer}
    if table in found and matrix in found:
        transposed = _node("Transpose", [table], matrix, perm=[1, 0])
        _put(model, [transposed], {}, replaced=matrix)
        return
    gather = next((node for node in model.graph.node if node.input and node.input[0] == f"{table}{QUANTIZED}"), None)
    if gather is None or f"{matrix}{QUANTIZED}" not in found:
        return
    values, scale = (numpy_helper.to_array(found[f"{matrix}{part}"]) for part in (QUANTIZED, SCALE))
    (rounded,) = (node for node in model.graph.node if gather.output[0] in node.input)
    ids, rows = gather.input[1], rounded.output[0]
    if values.ndim == 2:
        nodes, made = _by_rows(matrix, values, scale, ids, rows)
        _put(model, nodes, made, without=(gather, rounded), replaced=f"{matrix}{QUANTIZED}")
    elif (product := _product(model, f"{matrix}{QUANTIZED}"))["K"] % product["block_size"] == 0:
        nodes, made = _by_blocks(matrix, values, scale, ids, rows, product)
        _put(model, nodes, made, without=(gather, rounded))


def _by_rows(matrix: str, values: NDArray[Any], scale: NDArray[Any], ids: str, rows: str) -> Made:
    """Integers [D, V] with a scale for each token, or one for all, kept the other way round."""
    kept, grid = f"{matrix}_rows", f"{matrix}{SCALE}"
    nodes = [
        _node("Transpose", [kept], f"{matrix}{QUANTIZED}", perm=[1, 0]),  # ONNX Runtime does it when it loads
        _node("Gather", [kept, ids], f"{rows}_integers"),
        _node("Cast", [f"{rows}_integers"], f"{rows}_floats", to=1),
    ]
    made = {kept: np.ascontiguousarray(values.T)}
    if scale.size > 1:
        steps, last = f"{rows}_steps", f"{rows}_last"
        nodes += [_node("Gather", [grid, ids], steps), _node("Unsqueeze", [steps, last], f"{steps}_apart")]
        made[last], grid = np.array([-1], np.int64), f"{steps}_apart"
    return [*nodes, _node("Mul", [f"{rows}_floats", grid], rows)], made


def _by_blocks(
    matrix: str, values: NDArray[Any], scale: NDArray[Any], ids: str, rows: str, product: dict[str, int]
) -> Made:
    """Integers [V, blocks, bytes] with a scale for each block, as `MatMulNBits` has them."""
    flat, steps, shape = f"{matrix}_flat", f"{matrix}_steps", f"{matrix}_shape"
    nodes = [
        _node("Reshape", [f"{matrix}{QUANTIZED}", shape], flat),
        _node("Reshape", [f"{matrix}{SCALE}", shape], steps),
        _node(
            "GatherBlockQuantized",
            [flat, ids, steps],
            rows,
            domain=MICROSOFT,
            bits=product["bits"],
            block_size=product["block_size"],
            gather_axis=0,
            quantize_axis=1,
        ),
    ]
    return nodes, {shape: np.array([len(values), -1], np.int64)}


def _product(model: Any, weight: str) -> dict[str, int]:
    """The numbers of the product with a weight in blocks."""
    node = next(node for node in model.graph.node if weight in node.input)
    return {attribute.name: attribute.i for attribute in node.attribute}


def _node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs, [output], f"{output}_{kind}", **attributes)


def _put(
    model: Any, nodes: list[Any], made: dict[str, NDArray[Any]], without: tuple[Any, ...] = (), replaced: str = ""
) -> None:
    """Nodes before all others, in place of some, and of an initializer."""
    from onnx import numpy_helper

    gone = {node.name for node in without}
    drop(model.graph, (replaced,))
    tensors = [numpy_helper.from_array(array, name) for name, array in made.items()]
    replace(model.graph, [*nodes, *(node for node in model.graph.node if node.name not in gone)], tensors)
