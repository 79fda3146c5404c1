"""Is a runtime faster where it knows the length? Free axes against fixed ones, and a bucket with its padding.

    python benchmarks/shapes.py ARTIFACT [rounds=200]

ARTIFACT holds an ONNX graph (backend=onnxruntime). It is opened by ONNX Runtime and by OpenVINO: as it is, with batch
and length fixed to those of the request, and fixed to the bucket (the next multiple of 16) that the request is padded
to. The three take turns, a round at a time; the ratio is that of medians, above 1 is faster than free axes at the
request's own length.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
from results import Table

LENGTHS = (6, 12, 24, 40)
BUCKET = 16
SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    "INFERENCE_NUM_THREADS": 1,
    "INFERENCE_PRECISION_HINT": "f32",
}  # as millis opens graphs


def main() -> None:
    settings = dict(argument.split("=") for argument in sys.argv[1:] if "=" in argument)
    (folder,) = [argument for argument in sys.argv[1:] if "=" not in argument]
    graph = onnx.load(str(Path(folder) / "model.onnx"))
    with Table("runtime", "tokens", "free ms", "fixed ×", "bucket ×") as table:
        for runtime, opened in {"onnxruntime": onnx_runtime, "openvino": open_vino}.items():
            for length in LENGTHS:
                bucket = -(-length // BUCKET) * BUCKET
                ways = {
                    "free": opened(graph, None, length, length),
                    "fixed": opened(graph, length, length, length),
                    "bucket": opened(graph, bucket, length, bucket),
                }
                free, fixed, padded = medians(ways, int(settings.get("rounds", 200))).values()
                table.row(runtime, str(length), f"{free:.3f}", f"{free / fixed:.2f}", f"{free / padded:.2f}")


def onnx_runtime(graph: Any, fixed: int | None, tokens: int, length: int) -> Callable[[], Any]:
    """Answers one request of `tokens` tokens padded to `length`, with the graph's axes fixed to `fixed`, or free."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with TemporaryDirectory() as scratch:
        path = written(graph, fixed, Path(scratch))
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds = request(graph, tokens, length)
    return lambda: session.run(None, feeds)


def open_vino(graph: Any, fixed: int | None, tokens: int, length: int) -> Callable[[], Any]:
    """As `onnx_runtime`."""
    with TemporaryDirectory() as scratch:
        model = openvino.Core().read_model(written(graph, None, Path(scratch)))
        if fixed is not None:
            model.reshape({port: [1, fixed] for port in model.inputs})
        compiled = openvino.Core().compile_model(model, "CPU", SETTINGS)
    answer = compiled.create_infer_request()
    feeds = request(graph, tokens, length)
    return lambda: answer.infer(feeds, share_inputs=True)


def written(graph: Any, fixed: int | None, folder: Path) -> Path:
    """The graph in a file, its batch 1 and its length `fixed` where that is given."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    if fixed is not None:
        for value in copy.graph.input:
            for axis, size in zip(value.type.tensor_type.shape.dim, (1, fixed), strict=True):
                axis.dim_value = size
    path = folder / "model.onnx"
    onnx.save(copy, str(path))
    return path


def request(graph: Any, tokens: int, length: int) -> dict[str, Any]:
    """One text of `tokens` tokens, padded to `length`."""
    ids = np.zeros((1, length), np.int64)
    ids[0, :tokens] = np.arange(1000, 1000 + tokens)
    values = {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64), "token_type_ids": np.zeros_like(ids)}
    return {value.name: values[value.name] for value in graph.graph.input}


def medians(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Way → median milliseconds of one answer."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, answer in ways.items():
            answer()  # what the others left in the caches is not this one's fault
            begun = time.perf_counter()
            answer()
            times[name].append(1e3 * (time.perf_counter() - begun))
    return {name: float(np.median(found)) for name, found in times.items()}


if __name__ == "__main__":
    main()
