"""ONNX Runtime: on the CPU, the fast path. Loading and answering need onnxruntime and NumPy, neither torch nor onnx.

How a graph is opened and asked, and why so, is in `millis.backends.onnx.session`.
"""

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from millis import backends
from millis.backends.onnx.decoder import OnnxDecoder
from millis.backends.onnx.encoder_decoder import ENCODER, OnnxEncoderDecoder
from millis.backends.onnx.session import (
    PROVIDERS,
    SEGMENT_INPUTS,
    SEGMENT_OUTPUTS,
    SPINNING,
    OnnxSession,
    Options,
    feeds,
    lacking,
    open_inference,
    segment_path,
)
from millis.backends.profile import WARM, Operator, Time, summarised
from millis.errors import MillisError
from millis.models.encoder_decoder_spec import EncoderDecoderSpec
from millis.models.outputs import writes
from millis.temporaries import scratch_folder
from millis.traits import DATA_SIZES, IMITABLE, SEGMENTS, STORES, WRITES, Traits
from millis.types import Features, Session, Signature
from millis.waiting import waited_ns

if TYPE_CHECKING:
    from millis.quantization.arithmetic import Arithmetic
    from millis.quantization.spec import Quantization
    from millis.storage.encodings import Array
    from millis.storage.manifest import Manifest

