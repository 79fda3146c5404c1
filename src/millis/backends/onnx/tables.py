"""Embedding tables as integers: rows of 8 bits, made floats as they are read."""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.backends.onnx.layers import arrays, replace
from millis.backends.onnx.static import affine


def store_tables(model: Any, kept: Collection[str]) -> None:
    """Put every table that the graph looks rows up in on 8 bits, in place.

    `Gather(table)` becomes `DequantizeLinear(Gather(integers))`, with one scale and zero point a table: the integers
    that ONNX Runtime's dynamic quantization stores. Together all-MiniLM-L6-v2's tables take 12 MB so, 48 in fp32.

    Args:
        model: An ONNX model.
        kept: Initializers that stay fp32.
    """
    from onnx import helper, numpy_helper

    graph, tables = model.graph, arrays(model.graph)
    nodes, made, stored = [], [], set()
    for node in graph.node:
        name = node.input[0] if node.input else ""
        if node.op_type != "Gather" or name not in tables or name in kept:
            nodes.append(node)
            continue
        parts = [f"{name}_quantized", f"{name}_scale", f"{name}_zero_point"]
        if name not in stored:
            stored.add(name)
            made += [numpy_helper.from_array(*pair) for pair in zip(integers(tables[name]), parts, strict=True)]
        rows = f"{node.output[0]}_quantized"
        gather = helper.make_node("Gather", [parts[0], node.input[1]], [rows], node.name)
        gather.attribute.extend(node.attribute)
        nodes += [
            gather,
            helper.make_node("DequantizeLinear", [rows, *parts[1:]], list(node.output), f"{node.name}_float"),
        ]
    replace(graph, nodes, made)


def integers(table: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
    """u8 integers q = round(w / s) + z of a table, its scale s and zero point z; see `millis.backends.onnx.static`."""
    scale, zero_point = affine((min(float(table.min()), 0.0), max(float(table.max()), 0.0)))
    values = np.clip(np.rint(table / scale) + float(zero_point), 0, 255)
    return values.astype(np.uint8), scale, zero_point
