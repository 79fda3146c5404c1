"""ONNX Runtime on the CPU: the fast path. Loading and answering need onnxruntime and NumPy, neither torch nor onnx.

Choices, each measured on one pinned core of a processor with AVX-512 VNNI, candidates interleaved (medians):

* request: `session.run` with the output's name and NumPy arrays: 12.1 µs on a model that does almost nothing, against
  11.9 with a kept I/O binding, 15.9 with a fresh one, 49 with OrtValues.
* threads: `force_spinning_stop` lets the pool spin within a request and sleep between them. With two threads and
  all-MiniLM-L6-v2 int8: 2.7 ms. Never spinning: 3.5. Always spinning: 2.6, but it burns a core for as long as it idles.
* graph: optimised when loaded, since an optimised graph saved to disk is bound to the machine that saved it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.types import Features

if TYPE_CHECKING:
    from millis.quantization.spec import Quantization
    from millis.storage.manifest import Manifest

FILE_NAME = "model.onnx"
SEGMENT_INPUTS, SEGMENT_OUTPUTS = ("states", "attention_mask"), ("states_out", "logits")  # of all but the first segment


def segment_path(folder: Path, position: int) -> Path:
    """Where the graph of a model's segment lies."""
    return folder / f"segment_{position}.onnx"


@dataclass(frozen=True)
class OnnxRuntime:
    """Writes a module as an ONNX graph for `load`. Its options are measured and fixed; see above."""

    name = "onnxruntime"

    def write(
        self,
        model: Any,
        folder: Path,
        inputs: tuple[str, ...],
        quantization: "Quantization | None",
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write `model.onnx` into `folder`; see `millis.backends.onnx_export`.

        Raises:
            MillisError: `onnx` is not installed, the graph does not compute what the module does, or calibration texts
                are missing.
        """
        from millis.backends import onnx_export

        return onnx_export.export(model, folder / FILE_NAME, inputs, quantization, calibration)

    def write_segments(
        self, model: Any, folder: Path, inputs: tuple[str, ...], quantization: "Quantization | None"
    ) -> tuple[str, ...]:
        """Write one graph a segment into `folder`; see `millis.backends.onnx_segments`.

        Raises:
            MillisError: as `write`.
        """
        from millis.backends import onnx_segments

        return onnx_segments.export_segments(model, folder, inputs, quantization)


class OnnxSession:
    """A graph on ONNX Runtime: [B, S] arrays in, logits [B, C] out."""

    def __init__(self, session: Any) -> None:
        self.run = session.run
        self.outputs = [output.name for output in session.get_outputs()]

    def __call__(self, features: Features) -> NDArray[np.float32]:
        """Logits [B, C]."""
        logits: NDArray[np.float32] = self.run(self.outputs, _feeds(features))[0]
        return logits


class OnnxSegment:
    """The graph of a segment: what `millis.backends.stepwise` runs."""

    def __init__(self, session: Any) -> None:
        self.run = session.run

    def __call__(self, given: Features | NDArray[np.float32], *mask: NDArray[np.int64]) -> Any:
        """Features, or states [B, S, D] and mask [B, S], to states and logits [B, C]."""
        feeds = _feeds(given) if isinstance(given, Features) else dict(zip(SEGMENT_INPUTS, (given, *mask), strict=True))
        return self.run(SEGMENT_OUTPUTS, feeds)


def _feeds(features: Features) -> dict[str, NDArray[np.int64]]:
    feeds = {"input_ids": features.ids, "attention_mask": features.mask}
    if features.token_types is not None:
        feeds["token_type_ids"] = features.token_types
    return feeds


def load_segments(folder: Path, manifest: "Manifest", threads: int) -> list[OnnxSegment]:
    """Open the graphs of an artifact's segments, first to last.

    Raises:
        MillisError: as `load`.
    """
    count = len(manifest.spec["exits"]) + 1
    return [OnnxSegment(open_inference(segment_path(folder, position), threads)) for position in range(count)]


def load(folder: Path, manifest: "Manifest", threads: int) -> OnnxSession:
    """Open the artifact's graph on `threads` threads.

    Raises:
        MillisError: onnxruntime is not installed, or the graph is damaged.
    """
    return open_session(folder / FILE_NAME, threads)


def open_session(path: Path, threads: int) -> OnnxSession:
    """As `load`, for a graph anywhere."""
    return OnnxSession(open_inference(path, threads))


def open_inference(path: Path, threads: int) -> Any:
    """ONNX Runtime's own session for a graph, with the options above.

    Raises:
        MillisError: as `load`.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MillisError("this artifact runs on ONNX Runtime: pip install 'millis[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen unrelated classes, one a status code
        reason = str(error).strip().splitlines()[0]
        raise MillisError(f"ONNX Runtime cannot open {path}: {reason}. Make the artifact again") from error