FILE_NAME = "model.onnx"


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
    traits: ClassVar[Traits] = (SEGMENTS, DATA_SIZES, IMITABLE, STORES, WRITES)

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
        return backends.missing("onnx", "onnxruntime", "onnx") or lacking(self.device)

    def take_apart(self, folder: Path) -> "dict[str, Array]":
        """The graph, or those of the segments, and their weights by themselves, for an archive."""
        from millis.backends.onnx.weights import split

        return {name: part for path in sorted(folder.glob("*.onnx")) for name, part in split(path).items()}

    def write(
        self,
        model: Any,
        folder: Path,
        signature: Signature,
        quantization: "Quantization | None",
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write `model.onnx` into `folder`; see `millis.backends.onnx.export`, and of a model that says what comes next
        `millis.backends.onnx.writing`.

        Raises:
            MillisError: `onnx` is not installed, the graph does not compute what the module does, calibration texts
                are missing, or the device is not there, has no integers or does not write token by token.
        """
        from millis.backends.onnx.export import export
        from millis.backends.onnx.writing import export_decoder
        from millis.backends.onnx.writing_stacks import export_encoder_decoder
        from millis.models.encoder_decoder import EncoderDecoder

        self._check_device(quantization)
        if writes(signature.outputs):
            self._check_writing()
            if isinstance(model, EncoderDecoder):
                return export_encoder_decoder(model, folder, FILE_NAME, quantization, calibration)
            return export_decoder(model, folder / FILE_NAME, signature, quantization, calibration)
        return export(model, folder / FILE_NAME, signature, quantization, calibration)

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
        from millis.backends.onnx.segments import export_segments

        self._check_device(quantization)
        return export_segments(model, folder, signature, quantization, calibration)

    @property
    def options(self) -> Options:
        """What its graphs are opened with."""
        return Options(self.spinning, self.affinity, self.device)

    def arithmetic(self, quantization: "Quantization") -> "Arithmetic":
        """What training has to imitate."""
        from millis.backends.onnx.arithmetic import arithmetic

        return arithmetic(quantization)

    def _check_device(self, quantization: "Quantization | None") -> None:
        if absent := self.missing():
            raise MillisError(f"{absent}. Or choose backend=eager")
        if self.device == "cuda" and quantization is not None:
            raise MillisError(
                f"backend.device=cuda got quantization {quantization.describe()}, expected none: these integers "
                "are made for processors. Set quantization=none, or backend.device=cpu"
            )

    def _check_writing(self) -> None:
        if self.device != "cpu":
            raise MillisError(
                f"backend.device={self.device} got a model that says what comes next, and keys and values are kept in "
                "the processor's memory: expected backend.device=cpu"
            )


class OnnxSegment:
    """The graph of a segment: what `millis.serving.stepwise` runs."""

    def __init__(self, session: Any, weights: Any = ()) -> None:
        self.run = session.run
        self._weights = weights

    def __call__(self, given: Features | NDArray[np.float32], *mask: NDArray[np.int64]) -> Any:
        """Features, or states [B, S, D] and mask [B, S], to states and logits [B, C]."""
        named = feeds(given) if isinstance(given, Features) else dict(zip(SEGMENT_INPUTS, (given, *mask), strict=True))
        return self.run(SEGMENT_OUTPUTS, named)


def load_segments(folder: Path, manifest: "Manifest", threads: int) -> list[OnnxSegment]:
    """Open the graphs of an artifact's segments, first to last.

    Raises:
        MillisError: as `load`.
    """
    count = len(manifest.spec.exits) + 1
    options = backends.options(OnnxRuntime, manifest).options
    opened = (open_inference(segment_path(folder, position), threads, options) for position in range(count))
    return [OnnxSegment(*one) for one in opened]


def load(folder: Path, manifest: "Manifest", threads: int) -> Session:
    """Open the artifact's graph on `threads` threads; that of a model that says what comes next also writes.

    Raises:
        MillisError: onnxruntime is not installed, or the graph is damaged.
    """
    return _opened(folder, manifest, threads)[0]


def _opened(
    folder: Path, manifest: "Manifest", threads: int, traces: Path | None = None
) -> tuple[OnnxSession | OnnxEncoderDecoder, dict[str, Any]]:
    """What answers with the artifact's graphs, and what is put before the names of each one's nodes → its session.

    Args:
        traces: Folder for what they write once their profiling ends; None does not profile.
    """
    options = backends.options(OnnxRuntime, manifest).options

    def graph(name: str) -> tuple[Any, list[Any]]:
        return open_inference(folder / name, threads, options, None if traces is None else traces / name)

    opened, weights = graph(FILE_NAME)
    if isinstance(manifest.spec, EncoderDecoderSpec):
        encoder, others = graph(ENCODER)
        return OnnxEncoderDecoder(encoder, opened, [weights, others]), {"encoder/": encoder, "": opened}
    kind = OnnxDecoder if writes(manifest.spec.outputs) else OnnxSession
    return kind(opened, weights), {"": opened}


def operators(folder: Path, manifest: "Manifest", threads: int, requests: Sequence[Features]) -> list[Operator]:
    """What each node of the optimised graph takes, read from ONNX Runtime's own trace; of an encoder-decoder, what each
    node of both takes, `encoder/` before the names of one."""
    with scratch_folder() as scratch:
        session, graphs = _opened(folder, manifest, threads, scratch)
        waited = []
        for features in [*requests[:WARM], *requests]:
            before = waited_ns()
            session(features)
            waited.append((waited_ns() - before) / 1e3)
        runs = [_by_run(prefix, Path(graph.end_profiling())) for prefix, graph in graphs.items()]
    each = [[time for run in one for time in run] for one in zip(*runs, strict=True)]
    warm = min(WARM, len(requests))
    return summarised(each[warm:], waited[warm:])


def _by_run(prefix: str, trace: Path) -> list[list[Time]]:
    """What each node took, run by run, of ONNX Runtime's trace; a node belongs to the latest run that began before."""
    events = json.loads(trace.read_text(encoding="utf-8"))
    begins = sorted(event["ts"] for event in events if event["name"] == "model_run")
    runs: list[list[Time]] = [[] for _ in begins]
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name, kind = event["name"].removesuffix("_kernel_time"), event["args"]["op_name"]
            runs[bisect_right(begins, event["ts"]) - 1].append((prefix + name, kind, float(event["dur"])))
    return runs
