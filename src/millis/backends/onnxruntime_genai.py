"""ONNX Runtime's own engine for what writes, onnxruntime-genai, on the CPU: Llamas and kin, keys and values in place.

Loading and answering need onnxruntime-genai and NumPy, neither torch nor onnx. Writing an artifact runs its builder.

Integers are rounded in blocks of 32 inputs, symmetric; what enters a product is rounded to 8 bits in such blocks as it
comes. int8 leaves the table of token vectors in fp32; int4 rounds it, too, where it is the output matrix.

SmolLM2-135M on 4,088 tokens of presidential speeches (perplexity to fp32's, files):

    int8         1.005    270 MB
    int4         1.26      89 MB
    int4_mixed   1.11     117 MB
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from millis import backends
from millis.backends.genai import sizes
from millis.backends.genai.session import GenaiDecoder, open_decoder
from millis.errors import MillisError
from millis.models.outputs import require
from millis.traits import CUTS_HEADS, EXITS, WRITES, Reasons, Traits
from millis.types import Features, Output, Signature

if TYPE_CHECKING:
    from millis.quantization.spec import Quantization
    from millis.storage.manifest import Manifest

INT8 = ("-p", "int8")
PRECISIONS = {
    "fp32": ("-p", "fp32"),
    "int4": ("-p", "int4"),
    "int4_mixed": ("-p", "int4", "--extra_options", "algo_config=k_quant_mixed"),
}


@dataclass(frozen=True)
class OnnxRuntimeGenai:
    """Writes a Llama as onnxruntime-genai has it for `load`.

    Args:
        precision: Of weights, where no quantization says it: `fp32`, `int4`, or `int4_mixed`, which keeps the output
            matrix and, in a part of the layers, values and the last feed-forward matrix in 8 bits, as llama.cpp does.

    Raises:
        MillisError: another precision.
    """

    name = "onnxruntime_genai"
    traits: ClassVar[Traits] = (WRITES,)
    refuses: ClassVar[Reasons] = {
        CUTS_HEADS: "{other} may leave layers with different numbers of heads, which backend={backend} cannot run. "
        "Choose {instead}, or backend=native",
        EXITS: "{other} lets a text leave early, and backend={backend} runs whole models. Choose {instead}, or "
        "backend=native",
    }

    precision: str = "fp32"

    def __post_init__(self) -> None:
        backends.one_of(self.name, "precision", self.precision, PRECISIONS)

    def missing(self) -> str | None:
        """What to install before a model can be written and run."""
        return backends.missing("genai", "onnxruntime_genai", "onnx_ir", "onnxruntime")

    @staticmethod
    def check_outputs(outputs: Sequence[Output]) -> None:
        """Refuse outputs that do not write.

        Raises:
            MillisError: names them.
        """
        require(outputs, ("next",), "backend=onnxruntime_genai", "Use backend=native or backend=onnxruntime")

    def write(
        self,
        model: Any,
        folder: Path,
        signature: Signature,
        quantization: "Quantization | None",
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write `model.onnx`, `model.onnx.data` and `genai_config.json` into `folder`.

        Raises:
            MillisError: a package is missing, a model or a quantization that it does not compute, or a graph that does
                not compute what the module does.
        """
        self.check_outputs(signature.outputs)
        arguments = self._arguments(quantization)
        sizes.checked(model.spec)
        if absent := self.missing():
            raise MillisError(f"backend=onnxruntime_genai: {absent}. Or use backend=native")
        from millis.backends.genai.graph import build

        build(model, folder, signature, arguments, exact=arguments == PRECISIONS["fp32"])
        return ()

    def _arguments(self, quantization: "Quantization | None") -> tuple[str, ...]:
        """Of the builder."""
        if quantization is None:
            return PRECISIONS[self.precision]
        usual = type(quantization)()
        asked = {one.name: getattr(quantization, one.name) for one in fields(quantization)}
        others = [name for name, value in asked.items() if name != "calibration" and value != getattr(usual, name)]
        if others or self.precision != "fp32":
            told = ", ".join(f"{name}={asked[name]!r}" for name in others) or quantization.describe()
            raise MillisError(
                f"backend=onnxruntime_genai got a quantization with {told} and precision={self.precision}; expected "
                "quantization=dynamic with precision=fp32, or quantization=none with any of "
                f"{', '.join(PRECISIONS)}. Or use backend=native or backend=onnxruntime"
            )
        return INT8


def load(folder: Path, manifest: "Manifest", threads: int) -> GenaiDecoder:
    """Open the artifact's model on `threads` threads; it also writes (`millis.types.Decoder`).

    Raises:
        MillisError: onnxruntime-genai is not installed, or the model is damaged.
    """
    backends.options(OnnxRuntimeGenai, manifest)
    return open_decoder(folder, sizes.runtime_config(*sizes.checked(manifest.spec)), threads)
