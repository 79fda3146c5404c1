"""ONNX Runtime: on the CPU, the fast path. Loading and answering need onnxruntime and NumPy, neither torch nor onnx.

Choices, each measured on one pinned core of a processor with AVX-512 VNNI, candidates interleaved (medians):

* request: `session.run` with the output's name and NumPy arrays: 12.1 µs on a model that does almost nothing, against
  11.9 with a kept I/O binding, 15.9 with a fresh one, 49 with OrtValues.
* threads: `spinning=request` (`force_spinning_stop`). With two threads and all-MiniLM-L6-v2 int8: 2.7 ms. `never`: 3.5.
  `always`: 2.6. One operator at a time: asked for several at once (`benchmarks/session_options.py`, a processor
  with AVX2) ONNX Runtime takes 0.98 (fp32) and 0.90 (int8) of the speed.
* graph: optimised when loaded, since an optimised graph saved to disk is bound to the machine that saved it.
* nothing else. `benchmarks/session_options.py`, as ratios to this file's choices: memory arena, memory patterns and
  denormals move nothing beyond noise (0.95 to 1.07). Exported with PyTorch's fused attention instead of spelled out
  (`millis.models.blocks`): fp32 0.99, dynamic int8 0.92. After the fusions of onnxruntime.transformers: 0.95, 0.88;
  they know no attention with a mask of [B, 1, 1, S].
"""

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from millis import backends
from millis.backends.profile import WARM, Operator, Time, summarised
from millis.backends.scratch import blame_machine
from millis.errors import MillisError
from millis.storage.archived import archive_of, read_tensors
from millis.temporaries import scratch_folder
from millis.types import Features
from millis.waiting import waited_ns

if TYPE_CHECKING:
    from millis.quantization.spec import Quantization
    from millis.storage.encodings import Array
    from millis.storage.manifest import Manifest

FILE_NAME = "model.onnx"
SPINNING = {
    "request": {"session.force_spinning_stop": "1"},
    "never": {"session.intra_op.allow_spinning": "0"},
    "always": {},
}
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# fp32 is fp32, not TF32, and no request waits for a search among kernels because its length is new.
CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
SEGMENT_INPUTS, SEGMENT_OUTPUTS = ("states", "attention_mask"), ("states_out", "logits")  # of all but the first segment


def segment_path(folder: Path, position: int) -> Path:
    """Where the graph of a model's segment lies."""
    return folder / f"segment_{position}.onnx"


