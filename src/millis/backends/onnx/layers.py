"""A graph's weights: which belong to which layer of the module it was exported from, and putting others in their place.

Exporters rename weights and store them transposed (`onnx::MatMul_935`); by their values they are found all the same,
whichever exporter it was. Layers with equal values are found together.
"""

from collections.abc import Collection, Iterable
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

GATES = (0, 3, 1, 2)  # ONNX orders an LSTM's gates input, output, forget, cell; PyTorch input, forget, cell, output


def weights_of(graph: Any, model: nn.Module, layers: Iterable[str]) -> set[str]:
    """Names of the initializers that hold the weights of `layers`.

    Args:
        graph: An ONNX graph with fp32 weights.
        model: The module that it was exported from.
        layers: Names of its layers; one whose weights the exporter dropped as unused has none.
    """
    wanted = [_key(array) for name in layers for array in stored(model.get_submodule(name))]
    if not wanted:
        return set()
    return {name for name, array in arrays(graph).items() if _key(array) in wanted}


def arrays(graph: Any) -> dict[str, NDArray[Any]]:
    """The graph's fp32 initializers."""
    from onnx import TensorProto, numpy_helper

    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_type == TensorProto.FLOAT
    }


@singledispatch
def stored(layer: nn.Module) -> list[NDArray[Any]]:
    """The ways in which an exporter may store the weight of `layer`."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    array = weight.detach().cpu().numpy()
    return [array, array.T] if array.ndim == 2 else [array]


@stored.register
def _lstm(layer: nn.LSTM) -> list[NDArray[Any]]:
    found = []
    for name in layer._flat_weights_names:
        if name.startswith("weight"):
            gates = getattr(layer, name).detach().cpu().chunk(4)
            found.append(torch.cat([gates[gate] for gate in GATES])[None].numpy())
    return found


def _key(array: NDArray[Any]) -> tuple[tuple[int, ...], bytes]:
    return array.shape, np.ascontiguousarray(array, np.float32).tobytes()


def replace(graph: Any, nodes: list[Any], made: list[Any]) -> None:
    """Give the graph other nodes and further initializers; those that nothing reads any more are dropped."""
    nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]  # the graph's own go with the old list
    graph.ClearField("node")
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input} | {output.name for output in graph.output}
    drop(graph, {tensor.name for tensor in graph.initializer} - read)
    graph.initializer.extend(tensor for tensor in made if tensor.name in read)


def drop(graph: Any, names: Collection[str]) -> None:
    """Take initializers out of the graph; the others, which may be all of a model's bytes, stay where they lie."""
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name in names:
            del graph.initializer[place]


def read_directly(graph: Any) -> None:
    """Let nodes read initializers themselves where they read an `Identity` of one, in place.

    Exporters give a weight that several layers share (ALBERT's, tied projections) to all but the first of them so, and
    quantizers see no stored weight behind it.
    """
    stored, nodes = {tensor.name: tensor.name for tensor in graph.initializer}, []
    outputs = {output.name for output in graph.output}
    for node in graph.node:  # sorted: an `Identity` of an `Identity` comes after
        if node.op_type == "Identity" and node.input[0] in stored and node.output[0] not in outputs:
            stored[node.output[0]] = stored[node.input[0]]
            continue
        node.input[:] = [stored.get(name, name) for name in node.input]
        nodes.append(node)
    replace(graph, nodes, [])
