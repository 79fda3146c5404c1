"""PyTorch on an NVIDIA GPU: the weights of `millis.backends.eager`, in fp32, fp16 or bf16.

One request gives a GPU some hundred kernels of a few microseconds, and it waits for each to be launched. So the whole
computation of a request is recorded as a CUDA graph when the artifact is loaded, one for each bucket of lengths
(multiples of `BUCKET` tokens, which tensor cores like as well): a request is then one copy there, one launch, one copy
back. Batches, which keep a GPU busy, run unrecorded and unpadded. Callers take turns: recordings share their memory.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from millis import backends
from millis.backends import eager
from millis.errors import MillisError
from millis.models.outputs import each
from millis.models.spec import spec_of
from millis.storage.encodings import Array
from millis.traits import DATA_SIZES, Traits
from millis.types import Features, Outputs, Signature

if TYPE_CHECKING:
    from millis.quantization.spec import Quantization
    from millis.storage.manifest import Manifest

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
BUCKET = 8  # tokens
WARM = 3  # runs of the very kernels that are recorded: libraries choose and allocate then

Compute: TypeAlias = Callable[[], tuple[Tensor, ...]]
Recorder: TypeAlias = Callable[[Compute], tuple[Callable[[], object], tuple[Tensor, ...]]]
"""A computation on fixed memory → how to do it again, and the memory that its results are then in."""


@dataclass(frozen=True)
class Cuda:
    """Writes a module's weights for `load`.

    Args:
        precision: Of weights and arithmetic: `fp32` (not TF32), `fp16`, or `bf16` (Ampere and later).
        graphs: Whether single requests are recorded; False is for models whose sizes depend on their input, and for
            GPUs of little memory.

    Raises:
        MillisError: another precision.
    """

    name = "cuda"

    precision: str = "fp32"
    graphs: bool = True

    def __post_init__(self) -> None:
        backends.one_of(self.name, "precision", self.precision, PRECISIONS)

    @property
    def traits(self) -> Traits:
        """Sizes of what is recorded are fixed; others may depend on values."""
        return () if self.graphs else (DATA_SIZES,)

    def missing(self) -> str | None:
        """A GPU that PyTorch can use, where there is none."""
        if torch.cuda.is_available():
            return None
        return "PyTorch finds no GPU: it needs an NVIDIA driver and a build of torch for CUDA"

    def take_apart(self, folder: Path) -> dict[str, Array]:
        """The tensors by themselves, for an archive."""
        return eager.Eager().take_apart(folder)

    def write(
        self,
        model: nn.Module,
        folder: Path,
        signature: Signature,
        quantization: "Quantization | None",
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write the fp32 weights into `folder`, as `millis.backends.eager` does; they are cast when they are loaded.

        Raises:
            MillisError: a quantization, no GPU to serve it on, or a model that drops tokens.
        """
        if quantization is not None:
            raise MillisError(
                f"backend=cuda got quantization {quantization.describe()}, expected none: it computes in fp32, fp16 or "
                "bf16. Set quantization=none, or use backend=onnxruntime"
            )
        if self.graphs and (spec := spec_of(model)) is not None and spec.tokens:
            raise MillisError(
                "backend=cuda records computations of fixed sizes, and this model's depend on its input. Set "
                "backend.graphs=false, or use backend=onnxruntime"
            )
        if lacking := self.missing():
            raise MillisError(f"backend=cuda: {lacking}. Use backend=onnxruntime")
        return eager.Eager().write(model, folder, signature, None)


