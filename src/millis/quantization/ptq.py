"""Post-training quantization, the part that no backend differs in: smoothing, scaling, which layers stay fp32, and how
weights are rounded."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from millis.quantization.arithmetic import Arithmetic
from millis.quantization.awq import awq
from millis.quantization.calibration import requests
from millis.quantization.gptq import Done, gptq
from millis.quantization.keep import finer, matching
from millis.quantization.sensitivity import Chosen, Ranking
from millis.quantization.smooth import smooth
from millis.quantization.spec import Quantization
from millis.types import Features


class Prepared(NamedTuple):
    """A model that waits for a backend's integers.

    Args:
        model: Computes what it computed before; with GPTQ, what its rounded weights do.
        kept: Names of the layers that stay fp32.
        requests: Calibration texts, [1, S] each; none where none are needed.
        notes: What was done, a sentence each.
        finer: Names of the layers that get 8 bits where the others have 4.
    """

    model: nn.Module
    kept: tuple[str, ...]
    requests: list[Features]
    notes: tuple[str, ...]
    finer: tuple[str, ...] = ()


def prepare(
    model: nn.Module, quantization: Quantization, arithmetic: Arithmetic, calibration: Sequence[Features]
) -> Prepared:
    """Smooth or scale a copy of `model`, choose the layers that stay fp32 and round the others, as `quantization` asks.

    Args:
        model: In evaluation mode, on the CPU, in fp32; left as it was.
        quantization: The request.
        arithmetic: The backend's answer to it.
        calibration: Texts, padded or not; read where the request needs them.

    Raises:
        MillisError: texts are needed and none are given, a pattern describes no layer, or weights are no numbers.
    """
    texts = requests(calibration) if quantization.calibrates else []
    kept = matching(model, quantization.keep)
    eight = finer(model, quantization.int8, kept)
    notes = [f"kept in fp32 by name: {', '.join(kept)}"] if kept else []
    if quantization.smooth is not None:
        smoothed = smooth(model, texts, arithmetic, quantization.smooth)
        model = smoothed.model
        notes.append(
            f"smoothed {smoothed.smoothed} of {smoothed.tensors} activations (α = {quantization.smooth:g}); the rest "
            "round no better smoothed"
        )
    if quantization.fallback is not None:
        chosen = Ranking(model, texts, quantization, arithmetic, fixed=kept).choose(quantization.fallback)
        kept += chosen.names
        notes.append(_told(chosen, len(texts)))
        eight = tuple(name for name in eight if name not in chosen.names)
    if eight:
        notes.append(f"8 bits by name: {', '.join(eight)}")
    if quantization.awq is not None:
        scaled = awq(model, texts, quantization.awq, arithmetic, kept, eight)
        model = scaled.model
        notes.append(f"AWQ scaled what linear layers read in {scaled.scaled} of {scaled.places} places")
    if quantization.gptq is not None:
        done = gptq(model, texts, quantization.gptq, arithmetic, kept, eight)
        model = done.model
        notes.append(_told_rounded(done, len(texts)))
    return Prepared(model, kept, texts, tuple(notes), eight)


def _told_rounded(done: Done, texts: int) -> str:
    told = f"GPTQ rounded {len(done.rounded)} linear layers on {texts} texts"
    if not done.shared:
        return told
    return f"{told}; to the nearest, as their weights serve elsewhere too: {', '.join(done.shared)}"


def _told(chosen: Chosen, texts: int) -> str:
    if not chosen.names:
        return f"no layer had to stay fp32: KL {chosen.before:.2g} nats on {texts} texts"
    layers = ", ".join(f"{name} ({kl:.2g} alone)" for name, kl in zip(chosen.names, chosen.alone, strict=True))
    return f"kept in fp32 by measurement: {layers}; KL {chosen.before:.2g} → {chosen.after:.2g} nats on {texts} texts"
