"""What this processor does to u8 x s8 products: without dot-product instructions x86 saturates pairs of them.

AVX2's `vpmaddubsw`, which the int8 kernels fall back to, adds two products in 16 bits: 255 · 127 · 2 = 64770 > 32767.
Weights of 7 bits (±64) cannot get there (255 · 64 · 2 = 32640) and round twice as coarsely. With VNNI or AMX, and on
ARM, sums are exact.

Measured on an AMD EPYC with AVX2 alone (`benchmarks/saturation.py`): all-MiniLM-L6-v2 fine-tuned on AG News, 800 test
texts against fp32 (share of labels that are the same, mean cosine of the logits):

    int8                     8 bits, saturating    7 bits
    dynamic, per channel     99.4 %, 0.99952       99.4 %, 0.99960
    static, per channel      99.5 %, 0.99960       99.5 %, 0.99957
    static, smoothed         99.5 %, 0.99952       99.6 %, 0.99956
    dynamic, per tensor      99.0 %, 0.99779       97.1 %, 0.99058

With a scale a channel 7 bits are as near, and exact: every processor answers alike, and training imitates what runs. So
such weights lose a bit here, and those with one scale a tensor do not, unless training knows of it.
"""

import torch

from millis.quantization.spec import Quantization

EXACT = ("avx512_vnni", "avx_vnni", "amx_int8")


def saturates() -> bool:
    """Whether pairs of u8 x s8 products saturate on the processor that runs this."""
    found = torch.cpu.get_capabilities()
    return found.get("architecture") == "x86_64" and not any(found.get(name) for name in EXACT)


def reduces_range(quantization: Quantization) -> bool:
    """Whether weights get 7 bits.

    `auto` decides by the processor that runs this: artifacts are taken to run where they are written, and models where
    they are trained.
    """
    if quantization.activations == "none":  # kernels for blocks do not saturate
        return False
    if quantization.reduce_range != "auto":
        return bool(quantization.reduce_range)
    return saturates() and (quantization.per_channel or quantization.aware is not None)


def told(quantization: Quantization) -> str | None:
    """What a record should say of it; None where nothing is out of the ordinary."""
    if reduces_range(quantization):
        if quantization.reduce_range != "auto":
            return "weights have 7 bits, as asked (reduce_range)"
        return "weights have 7 bits: this processor, without VNNI, saturates u8 x s8 products of 8"
    if quantization.activations != "none" and quantization.reduce_range == "auto" and saturates():
        return (
            "this processor, without VNNI, saturates a few u8 x s8 products; 7 bits, with a scale a tensor, lose more"
        )
    return None
