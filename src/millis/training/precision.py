"""Mixed precision: where it pays, and what it saves (Micikevicius et al. 2018, 1710.03740).

Matrix products and the activations kept for the backward pass are in 16 bits, weights and their updates in 32.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from millis.cpus import processor_name
from millis.data.batches import Batch, model_inputs
from millis.errors import MillisError
from millis.models.outputs import each
from millis.schema import decoded
from millis.store import cache_folder, fingerprint, locked, write_json

PASSES = 3  # forward and backward, in each precision, in turn
TRIES = 9  # of the block that decides about bf16
WORTH = 1.1  # times fp32's speed from which bf16's rounding is accepted


@dataclass(frozen=True)
class Verdict:
    """Whether training in bf16 is faster than in fp32 on a processor, under a version of PyTorch."""

    processor: str
    torch: str
    pays: bool


@lru_cache
def bf16_pays(accelerator: str) -> bool:
    """Whether training in bf16 is faster here than in fp32.

    That a processor has the instructions does not say so: fine-tuning all-MiniLM-L6-v2 on one core with AVX512-BF16
    took 0.23 s a batch of 32 x 12 tokens on an AMD Zen 4 (fp32: 0.37 s), and 1.5 times as long as fp32 on an Intel Xeon
    without AMX. So it is timed, and the verdict kept in the user's cache folder: the next timing may end otherwise, but
    an interrupted training goes on in the precision that it began in, and two workers train alike.
    """
    if on_gpu(accelerator):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return False
    here = processor_name(), str(torch.__version__)
    path = cache_folder() / f"bf16-{fingerprint(*here)}.json"
    try:
        with locked(path, "a comparison of bf16 with fp32, which another process makes"):
            if (verdict := _kept(path)) is None:
                verdict = Verdict(*here, _is_faster())
                write_json(path, asdict(verdict))
            return verdict.pays
    except MillisError:  # nothing can be kept there
        return _is_faster()


def _kept(path: Path) -> Verdict | None:
    """None: there is none, or it cannot be read."""
    try:
        return decoded(path.read_bytes(), Verdict)
    except (OSError, MillisError):
        return None


def _is_faster() -> bool:
    """Whether bf16 is, by the times of one feed-forward block of all-MiniLM-L6-v2."""
    with torch.random.fork_rng():
        block = nn.Sequential(nn.Linear(384, 1536), nn.GELU(), nn.Linear(1536, 384))
        rows = torch.randn(384, 384)
    contexts = (nullcontext(), torch.autocast("cpu", torch.bfloat16))
    pairs = [[_pass(block, {"input": rows}, context)[0] for context in contexts] for _ in range(TRIES)]
    return median(single / half for single, half in pairs[1:]) >= WORTH  # the first pays for what is made once


def on_gpu(accelerator: str) -> bool:
    """Whether Lightning would train on CUDA."""
    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


@dataclass(frozen=True)
class Savings:
    """What mixed precision saves in one forward and backward pass.

    Args:
        speedup: fp32's time / mixed precision's.
        memory_ratio: fp32's bytes / mixed precision's, of what is kept for the backward pass.
    """

    precision: str
    speedup: float
    memory_ratio: float

    def __str__(self) -> str:
        share = 1 / self.memory_ratio
        return f"{self.precision}: {self.speedup:.2f}x fp32's speed, activations in {share:.0%} of the memory"


def savings(model: nn.Module, batch: Batch, precision: str, accelerator: str) -> Savings:
    """Measure on one batch, before training; weights, gradients and random state stay as they are.

    Args:
        precision: Lightning's `bf16-mixed` or `16-mixed`; the latter is bf16 on a CPU, as in Lightning.
    """
    device = "cuda" if on_gpu(accelerator) else "cpu"
    dtype = torch.float16 if precision.startswith("16") and device == "cuda" else torch.bfloat16
    contexts: dict[bool, Callable[[], AbstractContextManager[Any]]] = {
        False: nullcontext,
        True: lambda: torch.autocast(device, dtype),
    }
    inputs = {name: value.to(device) for name, value in model_inputs(batch).items()}
    training = model.training
    model.to(device).train()
    seconds: dict[bool, list[float]] = {False: [], True: []}
    kept: dict[bool, int] = {}
    with torch.random.fork_rng():
        for _ in range(PASSES):
            for mixed, context in contexts.items():
                taken, kept[mixed] = _pass(model, inputs, context())
                seconds[mixed].append(taken)
    model.train(training)
    # The first pass of each pays for what is made once.
    return Savings(precision, median(seconds[False][1:]) / median(seconds[True][1:]), kept[False] / max(1, kept[True]))


def _pass(model: nn.Module, inputs: Batch, context: AbstractContextManager[Any]) -> tuple[float, int]:
    """Seconds of a forward and backward pass, and bytes of the distinct activations kept in between."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    _synchronise()
    started = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        with context:
            total = torch.stack([logits.float().sum() for logits in each(model(**inputs))]).sum()
        if total.requires_grad:  # not where all that the answer comes from is frozen
            torch.autograd.grad(total, parameters, allow_unused=True)
    _synchronise()
    return time.perf_counter() - started, sum(kept.values())


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
