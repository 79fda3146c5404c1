"""An encoder-decoder → CTranslate2's files, compared with the module."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from ctranslate2.specs.model_spec import LayerSpec, NumpyVariable, Variable, visit_spec

from millis.backends.ct2.session import open_decoder
from millis.backends.ct2.weights import specification
from millis.backends.tracing import agree
from millis.errors import MillisError
from millis.models.encoder_decoder import EncoderDecoder


def write(model: EncoderDecoder, folder: Path, kind: str, narrow: bool = False) -> None:
    """Write `model` into the existing `folder`.

    Args:
        model: In evaluation mode, in fp32.
        kind: `float32` or `int8`.
        narrow: Whether integers get 7 bits: the engine's products (oneDNN's) saturate on processors without VNNI.

    Raises:
        MillisError: a part that it does not compute, or an engine that does not compute what the module does.
    """
    spec = specification(model)
    spec.validate()
    spec.optimize(quantization=kind)
    if narrow:
        visit_spec(spec, _halved)
    spec.save(str(folder))
    if fault := _fault(model, folder, kind):
        raise MillisError(f"CTranslate2 does not compute what the model does: {fault}. Use backend=onnxruntime")


def _halved(part: LayerSpec, path: str, value: Any) -> None:
    """Integers of ±127 and their scale, as `optimize` made them, to ±64: two products with u8 stay within 16 bits."""
    name = path.rpartition("/")[2]
    scale = getattr(part, f"{name}_scale", None)
    if isinstance(value, Variable) and value.dtype == "int8" and scale is not None:
        setattr(part, name, NumpyVariable(np.rint(value.numpy() / 2).astype(np.int8)))
        setattr(part, f"{name}_scale", NumpyVariable(scale.numpy() / 2))


@torch.inference_mode()
def _fault(model: EncoderDecoder, folder: Path, kind: str) -> str | None:
    """Where the files err; of integers whether they give no numbers. None where all is well."""
    decoder: Any = open_decoder(folder, model.spec, kind, threads=1)
    for length in (1, 6):
        prompt, written = [*(np.arange(length) % 3), *model.spec.starts], np.arange(5) % 3
        tokens = np.array([*prompt, *written], np.int64)
        ids, types = torch.from_numpy(tokens)[None], (torch.arange(len(tokens)) >= len(prompt)).long()[None]
        expected = model(ids, torch.ones_like(ids), types)[0].numpy()
        got = decoder.begin(len(tokens)).read(tokens, every=True)
        if not np.isfinite(got).all():
            return "its logits are no numbers"
        if kind == "float32" and not agree(got, expected):
            return f"logits differ by {np.abs(got - expected).max():.1g} behind a source of {length} tokens"
    return None
