"""How much faster than ONNX Runtime are millis' own kernels? Same weights, requests of some lengths, in turns.

    python benchmarks/native.py [layers=2,3,6] [tokens=6,8,11,16,32,64,128] [rounds=40] [sets=avx512_vnni,avx2]

Weights are untrained, for latency does not depend on them: MiniLM's shape, 384 wide, with some of its layers. In each
round every runtime answers the same request a few times in a row, in an order that is drawn anew; the first answer
after another runtime's is not counted. What is told is the median over rounds of each round's best: end to end (text
to answer), and in brackets the compute part alone; and the median of the rounds' ratios to ONNX Runtime's int8, end to
end. One thread. `sets` also runs slower instruction sets of the processor, as older ones would have them.
"""

import os
import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

import torch
from results import Table

from millis import models
from millis.backends.artifact import write_artifact
from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime
from millis.backends.plan.library import FORCED
from millis.data.bundled import Bundled
from millis.models.load import Packaged
from millis.models.outputs import LOGITS
from millis.models.student import TransformerStudent
from millis.quantization.spec import Quantization
from millis.serving.one_pass import Runner
from millis.serving.runner import load
from millis.storage.manifest import Manifest
from millis.tasks.classification import Classification
from millis.types import Output

REFERENCE = "onnxruntime int8"
IN_A_ROW = 5
VARIANTS = {
    REFERENCE: (OnnxRuntime(), Quantization()),
    "onnxruntime fp32": (OnnxRuntime(), None),
    "native int8": (Native(), Quantization()),
    "native fp32": (Native(), None),
    "native bf16": (Native("bf16"), None),
}
WIDE = replace(Quantization(), reduce_range=False)
NARROW = replace(Quantization(), reduce_range=True)


def main() -> None:
    settings = dict(argument.split("=") for argument in sys.argv[1:])
    layers = [int(count) for count in settings.get("layers", "2,3,6").split(",")]
    tokens = [int(count) for count in settings.get("tokens", "6,8,11,16,32,64,128").split(",")]
    sets = settings.get("sets", "avx512_vnni,avx2").split(",")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        for count in layers:
            runners = load_all(Path(scratch) / str(count), count, sets)
            with Table("tokens", *runners, title=f"{count} layers x 384, ms end to end (compute), x ORT int8") as table:
                for length in tokens:
                    times = measure(runners, " ".join(["order"] * (length - 2)), int(settings.get("rounds", "40")))
                    table.row(str(length), *(told(times, name) for name in runners))


def load_all(folder: Path, layers: int, sets: list[str]) -> dict[str, Runner]:
    """Every variant's runner; native ones once for each instruction set."""
    made, runners = untrained(layers), {}
    for name, (backend, quantization) in VARIANTS.items():
        narrow = [("", quantization)]
        if backend.name == "native":
            narrow = [(f" {one}", quantization and (NARROW if one == "avx2" else WIDE)) for one in sets]
        for suffix, grid in narrow:
            os.environ[FORCED] = suffix.strip()
            runners[f"{name}{suffix}"] = load(made(folder, f"{name}{suffix}", backend, grid))
    return runners


def untrained(layers: int) -> Callable[..., Path]:
    """Writes a model of MiniLM's shape with so many layers and fresh weights as an artifact, and says where.

    It is called with a folder, the artifact's name, a backend and a quantization.
    """
    dataset = Bundled()()
    teacher, tokenizer = Packaged()((Output(LOGITS, "text", len(dataset.labels)),), dataset.train.texts)
    torch.manual_seed(0)
    spec = teacher.spec if layers == 6 else TransformerStudent(layers=layers).spec(teacher.spec)
    model, task = models.build(spec), Classification(labels=dataset.labels)

    def made(folder: Path, name: str, backend: Any, quantization: Quantization | None) -> Path:
        target = folder / name.replace(" ", "-")
        manifest = Manifest(name, backend.name, spec, task.described(), ("input_ids", "attention_mask"), 128)
        write_artifact(target, model, tokenizer, backend, manifest, quantization)
        return target

    return made


def measure(runners: dict[str, Runner], text: str, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Name → each round's best, ms: end to end, and the compute part."""
    features = {name: runner.feed(runner.tokenize(text)) for name, runner in runners.items()}
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in runners}
    order = list(runners)
    for turn in range(rounds + 2):
        random.Random(turn).shuffle(order)
        for name in order:
            whole = best(runners[name].predict, text)
            compute = best(runners[name].compute, features[name])
            if turn >= 2:
                found[name][0].append(whole)
                found[name][1].append(compute)
    return found


def best(call: Callable[[Any], Any], given: Any) -> float:
    times = []
    call(given)
    for _ in range(IN_A_ROW):
        start = perf_counter_ns()
        call(given)
        times.append((perf_counter_ns() - start) / 1e6)
    return min(times)


def told(times: dict[str, tuple[list[float], list[float]]], name: str) -> str:
    whole, compute = times[name]
    ratio = median(theirs / ours for theirs, ours in zip(times[REFERENCE][0], whole, strict=True))
    return f"{median(whole):.3f} ({median(compute):.3f}), {ratio:.2f}x"


if __name__ == "__main__":
    main()
