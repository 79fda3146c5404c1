"""OpenVINO on the CPU. Loading and answering need openvino and NumPy, neither torch nor onnx.

What is stored is OpenVINO's own form of the ONNX graph that `millis.backends.onnx.export` makes and checks. It is
compiled for the processor when it is loaded, in fp32 unless `precision` says otherwise: OpenVINO's own default is bf16
wherever a processor has it.

int8: `static` and weights alone are the very graphs that ONNX Runtime gets, so that the two runtimes round alike.
`dynamic` has integers of its own, for of ONNX Runtime's OpenVINO makes slow code: the weights go in blocks, and
activations are rounded as they come, in groups as long as a block.

On all-MiniLM-L6-v2, one thread of a processor with AVX-512 VNNI, 19 tokens (mean cosine of the logits to fp32's):

    fp32                        8.7 ms    1
    bf16                        6.8 ms    1.0000
    int8 weights, blocks of 32  6.4 ms    0.9993
    int8 dynamic                5.7 ms    0.9986    (ONNX Runtime's graph: 14.6 ms, 0.9926)
    int8 static                 5.7 ms    0.9922

NNCF's integers were no faster (static 5.8 ms, weights 6.4 ms), so it is not needed here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from millis import backends
from millis.backends.onnx.session import SEGMENT_INPUTS, SEGMENT_OUTPUTS, segment_path
from millis.backends.profile import WARM, Operator, Time, summarised
from millis.backends.scratch import blame_machine, fp32_bytes, scratch
from millis.errors import MillisError
from millis.traits import DATA_SIZES, SEGMENTS, STORES, Traits
from millis.types import Features, Outputs, Signature
from millis.waiting import waited_ns

if TYPE_CHECKING:
    from millis.quantization.spec import Quantization
    from millis.storage.manifest import Manifest

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
GRAPH, WEIGHTS = "model.xml", "model.bin"
PRECISIONS = {"fp32": "f32", "bf16": "bf16"}
GROUPS = (128, 64, 32, 16)  # inputs that share a scale: longer is faster; one that divides no row falls back to fp32
GROUP_SIZE = "DYNAMIC_QUANTIZATION_GROUP_SIZE"


@dataclass(frozen=True)
class OpenVino:
    """Writes a module in OpenVINO's form for `load`.

    Args:
        precision: Of the arithmetic that is not integer: `fp32`, or `bf16` on processors that have it.

    Raises:
        MillisError: another precision.
    """

    name = "openvino"
    traits: ClassVar[Traits] = (SEGMENTS, DATA_SIZES, STORES)

    precision: str = "fp32"

    def __post_init__(self) -> None:
        backends.one_of(self.name, "precision", self.precision, PRECISIONS)

    def missing(self) -> str | None:
        """What to install before a graph can be written and run."""
        return backends.missing("openvino", "openvino", "onnx", "onnxruntime")

    def write(
        self,
        model: Any,
        folder: Path,
        signature: Signature,
        quantization: "Quantization | None",
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write `model.xml` and `model.bin` into `folder`.

        Raises:
            MillisError: `openvino` or `onnx` is not installed, an operator that OpenVINO does not have, or as for
                `millis.backends.onnx.export.export`.
        """
        _check_bf16(_openvino().Core(), PRECISIONS[self.precision])
        from millis.backends.onnx.export import export

        group, quantization = _grouped(model, quantization)
        with scratch(fp32_bytes(model)) as place:
            source = place / "model.onnx"
            notes = export(model, source, signature, quantization, calibration)
            _convert(source, folder / GRAPH, group)
        if quantization is None and self.precision == "fp32":
            self._check(model, folder / GRAPH, signature)
        return notes

    def write_segments(
        self,
        model: Any,
        folder: Path,
        signature: Signature,
        quantization: "Quantization | None",
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write one graph a segment into `folder`; see `millis.backends.onnx.segments`.

        Raises:
            MillisError: as `write`.
        """
        _check_bf16(_openvino().Core(), PRECISIONS[self.precision])
        from millis.backends.onnx.segments import export_segments

        group, quantization = _grouped(model, quantization)
        count = len(model.spec.exits) + 1
        with scratch(fp32_bytes(model)) as place:
            notes = export_segments(model, place, signature, quantization, calibration)
            for position in range(count):
                _convert(segment_path(place, position), segment_graph(folder, position), group)
        if quantization is None and self.precision == "fp32":
            self._check_segments(model, folder, count, signature)
        return notes

    def _check_segments(self, model: Any, folder: Path, count: int, signature: Signature) -> None:
        from millis.backends.modules import segments_of
        from millis.backends.tracing import SHAPES, agree, every, example

        here, eager = _segments(folder, count, self, 1), segments_of(model)
        for batch, length in SHAPES:
            arrays = [value.numpy() for value in example(signature.inputs, batch, length)]
            given = Features(*arrays, *[None] * (3 - len(arrays)))
            if not agree(every(here, given), every(eager, given)):
                raise MillisError(
                    f"OpenVINO's segments do not compute what the model does, at batch {batch}, length {length}. Use "
                    "backend=onnxruntime or backend=eager"
                )

    def _check(self, model: Any, path: Path, signature: Signature) -> None:
        from millis.backends.tracing import difference

        if fault := difference(model, _open(path, self, threads=1), signature):
            raise MillisError(
                f"OpenVINO does not compute what the model does: {fault}. Use backend=onnxruntime or backend=eager"
            )


class _Request:
    """A compiled graph with one request, kept, which callers take in turns: the graph is compiled for one at a time.

    Tensors are put on the caller's own memory. On a model that does almost nothing that takes 65 µs against 92 for
    `infer` with a dictionary and 15 of ONNX Runtime; 45 are what OpenVINO itself needs when a request's length is
    another than the one before's.
    """

    def __init__(self, compiled: Any, inputs: Sequence[str], outputs: Sequence[str] | None = None) -> None:
        self.compiled, self.request = compiled, compiled.create_infer_request()
        self.tensor, self.lock = _openvino().Tensor, Lock()
        names = {name: index for index, port in enumerate(compiled.inputs) for name in port.names}
        self.inputs = [names.get(name) for name in inputs]
        given = {name: index for index, port in enumerate(compiled.outputs) for name in port.names}
        self.outputs = range(len(compiled.outputs)) if outputs is None else [given[name] for name in outputs]

    def __call__(self, arrays: Iterable[Any]) -> list[NDArray[np.float32]]:
        """The outputs; what the graph does not read is passed over."""
        request, tensor = self.request, self.tensor
        with self.lock:
            for index, array in zip(self.inputs, arrays, strict=True):
                if index is not None:
                    request.set_input_tensor(index, tensor(array, shared_memory=True))
            request.infer()
            # Copies: the next request writes there again.
            return [request.get_output_tensor(index).data.copy() for index in self.outputs]


class OpenVinoSession:
    """A compiled graph: [B, S] arrays in, its outputs out."""

    def __init__(self, compiled: Any) -> None:
        self.infer = _Request(compiled, INPUTS)

    def __call__(self, features: Features) -> Outputs:
        """One array for each output."""
        return tuple(self.infer(features))


class OpenVinoSegment:
    """The compiled graph of a segment: what `millis.serving.stepwise` runs."""

    def __init__(self, compiled: Any, first: bool) -> None:
        self.infer = _Request(compiled, INPUTS if first else SEGMENT_INPUTS, SEGMENT_OUTPUTS)

    def __call__(self, given: Features | NDArray[np.float32], *mask: NDArray[np.int64]) -> Any:
        """Features, or states [B, S, D] and mask [B, S], to states and logits [B, C]."""
        return self.infer(given if isinstance(given, Features) else (given, *mask))


def load(folder: Path, manifest: "Manifest", threads: int) -> OpenVinoSession:
    """Compile the artifact's graph for `threads` threads of this processor.

    Raises:
        MillisError: openvino is not installed, or the graph is damaged.
    """
    return _open(folder / GRAPH, backends.options(OpenVino, manifest), threads)


def load_segments(folder: Path, manifest: "Manifest", threads: int) -> list[OpenVinoSegment]:
    """Compile the graphs of an artifact's segments, first to last.

    Raises:
        MillisError: as `load`.
    """
    return _segments(folder, len(manifest.spec.exits) + 1, backends.options(OpenVino, manifest), threads)


def segment_graph(folder: Path, position: int) -> Path:
    """Where the graph of a model's segment lies; its weights lie beside it."""
    return folder / f"segment_{position}.xml"


def operators(folder: Path, manifest: "Manifest", threads: int, requests: Sequence[Features]) -> list[Operator]:
    """What each node takes, over `requests`."""
    session = _open(folder / GRAPH, backends.options(OpenVino, manifest), threads, PERF_COUNT=True)
    for features in requests[:WARM]:
        session(features)
    times: list[list[Time]] = []
    waited = []
    for features in requests:
        before = waited_ns()
        session(features)
        waited.append((waited_ns() - before) / 1e3)
        nodes = session.infer.request.get_profiling_info()
        times.append([(node.node_name, node.node_type, node.real_time.total_seconds() * 1e6) for node in nodes])
    return summarised(times, waited)


def _open(path: Path, options: OpenVino, threads: int, **more: Any) -> OpenVinoSession:
    return OpenVinoSession(_compile(path, {**_settings(options, threads), **more}))


def _segments(folder: Path, count: int, options: OpenVino, threads: int) -> list[OpenVinoSegment]:
    settings = _settings(options, threads)
    paths = [segment_graph(folder, position) for position in range(count)]
    return [OpenVinoSegment(_compile(path, settings), position == 0) for position, path in enumerate(paths)]


def _settings(options: OpenVino, threads: int) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "PERFORMANCE_HINT_NUM_REQUESTS": 1,
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": PRECISIONS[options.precision],
    }


