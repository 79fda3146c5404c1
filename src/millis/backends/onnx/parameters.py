"""Trained integers and steps in a quantized ONNX graph, in place of those that were found from ranges.

What a converted model brings along is in `millis.quantization.parameters`. The graph is quantized already (by
`millis.backends.onnx.quantize`), so its operators are what they will be and only initializers change. A layer's are
found by the weights that they stand for, since exporters rename weights and transpose them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from millis.backends.onnx.layers import GATES
from millis.errors import MillisError

Array = NDArray[Any]
QUANTIZED, SCALE, ZERO_POINT = "_quantized", "_scale", "_zero_point"  # how initializers' names end
FAR = 0.5  # |found - sought| / |sought|: of one layer, rounded twice, 0.2 at 4 bits; of two layers, 1.4


class Integers(NamedTuple):
    """A tensor as it is stored: scale · (values - zero_point)."""

    values: Array
    scale: Array
    zero_point: Array


class Layout(NamedTuple):
    """How an operator keeps the weight of a layer.

    Args:
        to_graph: A module's values and scales, as the operator wants them.
        floats: The weight that the operator's integers stand for, whatever its shape.
    """

    to_graph: Callable[[Integers], Integers]
    floats: Callable[[Integers], Array]


class Place(NamedTuple):
    """Where a graph keeps the integers of one weight."""

    name: str  # its initializers' names, without their ends
    layout: Layout
    integers: Integers
    floats: Array


def set_parameters(path: Path, parameters: Mapping[str, Tensor]) -> None:
    """Rewrite the graph at `path` with the integers, steps and zero points of `parameters`.

    Args:
        path: An `.onnx` file, quantized from the converted model that `parameters` belong to.
        parameters: `model.quantization`.

    Raises:
        MillisError: a layer whose integers the graph does not have, or layers that read one activation in the graph and
            were trained with different ranges for it.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    places = {place.name: place for place in _places(model.graph, initializers)}
    written: dict[str, Array] = {}
    for layer, tensors in _by_layer(parameters).items():
        for tensor, parts in tensors.items():
            if tensor == "input":
                continue
            place, integers = _find(f"{layer}.{tensor}", Integers(**parts), places)
            written[f"{place.name}{QUANTIZED}"] = integers.values
            written[f"{place.name}{SCALE}"] = integers.scale
            if f"{place.name}{ZERO_POINT}" in initializers:
                written[f"{place.name}{ZERO_POINT}"] = integers.zero_point
            if "input" in tensors and tensor == "weight":
                _merge(written, _input(model.graph, f"{place.name}{QUANTIZED}", tensors["input"]), layer)
    for name, array in written.items():
        before = numpy_helper.to_array(initializers[name])
        initializers[name].CopyFrom(numpy_helper.from_array(array.astype(before.dtype).reshape(before.shape), name))
    onnx.save(model, str(path))


def _by_layer(parameters: Mapping[str, Tensor]) -> dict[str, dict[str, dict[str, Array]]]:
    """`head.weight.scale: t` → {"head": {"weight": {"scale": t}}}."""
    found: dict[str, dict[str, dict[str, Array]]] = {}
    for name, value in parameters.items():
        layer, tensor, part = name.rsplit(".", 2)
        found.setdefault(layer, {}).setdefault(tensor, {})[part] = value.cpu().numpy()
    return found


def _find(name: str, trained: Integers, places: dict[str, Place]) -> tuple[Place, Integers]:
    """The place of the weight `name`, and its integers as they are kept there; the place is taken off `places`.

    Integers of the graph were found from the same weights by range, so they stand for nearly the same.
    """
    named = [places[name]] if name in places else []  # as graphs that are written node by node call them
    nearest, integers = _nearest(trained, named)
    if nearest is None:
        nearest, integers = _nearest(trained, places.values())
    if nearest is None:
        raise MillisError(
            f"the quantized graph has no integers for {name}, which was trained for them. Write the artifact with the "
            "quantization that the model was trained with (the same keep, activations and weights)"
        )
    del places[nearest.name]
    return nearest, integers


def _nearest(trained: Integers, places: Collection[Place]) -> tuple[Place | None, Integers]:
    """The place whose integers stand for what is nearest to what those of a weight do; none where all are far."""
    best: tuple[float, Place | None, Integers] = (FAR, None, trained)
    for sought in (trained, trained._replace(values=trained.values.T)):  # GPT-2's modules keep the transpose
        for place in places:
            integers = _laid_out(sought, place)
            if integers is not None:
                wanted = place.layout.floats(integers)
                far = np.linalg.norm(place.floats - wanted) / (np.linalg.norm(wanted) or 1.0)
                best = min(best, (float(far), place, integers), key=lambda candidate: candidate[0])
    return best[1], best[2]


