"""What this machine reaches: arithmetic by precision and memory bandwidth, with the best kernels at hand.

`python -m millis.benchmark.rates THREADS CPUS` pins itself, measures, and prints JSON. Each number is the best of many
short tries, for what is asked is what the machine can, and a neighbour can only take from it.

Arithmetic: square products of `SIZE`, large enough to fill the units and small enough for the caches: fp32 and bf16 by
PyTorch, int8 by ONNX Runtime's `MatMulInteger` (u8 x s8 → s32). Bandwidth: STREAM's copy and triad (McCalpin 1995) and
a sum, which only reads, over arrays of `ARRAY_BYTES`, far beyond any cache; the fastest of the three. Bytes are those
that the program names: what the processor reads in order to write is not counted, as in STREAM.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from millis import children
from millis.benchmark.isolate import SLACK, TIMEOUT_S
from millis.benchmark.turn import my_turn
from millis.errors import MillisError
from millis.waiting import waited_ns

SIZE = 1024
ARRAY_BYTES = 1 << 28
SECONDS = 1.0  # a kernel is tried for so long
KERNELS = 6  # three kinds of products, copy, triad and sum
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class Rates:
    """What the machine reaches on `threads` threads.

    Args:
        fp32, bf16, int8: Operations a second in matrix products; 0 where there is no kernel, or no such arithmetic.
        bandwidth: Bytes a second between processor and memory.
        cache_bytes: Largest cache; what fits there need not come from memory every time. 0 where nobody tells.
    """

    threads: int
    fp32: float
    bf16: float
    int8: float
    bandwidth: float
    cache_bytes: int


def measure_rates(threads: int, cpus: Sequence[int], timeout_s: float = TIMEOUT_S) -> Rates:
    """Measure in a fresh process of `threads` threads on `cpus`; takes some seconds.

    Raises:
        MillisError: the process died, its last words are in the message; or hung, for `timeout_s` at least.
    """
    limit_s = max(timeout_s, SLACK * KERNELS * SECONDS)
    command = [sys.executable, "-m", __name__, str(threads), ",".join(map(str, cpus))]
    with my_turn():
        try:
            run = subprocess.run(
                command, capture_output=True, text=True, env=children.environment(threads), check=False, timeout=limit_s
            )
        except subprocess.TimeoutExpired as error:
            raise MillisError(
                f"the process that measures this machine hung: it was not done after {limit_s:g} s, and was ended. If "
                "it is only slow, raise benchmark.timeout_s"
            ) from error
    if run.returncode:
        raise MillisError(
            f"the process that measures this machine failed. Its last words:\n{run.stderr.strip()[-2000:]}"
        )
    return Rates(**json.loads(run.stdout.splitlines()[-1]))


def best_seconds(kernel: Callable[[], Any], seconds: float = SECONDS) -> float:
    """The shortest of as many runs as fit into `seconds`, at least five."""
    kernel()
    end, best, runs = busy_seconds() + seconds, float("inf"), 0
    while runs < 5 or busy_seconds() < end:
        start = busy_seconds()
        kernel()
        best, runs = min(best, busy_seconds() - start), runs + 1
    return best


def busy_seconds() -> float:
    """A clock that stands still while another process has this thread's CPU (`millis.waiting.waited_ns`)."""
    while True:
        waited, now = waited_ns(), perf_counter_ns()
        if waited_ns() == waited:  # or another process came between the two readings
            return (now - waited) / 1e9


def largest_cache(folder: Path = CACHES) -> int:
    """Bytes of the first processor's largest cache, its neighbours' share included; 0 where the system does not say."""
    sizes = [path.read_text().strip() for path in folder.glob("index*/size")]
    return max((int(size.rstrip("KM")) * {"K": 1 << 10, "M": 1 << 20}.get(size[-1], 1) for size in sizes), default=0)


def _products(threads: int) -> dict[str, float]:
    """Operations a second by precision."""
    import torch

    torch.set_num_threads(threads)
    operations = 2.0 * SIZE**3
    rates = {"bf16": 0.0}
    kinds = {"fp32": torch.float32, **({"bf16": torch.bfloat16} if _multiplies_bf16() else {})}
    for name, kind in kinds.items():
        a, b = (torch.randn(SIZE, SIZE).to(kind) for _ in range(2))
        out = torch.empty(SIZE, SIZE, dtype=kind)
        with torch.inference_mode():
            rates[name] = operations / best_seconds(lambda: torch.mm(a, b, out=out))  # noqa: B023 called here
    rates["int8"] = operations / best_seconds(kernel) if (kernel := _int8_product(threads)) else 0.0
    return rates


def _multiplies_bf16() -> bool:
    """Whether this processor does; one that does not converts every number (1 against 87 Gop/s in fp32 on AVX2)."""
    import torch

    found = torch.cpu.get_capabilities()
    return found.get("architecture") != "x86_64" or any(found.get(name) for name in ("avx512_bf16", "amx_bf16"))


def _int8_product(threads: int) -> Callable[[], Any] | None:
    """u8 x s8 by ONNX Runtime, its right side a stored matrix as weights are; None without it."""
    try:
        import numpy as np
        from onnx import TensorProto, helper, numpy_helper
        from onnxruntime import InferenceSession, SessionOptions
    except ImportError:
        return None
    chance = np.random.default_rng(0)
    weights = numpy_helper.from_array(chance.integers(-127, 128, (SIZE, SIZE), dtype=np.int8), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [SIZE, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [SIZE, SIZE])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = SessionOptions()
    options.intra_op_num_threads = threads
    session = InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"x": chance.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)}
    return lambda: session.run(None, feed)


def _bandwidth() -> float:
    """Bytes a second of the fastest of copy, triad and sum."""
    import torch

    a, b, c = (torch.ones(ARRAY_BYTES // 4) for _ in range(3))
    with torch.inference_mode():
        seconds = (
            best_seconds(lambda: a.copy_(b)) / 2,
            best_seconds(lambda: torch.add(b, c, alpha=3.0, out=a)) / 3,
            best_seconds(b.sum),
        )
    return ARRAY_BYTES / min(seconds)


def main(arguments: list[str]) -> None:
    """Measure with `arguments` = [threads, comma-separated CPUs] and print a `Rates` as JSON."""
    threads, cpus = int(arguments[0]), arguments[1]
    if cpus:
        os.sched_setaffinity(0, [int(cpu) for cpu in cpus.split(",")])
    rates = _products(threads)
    print(json.dumps({"threads": threads, **rates, "bandwidth": _bandwidth(), "cache_bytes": largest_cache()}))


if __name__ == "__main__":
    main(sys.argv[1:])
