"""fp32 ONNX graph → integers, as a `Quantization` asks: dynamic, static or weights alone.

dynamic: ONNX Runtime's `quantize_dynamic`. Matrix products, convolutions, recurrent layers and embedding tables; u8
activations whose range is taken as they come.

static: `millis.backends.onnx.static`. Products with a stored matrix; everything else stays fp32. Ranges are collected
one text at a time (`millis.quantization.calibration`): ONNX Runtime's own collectors need texts of one length, whose
padding would count.

weights alone: `millis.backends.onnx.blocks`.

Static and weights alone have no form for convolutions and recurrent layers, which stay fp32 there.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from millis.backends.onnx.blocks import product
from millis.backends.onnx.layers import arrays, read_directly, replace, weights_of
from millis.backends.onnx.static import round_products
from millis.backends.onnx.tables import store_tables
from millis.quantization.calibration import ranges
from millis.quantization.processor import reduces_range, told
from millis.quantization.ptq import Prepared
from millis.quantization.spec import Quantization

Feeds: TypeAlias = Mapping[str, NDArray[Any]]
"""A graph's inputs by name."""

UNCHANGED = {"Conv": "convolutions", "LSTM": "recurrent layers"}  # what only `dynamic` has integers for


def quantize(
    source: Path, target: Path, prepared: Prepared, quantization: Quantization, requests: Sequence[Feeds]
) -> tuple[str, ...]:
    """Write the graph `source` to `target` with integers.

    Args:
        source: fp32, exported from `prepared.model`.
        target: The `.onnx` file.
        prepared: The layers that stay fp32, and those that get 8 bits where the others have 4.
        quantization: The request.
        requests: What the graph gets on calibration texts; none where none are needed.

    Returns:
        What a reader of the record should know, a sentence each.
    """
    notes = list(prepared.notes)
    if note := told(quantization):
        notes.append(note)
    kept: set[str] = set()
    finer: set[str] = set()
    source = _with_weights(source, target)
    if prepared.kept or quantization.activations != "dynamic":
        source = _with_products(source, target)
        kept, finer = (
            weights_of(_load(source).graph, prepared.model, names) for names in (prepared.kept, prepared.finer)
        )
    job = Job(source, target, requests, quantization, kept, reduces_range(quantization), finer)
    notes += _WRITERS[quantization.activations](job)
    if parameters := getattr(prepared.model, "quantization", None):
        from millis.backends.onnx.parameters import set_parameters

        set_parameters(target, parameters)
    return tuple(notes)


class Job(NamedTuple):
    """A graph to quantize.

    Args:
        source, target: `.onnx` files.
        requests: The graph's inputs on calibration texts.
        quantization: The request.
        kept: Initializers that stay fp32.
        reduce_range: Whether weights get 7 bits.
        finer: Initializers that get 8 bits where the others have 4.
    """

    source: Path
    target: Path
    requests: Sequence[Feeds]
    quantization: Quantization
    kept: set[str]
    reduce_range: bool
    finer: set[str]


def _dynamic(job: Job) -> list[str]:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    excluded = [node.name for node in _load(job.source).graph.node if job.kept & set(node.input)] if job.kept else []
    quantize_dynamic(
        str(job.source),
        str(job.target),
        per_channel=job.quantization.per_channel,
        reduce_range=job.reduce_range,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=excluded,
    )
    return []


def _static(job: Job) -> list[str]:
    import onnx

    assert job.quantization.calibration is not None  # `Quantization` refuses static without
    model = _load(job.source)
    products = _products(model.graph, job.kept)
    read = list(dict.fromkeys(node.input[0] for node in products))
    found = ranges(_Probe(job.source, read), job.requests, job.quantization.calibration) if read else {}
    round_products(model, products, found, job.quantization.per_channel, job.reduce_range)
    store_tables(model, job.kept)
    onnx.save(model, str(job.target))
    return _told_unchanged(model.graph)


def _weights_alone(job: Job) -> list[str]:
    import onnx

    assert job.quantization.block_size is not None  # `Quantization` refuses weights alone without
    model = _load(job.source)
    graph, weights = model.graph, arrays(model.graph)
    chosen = {node.name for node in _products(graph, job.kept)}
    nodes: list[Any] = []
    made: dict[str, Any] = {}
    for node in graph.node:
        if node.name not in chosen:
            nodes.append(node)
            continue
        name = node.input[1]
        bits = 8 if name in job.finer else job.quantization.weights
        block, tensors = product(node, weights[name], bits, job.quantization.block_size)
        nodes.append(block)
        made |= {tensor.name: tensor for tensor in tensors}
    replace(graph, nodes, list(made.values()))
    store_tables(model, job.kept)
    if chosen:
        model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, str(job.target))
    return _told_unchanged(graph)


_WRITERS: dict[str, Callable[[Job], list[str]]] = {"dynamic": _dynamic, "static": _static, "none": _weights_alone}


class _Probe:
    """Runs a graph and gives the tensors `names` of it."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        import onnx
        from onnxruntime import InferenceSession, SessionOptions

        model = _load(path)
        present = {output.name for output in model.graph.output}
        for name in names:
            if name not in present:
                model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        options = SessionOptions()
        options.log_severity_level = 3
        self._names = list(names)
        self._session = InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._inputs = [value.name for value in self._session.get_inputs()]

    def __call__(self, request: Feeds) -> dict[str, NDArray[np.float32]]:
        values = self._session.run(self._names, {name: request[name] for name in self._inputs})
        return dict(zip(self._names, values, strict=True))


def _with_weights(source: Path, target: Path) -> Path:
    """`source` with every weight read by the layers themselves, beside it."""
    import onnx

    model = _load(source)
    read_directly(model.graph)
    path = source.with_name(f"weights_{target.name}")
    onnx.save(model, str(path))
    return path


def _with_products(source: Path, target: Path) -> Path:
    """`source` with every `Gemm` written as `MatMul` and `Add`, and every node named, beside it."""
    import onnx
    from onnxruntime.quantization.onnx_model import ONNXModel

    model = ONNXModel(_load(source))
    model.replace_gemm_with_matmul()
    for index, node in enumerate(model.nodes()):
        node.name = node.name or f"{node.op_type}_{index}"
    path = source.with_name(f"products_{target.name}")
    onnx.save(model.model, str(path))
    return path


def _products(graph: Any, kept: Collection[str]) -> list[Any]:
    """The `MatMul`s with a stored matrix [K, N]."""
    matrices = {name for name, array in arrays(graph).items() if array.ndim == 2 and name not in kept}
    return [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in matrices]


def _told_unchanged(graph: Any) -> list[str]:
    left = [what for kind, what in UNCHANGED.items() if any(node.op_type == kind for node in graph.node)]
    return [f"{' and '.join(left)} stay fp32: only activations=dynamic has integers for them"] if left else []


def _load(path: Path) -> Any:
    import onnx

    return onnx.load(str(path))