def _compile(path: Path, settings: dict[str, Any]) -> Any:
    core = _openvino().Core()
    _check_bf16(core, settings["INFERENCE_PRECISION_HINT"])
    try:
        return core.compile_model(str(path), "CPU", settings)
    except Exception as error:  # OpenVINO raises RuntimeError and its own classes
        blame_machine(error, path.stat().st_size if path.is_file() else 0)
        raise MillisError(f"OpenVINO cannot open {path}: {_reason(error)}. Make the artifact again") from error


def _check_bf16(core: Any, precision: str) -> None:
    """Refuse bf16 where OpenVINO would take it for a hint and compute in fp32."""
    if precision == PRECISIONS["bf16"] and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise MillisError(
            "backend.precision=bf16: this processor has no arithmetic in bf16, and OpenVINO would compute in fp32. Set "
            "backend.precision=fp32, or run it where there is AVX-512 BF16 or AMX"
        )


def _convert(source: Path, target: Path, group: int | None) -> None:
    """An ONNX file in OpenVINO's own form; activations that are rounded as they come are so in groups of `group`."""
    graph = _read(source)
    if group is not None:  # what `compile_model` finds here it takes for its own option
        graph.set_rt_info(str(group), ["runtime_options", GROUP_SIZE])
    _openvino().save_model(graph, target, compress_to_fp16=False)


