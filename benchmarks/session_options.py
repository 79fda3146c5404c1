"""What could make ONNX Runtime faster or slower: fused operators, PyTorch's fused attention, session options.

    python benchmarks/session_options.py [rounds]

all-MiniLM-L6-v2 with a fresh head on one thread, in one process: candidates take turns in rounds over the same texts,
and what is compared is the median over rounds of the ratio to `OnnxRuntime` as it is, for fp32 and for dynamic int8.
Time in which another process had the CPU is not counted.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter_ns
from unittest.mock import patch

import onnx
from onnxruntime import ExecutionMode, InferenceSession, SessionOptions
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from results import Table

from millis.backends.onnx import export as exports
from millis.backends.onnx.session import OnnxSession, open_session
from millis.data.bundled import Bundled
from millis.models.load import Packaged
from millis.quantization.spec import Quantization
from millis.serving.one_pass import Runner
from millis.serving.reader import Reader
from millis.storage.manifest import Manifest
from millis.tasks.classification import Classification
from millis.types import Features, Session, Signature
from millis.waiting import waited_ns

REQUESTS = 10  # a round


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    dataset = Bundled()()
    teacher, tokenizer = Packaged()(Classification(labels=dataset.labels).outputs, dataset.train.texts)
    task = Classification(labels=dataset.labels)
    manifest = Manifest("", "onnxruntime", teacher.spec, task.described(), ("input_ids", "attention_mask"), 128)
    with tempfile.TemporaryDirectory() as scratch:
        graphs, fused = write_graphs(teacher, manifest.signature, Path(scratch))
        print(f"fused operators: {fused}")
        for kind in ("fp32", "int8"):
            found = sessions(graphs, kind)
            runner = Runner(manifest, Reader(manifest, tokenizer), next(iter(found.values())))
            requests = [runner.feed(runner.tokenize(text)) for text in dataset.test.texts[:200]]
            show(kind, compare(found, requests, rounds))


def write_graphs(model: object, signature: Signature, folder: Path) -> tuple[dict[str, Path], dict[str, int]]:
    graphs = {name: folder / f"{name.replace(' ', '-')}.onnx" for name in ("fp32", "int8", "sdpa fp32", "sdpa int8")}
    for prefix, attention in (("", exports.spelled_out), ("sdpa ", lambda _: nullcontext())):
        with patch.object(exports, "spelled_out", attention):
            exports.export(model, graphs[f"{prefix}fp32"], signature, None)
            exports.export(model, graphs[f"{prefix}int8"], signature, Quantization())
    config = model.spec.encoder
    fused = optimizer.optimize_model(
        str(graphs["fp32"]),
        model_type="bert",
        num_heads=config["num_attention_heads"],  # without these two no attention is fused
        hidden_size=config["hidden_size"],
        opt_level=0,
    )
    graphs |= {"fused fp32": folder / "fused-fp32.onnx", "fused int8": folder / "fused-int8.onnx"}
    fused.save_model_to_file(str(graphs["fused fp32"]))
    quantize_dynamic(
        graphs["fused fp32"], graphs["fused int8"], per_channel=True, weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )  # fmt: skip
    return graphs, {name: count for name, count in fused.get_fused_operator_statistics().items() if count}


def sessions(graphs: Mapping[str, Path], kind: str) -> dict[str, Session]:
    plain = graphs[kind]
    return {
        "OnnxRuntime": open_session(plain, 1),
        "exported with SDPA": open_session(graphs[f"sdpa {kind}"], 1),
        "fused by onnxruntime.transformers": open_session(graphs[f"fused {kind}"], 1),
        "without memory arena": opened(plain, enable_cpu_mem_arena=False),
        "without memory pattern": opened(plain, enable_mem_pattern=False),
        "denormals as zero": opened(plain, {"session.set_denormal_as_zero": "1"}),
        "without prepacked weights": opened(plain, {"session.disable_prepacking": "1"}),
        "operators in parallel": opened(plain, execution_mode=ExecutionMode.ORT_PARALLEL, inter_op_num_threads=2),
    }


def opened(path: Path, entries: Mapping[str, str] = {}, **attributes: object) -> Session:
    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    for name, value in attributes.items():
        setattr(options, name, value)
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    return OnnxSession(InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))


def compare(found: Mapping[str, Session], requests: list[Features], rounds: int) -> dict[str, tuple[float, float]]:
    """Name → (median milliseconds, median over rounds of the first one's median / this one's)."""
    chance, medians = Random(0), {name: [] for name in found}
    for turn in range(rounds + 1):
        texts = chance.sample(requests, REQUESTS)
        for name in chance.sample(list(found), len(found)):
            taken = [milliseconds(found[name], features) for features in [*texts[:2], *texts]][2:]
            if turn:  # the first round warms up
                medians[name].append(median(taken))
    first = next(iter(medians.values()))
    return {
        name: (median(own), median(a / b for a, b in zip(first, own, strict=True))) for name, own in medians.items()
    }


def milliseconds(call: Callable[[Features], object], features: Features) -> float:
    waited, start = waited_ns(), perf_counter_ns()
    call(features)
    return (perf_counter_ns() - start - (waited_ns() - waited)) / 1e6


def show(kind: str, rows: Mapping[str, tuple[float, float]]) -> None:
    with Table(kind, "ms", "× OnnxRuntime", title=kind) as table:
        for name, (spent, ratio) in rows.items():
            table.row(name, f"{spent:.2f}", f"{ratio:.2f}")


if __name__ == "__main__":
    main()
