"""ONNX Runtime's sessions: what a graph's inputs and outputs are called, how it is fed, and how it is opened.

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

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from millis.backends.scratch import blame_machine
from millis.errors import MillisError
from millis.storage.archived import archive_of, read_tensors
from millis.storage.encodings import Array
from millis.types import Features, Outputs

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


class Options(NamedTuple):
    """How a graph is run; see `millis.backends.onnxruntime.OnnxRuntime`."""

    spinning: str = "request"
    affinity: tuple[int, ...] | None = None
    device: str = "cpu"


DEFAULTS = Options()


class OnnxSession:
    """A graph on ONNX Runtime: [B, S] arrays in, its outputs out.

    Args:
        session: An `onnxruntime.InferenceSession`.
        weights: What it computes with and does not own.
    """

    def __init__(self, session: Any, weights: Any = ()) -> None:
        self.run = session.run
        self._weights = weights
        self.outputs = [output.name for output in session.get_outputs()]

    def __call__(self, features: Features) -> Outputs:
        """One array for each output."""
        return tuple(self.run(self.outputs, feeds(features)))


def feeds(features: Features) -> dict[str, NDArray[np.int64]]:
    """A whole model's or a first segment's inputs by name."""
    named = {"input_ids": features.ids, "attention_mask": features.mask}
    if features.token_types is not None:
        named["token_type_ids"] = features.token_types
    return named


def open_session(path: Path, threads: int, chosen: Options = DEFAULTS) -> OnnxSession:
    """Open a graph, which may lie in the archive beside where it would be.

    Args:
        path: Where it lies, or would.
        threads: For one request's arithmetic.
        chosen: How it is run.

    Raises:
        MillisError: onnxruntime is not installed, the graph is damaged, or the device is not there.
    """
    return OnnxSession(*open_inference(path, threads, chosen))


def open_inference(
    path: Path, threads: int, chosen: Options = DEFAULTS, trace: Path | None = None
) -> tuple[Any, list[Any]]:
    """ONNX Runtime's own session for such a graph, and the weights that it computes with and does not own.

    Args:
        path, threads, chosen: As for `open_session`.
        trace: Where it writes what its operators take, once its profiling ends; None does not profile.

    Raises:
        MillisError: as `open_session`.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MillisError("this artifact runs on ONNX Runtime: pip install 'millis[onnx]'") from error
    if (absent := lacking(chosen.device)) is not None:
        raise MillisError(f"{path} cannot be opened: {absent}")
    options = session_options(threads, chosen)
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


def session_options(threads: int, chosen: Options) -> Any:
    """ONNX Runtime's own options.

    Raises:
        MillisError: not as many CPUs to place threads on as there are threads to place.
    """
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


def lacking(device: str) -> str | None:
    """What the installed ONNX Runtime lacks for the device that is asked for."""
    if device == "cpu":
        return None
    from onnxruntime import get_available_providers

    if PROVIDERS[device] in get_available_providers():
        return None
    return "backend.device=cuda needs ONNX Runtime for a GPU: pip install onnxruntime-gpu in place of onnxruntime"


def _value(tensor: Array) -> Any:
    """A tensor as ONNX Runtime's own, without a copy: it holds on to the array."""
    from onnxruntime import OrtValue

    return OrtValue.ortvalue_from_numpy(tensor)