def _read(graph: Path) -> Any:
    """The ONNX file as OpenVINO's graph."""
    try:
        return _openvino().Core().read_model(graph)
    except Exception as error:
        blame_machine(error, graph.stat().st_size)
        raise MillisError(
            f"OpenVINO cannot take this model: {_reason(error)}. Use backend=onnxruntime or backend=eager"
        ) from error


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise MillisError("backend=openvino needs openvino: pip install 'millis[openvino]'") from error
    return openvino


def _reason(error: Exception) -> str:
    """The last line that says something: before it come the places in OpenVINO's sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from")]
    return lines[-1] if lines else type(error).__name__


def _grouped(model: Any, quantization: "Quantization | None") -> "tuple[int | None, Quantization | None]":
    """The group size of a dynamic quantization, and the graph's; other quantizations as they are."""
    if quantization is None or quantization.activations != "dynamic":
        return None, quantization
    group = _group(model)
    return group, _in_blocks(quantization, group)


def _group(model: Any) -> int:
    """The longest of `GROUPS` that divides the rows of every linear layer; the last one where none does."""
    from torch import nn

    rows = [layer.in_features for layer in model.modules() if isinstance(layer, nn.Linear)]
    return next((group for group in GROUPS if all(row % group == 0 for row in rows)), GROUPS[-1])


def _in_blocks(quantization: "Quantization", group: int) -> "Quantization":
    """`dynamic` as the graph that OpenVINO needs for it.

    Raises:
        MillisError: what dynamic quantization has on ONNX Runtime only.
    """
    usual = {"per_channel": True, "smooth": None, "aware": None}
    if other := [name for name, value in usual.items() if getattr(quantization, name) != value]:
        raise MillisError(
            f"backend=openvino got dynamic quantization with {other[0]}={getattr(quantization, other[0])!r}; expected "
            f"{other[0]}={usual[other[0]]}: its weights are rounded in blocks. Use backend=onnxruntime, or "
            "quantization=static"
        )
    return replace(quantization, activations="none", block_size=group, reduce_range="auto")
