"""CTranslate2, an engine for encoder-decoders on the CPU (T5, BART, Marian and kin): it searches by itself.

Loading and answering need ctranslate2 and NumPy; where torch is installed, importing ctranslate2 imports it. Integers
are 8-bit weights with a scale for each row, 7-bit ones where products saturate; what enters a product is rounded row by
row as it comes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from millis import backends
from millis.backends.ct2.session import Ct2Decoder, open_decoder
from millis.errors import MillisError
from millis.generation.contract import BY_LOGITS
from millis.models.outputs import replies
from millis.traits import LOGITS, WRITES, Reasons, Traits
from millis.types import Features, Output, Signature

if TYPE_CHECKING:
    from millis.quantization.spec import Quantization
    from millis.storage.manifest import Manifest


@dataclass(frozen=True)
class Ctranslate2:
    """Writes an encoder-decoder as CTranslate2 has it for `load`. Takes no options."""

    name = "ctranslate2"
    traits: ClassVar[Traits] = (WRITES,)
    refuses: ClassVar[Reasons] = {LOGITS: BY_LOGITS}

    def missing(self) -> str | None:
        """What to install before a model can be written and run."""
        return backends.missing("ctranslate2", "ctranslate2")

    @staticmethod
    def check_outputs(outputs: Sequence[Output]) -> None:
        """Refuse outputs that are no text in answer to another.

        Raises:
            MillisError: as said.
        """
        if not replies(outputs):
            raise MillisError(
                "backend=ctranslate2 runs encoder-decoders, which write a text in answer to another: expected "
                "task=translation or task=summarisation. Use backend=native or backend=onnxruntime"
            )

    def write(
        self,
        model: Any,
        folder: Path,
        signature: Signature,
        quantization: "Quantization | None",
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write `model.bin`, `config.json` and `shared_vocabulary.json` into `folder`.

        Raises:
            MillisError: ctranslate2 is not installed, a model or a quantization that it does not compute, or an engine
                that does not compute what the module does.
        """
        from millis.models.encoder_decoder import EncoderDecoder

        kind = _precision(quantization)
        if not isinstance(model, EncoderDecoder):
            raise MillisError(
                f"backend=ctranslate2 runs encoder-decoders, and the model is a {model.spec.kind!r} decoder: expected "
                "one such as model=scratch_seq2seq. Use backend=native or backend=onnxruntime"
            )
        if absent := self.missing():
            raise MillisError(f"backend=ctranslate2: {absent}. Or use backend=onnxruntime")
        from millis.backends.ct2.writing import write
        from millis.quantization.processor import reduces_range, told

        narrow = quantization is not None and reduces_range(quantization)
        write(model, folder, kind, narrow)
        note = told(quantization) if quantization is not None else None
        return () if note is None else (note,)


def _precision(quantization: "Quantization | None") -> str:
    """As the engine calls it."""
    if quantization is None:
        return "float32"
    usual = type(quantization)()
    asked = {one.name: getattr(quantization, one.name) for one in fields(quantization)}
    free = ("calibration", "reduce_range")
    if others := [name for name, value in asked.items() if name not in free and value != getattr(usual, name)]:
        told = ", ".join(f"{name}={asked[name]!r}" for name in others)
        raise MillisError(
            f"backend=ctranslate2 got a quantization with {told}; expected quantization=dynamic or none. Or use "
            "backend=onnxruntime"
        )
    return "int8"


def load(folder: Path, manifest: "Manifest", threads: int) -> Ct2Decoder:
    """Open the artifact's model on `threads` threads; it also writes (`millis.types.Searching`).

    Raises:
        MillisError: ctranslate2 is not installed, or the model is damaged.
    """
    backends.options(Ctranslate2, manifest)
    kind = "float32" if manifest.quantization is None else "int8"
    return open_decoder(folder, manifest.spec, kind, threads)
