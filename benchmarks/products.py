"""Own kernels or a library's? u8 x s8 products of a small encoder's layers, one thread, in turns, weights not in cache.

    python benchmarks/products.py LIBDNNL [rounds=30] [rows=1,6,11,16,32,64,128]

LIBDNNL is oneDNN's library: `libdnnl.so.3` of the package onednn-cpu-gomp. With DNNL_MAX_CPU_ISA=AVX2 in the
environment it takes the kernels of a processor with AVX2 alone, which is what millis' avx2 columns compare with.
Weights are of 7 bits, so that no sum saturates anywhere; "16 bits" is millis' path for 8 bits on AVX2. Twelve matrices
take turns, as layers do, 1.8 to 7 MB of them. Cells: microseconds a product, tenth percentile over the rounds, and
Gop/s; some 1.5 µs of millis' are ctypes', which passes it 15 arguments.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results import Table

from millis.backends.plan import library, packing

SHAPES = ((384, 384), (384, 1152), (384, 1536), (1536, 384))  # inputs, outputs
MATRICES = 12
OPERATIONS = 3e7  # a measurement repeats until it has done so many
ANY, ROWS, VECTOR = 1, 3, 2  # oneDNN's names of layouts ...
F32, S32, S8, U8 = 3, 4, 5, 6  # ... and of types
SRC, DST, WEIGHTS, BIAS, SCALES, ZERO_POINTS = 1, 17, 33, 41, 4096, 8192
WEIGHTS_LAYOUT = 131
ALLOCATE = ctypes.c_void_p(-1)
Call = Callable[[], None]


def main() -> None:
    settings = dict(argument.split("=") for argument in sys.argv[1:] if "=" in argument)
    (path,) = [argument for argument in sys.argv[1:] if "=" not in argument]
    one = OneDnn(path)
    rounds, counts = int(settings.get("rounds", "30")), settings.get("rows", "1,6,11,16,32,64,128").split(",")
    title = f"u8 x s8, oneDNN with DNNL_MAX_CPU_ISA={os.environ.get('DNNL_MAX_CPU_ISA', 'the best')}"
    columns = ("inputs x outputs", "rows", "oneDNN", "avx512_vnni", "avx2", "avx2, 16 bits")
    with Table(*columns, title=title) as table:
        for inputs, outputs in SHAPES:
            for rows in map(int, counts):
                chance = np.random.default_rng(0)
                weights = chance.integers(-64, 65, (MATRICES, outputs, inputs)).astype(np.int8)
                given = chance.integers(0, 256, (rows, inputs)).astype(np.uint8)
                calls = {
                    "oneDNN": one.product(given, weights),
                    "avx512_vnni": own(2, given, weights, wide=False),
                    "avx2": own(1, given, weights, wide=False),
                    "16 bits": own(1, given, weights, wide=True),
                }
                operations = 2 * rows * inputs * outputs
                taken = measured(list(calls.values()), rounds, max(2, int(OPERATIONS / operations)))
                table.row(
                    f"{inputs} x {outputs}", str(rows), *(f"{us:.1f} ({operations / us / 1e3:.0f})" for us in taken)
                )


def measured(calls: list[Call], rounds: int, repeats: int) -> list[float]:
    """Microseconds of each, tenth percentile."""
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, times in zip(calls, found, strict=True):
            start = perf_counter_ns()
            for _ in range(repeats):
                call()
            times.append((perf_counter_ns() - start) / 1e3 / repeats)
    return [float(np.percentile(times, 10)) for times in found]


def own(number: int, given: NDArray[np.uint8], weights: NDArray[np.int8], wide: bool) -> Call:
    """millis' product of one instruction set; of those that are not here, nothing."""
    rows, inputs = given.shape
    outputs = weights.shape[1]
    packed = [packing.integer_panels(one) for one in weights]
    sums = weights[0].sum(axis=1, dtype=np.int32)
    steps, zeros = np.ones(rows, np.float32), np.full(rows, 3, np.int32)
    scales, bias = np.ones(outputs, np.float32), np.zeros(outputs, np.float32)
    results = np.empty((rows, outputs), np.float32)
    shared = [at(array) for array in (given, steps, zeros, scales, sums, bias, results)]
    rows_at, steps_at, zeros_at, *rest, results_at = (ctypes.c_void_p(address) for address in shared)
    sizes = [ctypes.c_int64(size) for size in (inputs, rows, inputs, outputs)]
    arguments = [
        (
            ctypes.c_int(number), rows_at, sizes[0], steps_at, zeros_at, *sizes[1:], ctypes.c_void_p(at(one)), *rest,
            ctypes.c_int(wide), results_at, sizes[3],
        )
        for one in packed
    ]  # fmt: skip
    multiply = ctypes.CDLL(str(library.PATH)).millis_multiply
    kept, turn = (given, packed, sums, steps, zeros, scales, bias, results), 0

    def call() -> None:
        nonlocal turn
        turn = (turn + 1) % len(packed)
        multiply(*arguments[turn])
        assert kept

    return call if library.load().millis_has(number) else lambda: None