def _laid_out(trained: Integers, place: Place) -> Integers | None:
    """The integers as `place` keeps them; None where they do not fit."""
    try:
        integers = place.layout.to_graph(trained)
    except ValueError:  # of another number of dimensions, or scales that cannot be laid out so
        return None
    fits = integers.values.shape == place.integers.values.shape and integers.scale.size == place.integers.scale.size
    return integers if fits else None


def _input(graph: Any, quantized: str, trained: dict[str, Array]) -> dict[str, Array]:
    """Step and zero point of the activation that is multiplied with the matrix `quantized`, by initializer."""
    floats = next(node.output[0] for node in graph.node if quantized in node.input)
    product = next(node for node in graph.node if floats in node.input)
    rounded = next(node for node in graph.node if product.input[0] in node.output)
    return {rounded.input[1]: trained["scale"], rounded.input[2]: trained["zero_point"]}


def _merge(written: dict[str, Array], more: dict[str, Array], layer: str) -> None:
    for name, array in more.items():
        if name in written and not np.array_equal(written[name], array):
            raise MillisError(
                f"{layer} shares its input {name.removesuffix(SCALE).removesuffix(ZERO_POINT)!r} with another layer in "
                "the graph, and was trained with another range for it. Choose quantization.activations=dynamic"
            )
    written |= more


def _places(graph: Any, initializers: Mapping[str, Any]) -> Iterator[Place]:
    """Every weight of which the graph keeps integers."""
    from onnx import numpy_helper

    def array(name: str) -> Array:
        found: Array = numpy_helper.to_array(initializers[name]) if name in initializers else np.zeros((), np.int8)
        return found

    readers = {name: node for node in graph.node for name in node.input}
    for quantized in [name for name in initializers if name.endswith(QUANTIZED)]:
        name = quantized.removesuffix(QUANTIZED)
        node = readers.get(quantized)
        if node is not None and node.op_type in _LAYOUTS and f"{name}{SCALE}" in initializers:
            layout = _LAYOUTS[node.op_type](node)
            integers = Integers(array(quantized), array(f"{name}{SCALE}"), array(f"{name}{ZERO_POINT}"))
            yield Place(name, layout, integers, layout.floats(integers))


def _plain_floats(integers: Integers) -> Array:
    values, scale, zero_point = integers
    return (values.astype(np.float32) - zero_point.astype(np.float32)) * scale


def _matrix(_: Any) -> Layout:
    """[K, N], a scale for each of the N columns or one for all."""
    return Layout(lambda trained: trained._replace(values=trained.values.T), _plain_floats)


def _as_it_is(_: Any) -> Layout:
    """Tables and kernels: as the module has them, with one scale."""
    return Layout(lambda trained: trained, _plain_floats)


def _recurrent(_: Any) -> Layout:
    """[1, K, 4H], scales [1, 4H], the gates in ONNX's order."""

    def reorder(rows: Array) -> Array:
        gates = np.split(rows, 4)
        return np.concatenate([gates[gate] for gate in GATES])

    def to_graph(trained: Integers) -> Integers:
        values, scale, zero_point = trained
        scale = reorder(scale)[None] if scale.size > 1 else scale
        return Integers(
            reorder(values).T[None], scale, reorder(zero_point)[None] if zero_point.size > 1 else zero_point
        )

    def floats(integers: Integers) -> Array:
        values, scale, _ = integers
        return values.astype(np.float32) * (scale[:, None] if scale.ndim > 1 else scale)

    return Layout(to_graph, floats)


def _blocks(node: Any) -> Layout:
    """[N, blocks, bytes] with 2^(b-1) added, of 4 bits two a byte, the first in the low half; scales [N · blocks]."""
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    bits, size = attributes["bits"], attributes["block_size"]
    half = 1 << (bits - 1)

    def to_graph(trained: Integers) -> Integers:
        outputs, inputs = trained.values.shape
        padded = np.pad(trained.values, ((0, 0), (0, -inputs % size))).astype(np.int16) + half
        blocks = padded.reshape(outputs, -1, size).astype(np.uint8)
        packed = blocks if bits == 8 else blocks[..., 0::2] | (blocks[..., 1::2] << 4)
        return trained._replace(values=packed)

    def floats(integers: Integers) -> Array:
        packed, scale = integers.values, integers.scale
        halves = [packed] if bits == 8 else [packed & 15, packed >> 4]
        values = np.stack(halves, axis=-1).reshape(*packed.shape[:2], size).astype(np.float32) - half
        found: Array = values * scale.reshape(*packed.shape[:2], 1)
        return found

    return Layout(to_graph, floats)


_LAYOUTS: dict[str, Callable[[Any], Layout]] = {
    "MatMulInteger": _matrix,
    "DequantizeLinear": _matrix,
    "Gather": _as_it_is,
    "ConvInteger": _as_it_is,
    "DynamicQuantizeLSTM": _recurrent,
    "MatMulNBits": _blocks,
}
