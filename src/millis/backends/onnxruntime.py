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
from millis.storage.archived import archive_of, read_tensors
from millis.types import Features

if TYPE_CHECKING:
    from millis.quantization.spec import Quantization
    from millis.storage.encodings import Array
    from millis.storage.manifest import Manifest

FILE_NAME = "model.onnx"


@dataclass(frozen=True)
class OnnxRuntime:
    """Writes a module as an ONNX graph for `load`. Its options are measured and fixed; see above."""

    name = "onnxruntime"

    def take_apart(self, folder: Path) -> "dict[str, Array]":
        """The graph, and its weights by themselves, for an archive."""
        from millis.backends.onnx_weights import split

        return split(folder / FILE_NAME)

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
        feeds = {"input_ids": features.ids, "attention_mask": features.mask}
        if features.token_types is not None:
            feeds["token_type_ids"] = features.token_types
        logits: NDArray[np.float32] = self.run(self.outputs, feeds)[0]
        return logits


def load(folder: Path, manifest: "Manifest", threads: int) -> OnnxSession:
    """Open the artifact's graph on `threads` threads.

    Raises:
        MillisError: onnxruntime is not installed, or the graph is damaged.
    """
    return open_session(folder / FILE_NAME, threads)


def open_session(path: Path, threads: int) -> OnnxSession:
    """As `load`, for a graph anywhere, or in the archive beside where it would be."""
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
    graph: str | bytes = str(path)
    archive, weights = archive_of(path), []
    if archive is not None:
        tensors = read_tensors(archive, path.name, threads)
        graph, weights = archive[path.name].tobytes(), [_value(tensor) for tensor in tensors.values()]
        options.add_external_initializers(list(tensors), weights)
    try:
        return OnnxSession(onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"]), weights)
    except Exception as error:  # onnxruntime raises a dozen unrelated classes, one a status code
        reason = str(error).strip().splitlines()[0]
        raise MillisError(f"ONNX Runtime cannot open {path}: {reason}. Make the artifact again") from error


def _value(tensor: "Array") -> Any:
    """A tensor as ONNX Runtime's own, without a copy: it holds on to the array."""
    from onnxruntime import OrtValue

    return OrtValue.ortvalue_from_numpy(tensor)