def at(array: Any) -> int:
    """Of an array's first number."""
    return int(array.__array_interface__["data"][0])


class Argument(ctypes.Structure):
    """oneDNN's `dnnl_exec_arg_t`."""

    _fields_ = (("arg", ctypes.c_int), ("memory", ctypes.c_void_p))


class OneDnn:
    """As much of oneDNN's C interface as a product takes.

    Args:
        path: Of the library.
    """

    def __init__(self, path: str) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        self._library = ctypes.CDLL(path)
        self._engine = self._made("dnnl_engine_create", ctypes.c_int(1), ctypes.c_size_t(0))
        self._stream = self._made("dnnl_stream_create", self._engine, ctypes.c_uint(1))

    def product(self, given: NDArray[np.uint8], weights: NDArray[np.int8]) -> Call:
        """u8 [M, K] times the matrices [12, N, K], with a scale a channel, a zero point and a bias, in fp32."""
        (rows, inputs), outputs = given.shape, weights.shape[1]
        bias, results = np.zeros(outputs, np.float32), np.empty((rows, outputs), np.float32)
        step, scales, zero = np.ones(1, np.float32), np.ones(outputs, np.float32), np.full(1, 3, np.int32)
        attributes = self._made("dnnl_primitive_attr_create")
        for function, argument, mask in (("scales", WEIGHTS, 2), ("scales", SRC, 0), ("zero_points", SRC, 0)):
            self._call(f"dnnl_primitive_attr_set_{function}_mask", attributes, argument, mask)
        src, dst = self._layout((rows, inputs), U8, ROWS), self._layout((rows, outputs), F32, ROWS)
        described = self._made(
            "dnnl_matmul_primitive_desc_create", self._engine, src, self._layout((inputs, outputs), S8, ANY),
            self._layout((1, outputs), F32, ROWS), dst, attributes,
        )  # fmt: skip
        primitive = self._made("dnnl_primitive_create", described)
        query = self._library.dnnl_primitive_desc_query_md
        query.restype = ctypes.c_void_p
        layout = ctypes.c_void_p(query(described, WEIGHTS_LAYOUT, 0))
        usual = [
            (SRC, self._memory(src, given)), (BIAS, self._memory(self._layout((1, outputs), F32, ROWS), bias)),
            (DST, self._memory(dst, results)),
            (SCALES | SRC, self._memory(self._layout((1,), F32, VECTOR), step)),
            (SCALES | WEIGHTS, self._memory(self._layout((outputs,), F32, VECTOR), scales)),
            (ZERO_POINTS | SRC, self._memory(self._layout((1,), S32, VECTOR), zero)),
        ]  # fmt: skip
        arguments = [
            self._arguments([*usual, (WEIGHTS, self._packed(np.ascontiguousarray(one.T), layout))]) for one in weights
        ]
        kept, turn = (given, bias, results, step, scales, zero), 0
        execute = self._library.dnnl_primitive_execute

        def call() -> None:
            nonlocal turn
            turn = (turn + 1) % len(arguments)
            assert execute(primitive, self._stream, len(usual) + 1, arguments[turn]) == 0 and kept

        return call

    def _packed(self, matrix: NDArray[np.int8], layout: Any) -> Any:
        """A matrix [K, N] in the layout that the product wants."""
        plain = self._layout(matrix.shape, S8, ROWS)
        described = self._made("dnnl_reorder_primitive_desc_create", plain, self._engine, layout, self._engine, None)
        found = self._made("dnnl_memory_create", layout, self._engine, ALLOCATE)
        arguments = self._arguments([(SRC, self._memory(plain, matrix)), (DST, found)])
        self._call("dnnl_primitive_execute", self._made("dnnl_primitive_create", described), self._stream, 2, arguments)
        return found

    def _layout(self, shape: tuple[int, ...], kind: int, order: int) -> Any:
        sizes = (ctypes.c_int64 * len(shape))(*shape)
        return self._made("dnnl_memory_desc_create_with_tag", len(shape), sizes, kind, order)

    def _memory(self, layout: Any, array: NDArray[Any]) -> Any:
        return self._made("dnnl_memory_create", layout, self._engine, ctypes.c_void_p(at(array)))

    @staticmethod
    def _arguments(pairs: list[tuple[int, Any]]) -> Any:
        return (Argument * len(pairs))(*(Argument(number, memory.value) for number, memory in pairs))

    def _made(self, function: str, *arguments: Any) -> Any:
        """What a function of oneDNN makes, which it hands out through its first argument."""
        made = ctypes.c_void_p()
        self._call(function, ctypes.byref(made), *arguments)
        return made

    def _call(self, function: str, *arguments: Any) -> None:
        if code := getattr(self._library, function)(*arguments):
            raise RuntimeError(f"oneDNN's {function} says {code}")


if __name__ == "__main__":
    main()
