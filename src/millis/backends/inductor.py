"""AOTInductor: the module compiled to machine code when the artifact is written, with free batch and sequence axes.

`torch.export`, then `torch._inductor.aoti_compile_and_package`: `model.pt2`.

A package is native code for the processor that compiled it, and loading it runs it: `millis.load` does so for whoever
says `trust_code=True`. Its checksum is compared with the manifest's right before, whoever may have verified it earlier:
that finds damage, not malice.

The number of threads is part of the code, so it is an option of the artifact, and `load` refuses any other.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from millis import backends
from millis.backends.scratch import blame_machine, fp32_bytes
from millis.backends.tracing import difference, example, quiet
from millis.errors import MillisError
from millis.models.outputs import each
from millis.store import file_sha256
from millis.types import Features, Outputs, Signature

if TYPE_CHECKING:
    from millis.quantization.spec import Quantization
    from millis.storage.manifest import Manifest

FILE_NAME = "model.pt2"
COMPILER = "g++"
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Inductor:
    """Compiles a module for `load`.

    Args:
        threads: For one request's arithmetic; the code is made for so many.
        precision: Of weights and arithmetic: `fp32`, or `bf16` on processors that multiply in it.

    Raises:
        MillisError: no threads, or another precision.
    """

    name = "inductor"
    runs_code: ClassVar[bool] = True

    threads: int = 1
    precision: str = "fp32"

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise MillisError(f"backend.threads={self.threads} cannot run anything: expected 1 or more")
        backends.one_of(self.name, "precision", self.precision, PRECISIONS)

    def missing(self) -> str | None:
        """A C++ compiler, where there is none."""
        compiler = os.environ.get("CXX", COMPILER)
        if shutil.which(compiler) is not None:
            return None
        return f"no {compiler} is found: install g++ (Debian: apt-get install g++), or set CXX to a C++ compiler"

    def write(
        self,
        model: nn.Module,
        folder: Path,
        signature: Signature,
        quantization: "Quantization | None",
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write `model.pt2` into `folder`.

        Raises:
            MillisError: a quantization, no C++ compiler, a module that PyTorch cannot export or compile, or code that
                does not compute what the module does.
        """
        if quantization is not None:
            raise MillisError(
                f"backend=inductor got quantization {quantization.describe()}, expected none: it computes in fp32 or "
                "bf16. Set quantization=none, or use backend=onnxruntime or openvino"
            )
        if lacking := self.missing():
            raise MillisError(f"backend=inductor compiles C++, and {lacking}; or use backend=onnxruntime")
        self._compile(model.to(PRECISIONS[self.precision]), folder / FILE_NAME, signature.inputs)
        if self.precision != "fp32":
            return ()
        if fault := difference(model, _open(folder / FILE_NAME, self.threads), signature):
            raise MillisError(f"the compiled code does not compute what the model does: {fault}. Use backend=eager")
        return ()

    def _compile(self, model: nn.Module, path: Path, inputs: tuple[str, ...]) -> None:
        free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
        try:
            with quiet(), torch.no_grad():
                arguments = example(inputs, batch=2, length=4)  # a batch of 1 would be taken for a constant
                program = torch.export.export(model, arguments, dynamic_shapes=tuple(free for _ in inputs))
                torch._inductor.aoti_compile_and_package(
                    program, package_path=str(path), inductor_configs={"cpp.threads": self.threads, "freezing": True}
                )
        except Exception as error:  # whatever a tracer and a C++ compiler raise
            blame_machine(error, fp32_bytes(model))
            if isinstance(error, OSError):
                raise
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise MillisError(
                f"backend=inductor cannot compile this model: {reason}. Use backend=onnxruntime or backend=eager"
            ) from error


class InductorSession:
    """A compiled module: [B, S] arrays in, its outputs out."""

    def __init__(self, compiled: Any) -> None:
        self.compiled, self._lock = compiled, Lock()

    def __call__(self, features: Features) -> Outputs:
        """One array for each output."""
        arguments = [torch.from_numpy(array) for array in features if array is not None]
        with self._lock:
            outputs: Tensor | Sequence[Tensor] = self.compiled(*arguments)
        return tuple(output.float().numpy() for output in each(outputs))


def load(folder: Path, manifest: "Manifest", threads: int) -> InductorSession:
    """Run the artifact's code.

    Raises:
        MillisError: another number of threads than it was compiled for, or a package that is damaged.
    """
    options = backends.options(Inductor, manifest)
    if threads != options.threads:
        raise MillisError(
            f"artifact {manifest.name!r} is compiled for {options.threads} threads, and {threads} were asked for. Load "
            f"it with threads={options.threads}, or make it again with backend.threads={threads}"
        )
    if file_sha256(folder / FILE_NAME) != manifest.files[FILE_NAME]["sha256"]:
        raise MillisError(f"artifact {folder} is damaged: {FILE_NAME} does not match its checksum. Make it again")
    return _open(folder / FILE_NAME, threads)


def _open(path: Path, threads: int) -> InductorSession:
    torch.set_num_threads(threads)
    try:
        # The session's lock lets one request through at a time, so there is no need of a pool of models.
        return InductorSession(torch._inductor.aoti_load_package(str(path), run_single_threaded=True))
    except Exception as error:  # a damaged archive, or code for another PyTorch
        blame_machine(error, path.stat().st_size if path.is_file() else 0)  # it is unpacked in TMPDIR
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise MillisError(f"PyTorch cannot open {path}: {reason}. Make the artifact again") from error