@dataclass(frozen=True)
class OnnxRuntime:
    """Writes a module as an ONNX graph for `load`.

    Args:
        spinning: What a thread does that waits for the others, with several: `request` spins within a request and
            sleeps between them, `never` sleeps at once, `always` spins on, and burns a core for as long as it idles.
        affinity: CPUs of the threads beyond the caller's own, one each; None leaves them to the system.
        device: `cpu`, or `cuda` for the first NVIDIA GPU, which takes the package onnxruntime-gpu.

    Raises:
        MillisError: another way of waiting, CPUs that cannot be, or another device.
    """

    name = "onnxruntime"

    spinning: str = "request"
    affinity: tuple[int, ...] | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        backends.one_of(self.name, "spinning", self.spinning, SPINNING)
        backends.one_of(self.name, "device", self.device, PROVIDERS)
        if self.affinity is not None:
            object.__setattr__(self, "affinity", tuple(self.affinity))  # a config and a manifest give a list
            if any(cpu < 0 for cpu in self.affinity):
                raise MillisError(f"backend.affinity={list(self.affinity)}: expected numbers of CPUs, from 0 on")

    def missing(self) -> str | None:
        """What to install before a graph can be written and run."""
        return backends.missing("onnx", "onnxruntime", "onnx") or _lacking(self)

    def take_apart(self, folder: Path) -> "dict[str, Array]":
        """The graph, or those of the segments, and their weights by themselves, for an archive."""
        from millis.backends.onnx.weights import split

        return {name: part for path in sorted(folder.glob("*.onnx")) for name, part in split(path).items()}

    def write(
        self,
        model: Any,
        folder: Path,
        inputs: tuple[str, ...],
        quantization: "Quantization | None",
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write `model.onnx` into `folder`; see `millis.backends.onnx.export`.

        Raises:
            MillisError: `onnx` is not installed, the graph does not compute what the module does, calibration texts
                are missing, or the device is not there or has no integers.
        """
        from millis.backends.onnx.export import export

        self._check_device(quantization)
        return export(model, folder / FILE_NAME, inputs, quantization, calibration)

    def write_segments(
        self,
        model: Any,
        folder: Path,
        inputs: tuple[str, ...],
        quantization: "Quantization | None",
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write one graph a segment into `folder`; see `millis.backends.onnx.segments`.

        Raises:
            MillisError: as `write`.
        """
        from millis.backends.onnx.segments import export_segments

        self._check_device(quantization)
        return export_segments(model, folder, inputs, quantization, calibration)

    def _check_device(self, quantization: "Quantization | None") -> None:
        if lacking := self.missing():
            raise MillisError(f"{lacking}. Or choose backend=eager")
        if self.device == "cuda" and quantization is not None:
            raise MillisError(
                f"backend.device=cuda got quantization {quantization.describe()}, expected none: these integers "
                "are made for processors. Set quantization=none, or backend.device=cpu"
            )


class OnnxSession:
    """A graph on ONNX Runtime: [B, S] arrays in, logits [B, C] out.

    Args:
        session: An `onnxruntime.InferenceSession`.
        weights: What it computes with and does not own.
    """

    def __init__(self, session: Any, weights: Any = ()) -> None:
        self.run = session.run
        self._weights = weights
        self.outputs = [output.name for output in session.get_outputs()]

    def __call__(self, features: Features) -> NDArray[np.float32]:
        """Logits [B, C]."""
        logits: NDArray[np.float32] = self.run(self.outputs, feeds(features))[0]
        return logits


class OnnxSegment:
    """The graph of a segment: what `millis.serving.stepwise` runs."""

    def __init__(self, session: Any, weights: Any = ()) -> None:
        self.run = session.run
        self._weights = weights

    def __call__(self, given: Features | NDArray[np.float32], *mask: NDArray[np.int64]) -> Any:
        """Features, or states [B, S, D] and mask [B, S], to states and logits [B, C]."""
        named = feeds(given) if isinstance(given, Features) else dict(zip(SEGMENT_INPUTS, (given, *mask), strict=True))
        return self.run(SEGMENT_OUTPUTS, named)


def feeds(features: Features) -> dict[str, NDArray[np.int64]]:
    """A whole model's or a first segment's inputs by name."""
    named = {"input_ids": features.ids, "attention_mask": features.mask}
    if features.token_types is not None:
        named["token_type_ids"] = features.token_types
    return named


def load_segments(folder: Path, manifest: "Manifest", threads: int) -> list[OnnxSegment]:
    """Open the graphs of an artifact's segments, first to last.

    Raises:
        MillisError: as `load`.
    """
    count = len(manifest.spec["exits"]) + 1
    chosen = backends.options(OnnxRuntime, manifest)
    opened = (open_inference(segment_path(folder, position), threads, chosen) for position in range(count))
    return [OnnxSegment(*one) for one in opened]


def load(folder: Path, manifest: "Manifest", threads: int) -> OnnxSession:
    """Open the artifact's graph on `threads` threads.

    Raises:
        MillisError: onnxruntime is not installed, or the graph is damaged.
    """
    return open_session(folder / FILE_NAME, threads, backends.options(OnnxRuntime, manifest))


def open_session(path: Path, threads: int, chosen: OnnxRuntime | None = None) -> OnnxSession:
    """As `load`, for a graph anywhere, or in the archive beside where it would be."""
    return OnnxSession(*open_inference(path, threads, chosen))


def open_inference(
    path: Path, threads: int, chosen: OnnxRuntime | None = None, trace: Path | None = None
) -> "tuple[Any, list[Any]]":
    """ONNX Runtime's own session for such a graph, and the weights that it computes with and does not own.

    Args:
        path, threads, chosen: As for `open_session`.
        trace: Where it writes what its operators take, once its profiling ends; None does not profile.

    Raises:
        MillisError: as `load`.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MillisError("this artifact runs on ONNX Runtime: pip install 'millis[onnx]'") from error
    chosen = chosen or OnnxRuntime()
    if lacking := _lacking(chosen):
        raise MillisError(f"{path} cannot be opened: {lacking}")
    options = _session_options(threads, chosen)
    if trace is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(trace)
    graph: str | bytes = str(path)
    archive, weights = archive_of(path), []
    if archive is not None:
        tensors = read_tensors(archive, path.name, threads)
        graph, weights = archive[path.name].tobytes(), [_value(tensor) for tensor in tensors.values()]
        options.add_external_initializers(list(tensors), weights)
    try:
        providers = [PROVIDERS["cpu"]] if chosen.device == "cpu" else [(PROVIDERS["cuda"], CUDA_OPTIONS)]
        session = onnxruntime.InferenceSession(graph, options, providers=providers)
    except Exception as error:  # onnxruntime raises a dozen unrelated classes, one a status code
        blame_machine(error, path.stat().st_size if path.is_file() else 0)
        reason = str(error).strip().splitlines()[0]
        raise MillisError(f"ONNX Runtime cannot open {path}: {reason}. Make the artifact again") from error
    session.disable_fallback()
    if PROVIDERS[chosen.device] not in session.get_providers():  # it warns, and takes the processor
        raise MillisError(
            f"{path} cannot be opened: ONNX Runtime finds no GPU that it can use. Check the driver, CUDA and cuDNN, or "
            "make the artifact with backend.device=cpu"
        )
    return session, weights


def operators(folder: Path, manifest: "Manifest", threads: int, requests: Sequence[Features]) -> list[Operator]:
    """What each node of the optimised graph takes, read from ONNX Runtime's own trace."""
    with scratch_folder() as scratch:
        chosen = backends.options(OnnxRuntime, manifest)
        opened, weights = open_inference(folder / FILE_NAME, threads, chosen, scratch / "trace")
        session, waited = OnnxSession(opened, weights), []
        for features in [*requests[:WARM], *requests]:
            before = waited_ns()
            session(features)
            waited.append((waited_ns() - before) / 1e3)
        events = json.loads(Path(opened.end_profiling()).read_text(encoding="utf-8"))
    warm = min(WARM, len(requests))
    return summarised(_by_run(events)[warm:], waited[warm:])


def _by_run(events: Sequence[dict[str, Any]]) -> list[list[Time]]:
    """What each node took, run by run, of ONNX Runtime's trace; a node belongs to the latest run that began before."""
    begins = sorted(event["ts"] for event in events if event["name"] == "model_run")
    runs: list[list[Time]] = [[] for _ in begins]
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name, kind = event["name"].removesuffix("_kernel_time"), event["args"]["op_name"]
            runs[bisect_right(begins, event["ts"]) - 1].append((name, kind, float(event["dur"])))
    return runs


def _session_options(threads: int, chosen: OnnxRuntime) -> Any:
    from onnxruntime import ExecutionMode, GraphOptimizationLevel, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors only
    for key, value in SPINNING[chosen.spinning].items():
        options.add_session_config_entry(key, value)
    if chosen.affinity is not None and threads > 1:
        if len(chosen.affinity) != threads - 1:
            raise MillisError(
                f"backend.affinity={list(chosen.affinity)} for {threads} threads: expected {threads - 1} CPUs, one for "
                "each thread but the caller's. Name as many, or set backend.affinity=null"
            )
        cpus = ";".join(str(cpu + 1) for cpu in chosen.affinity)  # ONNX Runtime counts CPUs from 1
        options.add_session_config_entry("session.intra_op_thread_affinities", cpus)
    return options


def _lacking(chosen: OnnxRuntime) -> str | None:
    """What the installed ONNX Runtime lacks for the device that is asked for."""
    if chosen.device == "cpu":
        return None
    from onnxruntime import get_available_providers

    if PROVIDERS[chosen.device] in get_available_providers():
        return None
    return "backend.device=cuda needs ONNX Runtime for a GPU: pip install onnxruntime-gpu in place of onnxruntime"


def _value(tensor: "Array") -> Any:
    """A tensor as ONNX Runtime's own, without a copy: it holds on to the array."""
    from onnxruntime import OrtValue

    return OrtValue.ortvalue_from_numpy(tensor)
