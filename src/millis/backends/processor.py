"""What this processor does to u8 x s8 products: without dot-product instructions x86 saturates pairs of them.

AVX2's `vpmaddubsw`, which the int8 kernels fall back to, adds two products in 16 bits: 255 · 127 · 2 = 64770 > 32767.
Weights of 7 bits (±64) cannot get there (255 · 64 · 2 = 32640) and round twice as coarsely. With VNNI or AMX, and on
ARM, sums are exact.

Which of the two costs more was measured with that instruction simulated, on all-MiniLM-L6-v2 (mean cosine to fp32):

    int8                     exact    saturating    7 bits
    dynamic, per channel     0.993    0.992         0.992
    static, per channel      0.993    0.992         0.991
    static, smoothed         0.998    0.995         0.996

A scale a tensor loses far more at 7 bits (0.966 → 0.883 on a processor without VNNI). So weights keep their 8 bits,
except after smoothing, which fills both grids evenly and brings six times as many pairs to saturation.
"""

import torch

from millis.quantization.spec import Quantization

EXACT = ("avx512_vnni", "avx_vnni", "amx_int8")


def saturates() -> bool:
    """Whether pairs of u8 x s8 products saturate on the processor that runs this."""
    found = torch.cpu.get_capabilities()
    return found.get("architecture") == "x86_64" and not any(found.get(name) for name in EXACT)


def reduces_range(quantization: Quantization) -> tuple[bool, str | None]:
    """Whether weights get 7 bits, and what a record should say of it.

    `auto` decides by the processor that runs this: artifacts are taken to run where they are written. Training that
    knows of the rounding keeps its 8 bits.
    """
    if quantization.activations == "none":  # kernels for blocks do not saturate
        return False, None
    if quantization.reduce_range != "auto":
        chosen = bool(quantization.reduce_range)
        return chosen, "weights have 7 bits, as asked (reduce_range)" if chosen else None
    if not saturates():
        return False, None
    if quantization.smooth is not None:
        return True, "weights have 7 bits: this processor, without VNNI, saturates u8 x s8 products"
    return False, "this processor, without VNNI, saturates a few u8 x s8 products; weights of 7 bits would cost as much"