class CudaSession:
    """A module on a device: [B, S] arrays in, its outputs out.

    Args:
        model: In the precision it computes in.
        device: Where it computes.
        lengths: Of the buckets, ascending; none where nothing is recorded.
        signature: The module's.
        record: See `Recorder`.
    """

    def __init__(
        self, model: nn.Module, device: torch.device, lengths: Sequence[int], signature: Signature, record: Recorder
    ) -> None:
        self.model, self.device, self.lengths = model.to(device).eval(), device, list(lengths)
        self._lock = Lock()
        # The longest first: what it allocates serves the others.
        self._recorded: list[_Recorded] = [
            _Recorded(self.model, device, length, signature, record) for length in reversed(self.lengths)
        ][::-1]

    @torch.inference_mode()
    def __call__(self, features: Features) -> Outputs:
        """One array for each output."""
        rows, length = features.ids.shape
        bucket = bisect_left(self.lengths, length)
        if rows == 1 and bucket < len(self.lengths):
            with self._lock:
                return self._recorded[bucket].answer(features)
        arrays = [torch.from_numpy(array).to(self.device) for array in features if array is not None]
        return tuple(map(_host, each(self.model(*arrays))))


class _Recorded:
    """One request of at most `length` tokens, recorded."""

    @torch.inference_mode()
    def __init__(
        self, model: nn.Module, device: torch.device, length: int, signature: Signature, record: Recorder
    ) -> None:
        self._outputs = signature.outputs
        self._pinned = torch.zeros(
            (len(signature.inputs), 1, length), dtype=torch.long, pin_memory=device.type == "cuda"
        )
        self._fill = self._pinned.numpy()  # the same memory
        self._fill[1, :, : max(length - 1, 1)] = 1  # with padding: without, transformers leaves the mask out
        self._device = self._pinned.to(device, copy=True)
        try:
            self._again, self._results = record(lambda: each(model(*self._device)))
        except RuntimeError as error:
            # Where recording fails, ending it fails as well: the first of the two says why.
            first = error.__context__ or error
            reason = next(iter(str(first).strip().splitlines()), type(first).__name__)
            raise MillisError(
                f"requests of {length} tokens cannot be recorded as a CUDA graph: {reason}. Make the artifact with "
                "backend.graphs=false"
            ) from error

    def answer(self, features: Features) -> Outputs:
        """Outputs of one text; those of tokens without the padding's."""
        length = features.ids.shape[1]
        for row, array in zip(self._fill, features, strict=False):
            row[:, :length] = array
            row[:, length:] = 0
        self._device.copy_(self._pinned, non_blocking=True)
        self._again()
        found = zip(self._outputs, self._results, strict=True)
        return tuple(_host(result if output.per == "text" else result[:, :length]) for output, result in found)


def load(folder: Path, manifest: "Manifest", threads: int) -> CudaSession:
    """Put the artifact's weights on the first GPU and record its requests.

    Raises:
        MillisError: no GPU, weights that are damaged, or a request that cannot be recorded.
    """
    options = backends.options(Cuda, manifest)
    if lacking := options.missing():
        raise MillisError(f"artifact {manifest.name!r} runs on a GPU, and {lacking}. Load it where there is one")
    model = eager.read_module(folder, manifest, threads).to(PRECISIONS[options.precision])
    torch.backends.cudnn.allow_tf32 = False  # it is on by default, and fp32 would not be that
    lengths = buckets(manifest.max_length) if options.graphs else []
    return CudaSession(model, torch.device("cuda"), lengths, manifest.signature, recorder())


def buckets(max_length: int) -> list[int]:
    """The lengths that are recorded: multiples of `BUCKET`, and the longest."""
    return [*range(BUCKET, max_length, BUCKET), max_length]


def recorder() -> Recorder:
    """Records computations as CUDA graphs, after some runs on a stream aside; all in the same memory, for only one runs
    at a time and its result is copied before the next.
    """
    aside, pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()  # type: ignore[no-untyped-call]

    def record(compute: Compute) -> tuple[Callable[[], object], tuple[Tensor, ...]]:
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                compute()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool, stream=aside):
            results = compute()
        return graph.replay, results

    return record


def _host(result: Tensor) -> NDArray[np.float32]:
    """A copy of the caller's own, in fp32; waits for the device."""
    copied: NDArray[np.float32] = result.to("cpu", torch.float32, copy=True).numpy()
    return copied
