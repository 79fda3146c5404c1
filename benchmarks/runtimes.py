"""Which runtime is fastest here? Every runtime and kind of integers, two models, some thread counts, each in one run.

    python benchmarks/runtimes.py [FOLDER] [threads=1,2] [skip=NAME,NAME] [key=value of the benchmark's options ...]

Latency does not depend on what weights hold, so the models are untrained: all-MiniLM-L6-v2 with a fresh head, and a
student of two of its layers. Ratios are to eager fp32 of the same model, in the same interleaved run. Artifacts are
kept in FOLDER, where one is given, and those that lie there are used.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from results import Table

from millis import models
from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.backends.inductor import Inductor
from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime
from millis.backends.openvino import OpenVino
from millis.benchmark.latency import Options
from millis.benchmark.where import measure
from millis.data.bundled import Bundled
from millis.errors import MillisError
from millis.models.load import Packaged
from millis.models.spec import Spec
from millis.models.student import TransformerStudent
from millis.quantization.spec import Calibration, Quantization
from millis.serving.runner import load
from millis.storage.manifest import Manifest
from millis.tasks.classification import Classification
from millis.types import Features

CALIBRATION = Calibration()
DYNAMIC = Quantization()
STATIC = Quantization(activations="static", calibration=CALIBRATION)
BLOCKS = Quantization(activations="none", block_size=32)
VARIANTS = {
    "eager fp32": (Eager(), None),
    "eager int8": (Eager(), DYNAMIC),
    "inductor fp32": (Inductor(), None),
    "inductor bf16": (Inductor(precision="bf16"), None),
    "onnxruntime fp32": (OnnxRuntime(), None),
    "onnxruntime int8": (OnnxRuntime(), DYNAMIC),
    "onnxruntime int8 static": (OnnxRuntime(), STATIC),
    "onnxruntime int8 weights": (OnnxRuntime(), BLOCKS),
    "native fp32": (Native(), None),
    "native int8": (Native(), DYNAMIC),
    "openvino fp32": (OpenVino(), None),
    "openvino bf16": (OpenVino(precision="bf16"), None),
    "openvino int8": (OpenVino(), DYNAMIC),
    "openvino int8 static": (OpenVino(), STATIC),
    "openvino int8 weights": (OpenVino(), BLOCKS),
}
REFERENCE = "eager fp32"


def main() -> None:
    settings = dict(argument.split("=") for argument in sys.argv[1:] if "=" in argument)
    threads = [int(count) for count in settings.pop("threads", "1,2").split(",")]
    for skipped in filter(None, settings.pop("skip", "").split(",")):
        del VARIANTS[skipped]
    options = Options(**{name: type(getattr(Options(), name))(value) for name, value in settings.items()})
    named = [argument for argument in sys.argv[1:] if "=" not in argument]
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(named[0] if named else scratch)
        texts = Bundled()().test.texts
        for model, spec in specs().items():
            for count in threads:
                folders = write_artifacts(root / model.replace(" ", "-"), spec, count)
                measured = measure(folders, texts, REFERENCE, replace(options, threads=count))
                show(f"{model}, threads={count}", measured)


def specs() -> dict[str, Spec]:
    dataset = Bundled()()
    teacher, _ = Packaged()(Classification(labels=dataset.labels).outputs, dataset.train.texts)
    return {"all-MiniLM-L6-v2": teacher.spec, "2 layers": TransformerStudent(layers=2).spec(teacher.spec)}


def write_artifacts(folder: Path, spec: Spec, threads: int) -> dict[str, Path]:
    """Variant → artifact, for those that can be made on this machine."""
    dataset = Bundled()()
    _, tokenizer = Packaged()(Classification(labels=dataset.labels).outputs, dataset.train.texts)
    model, folders, task = models.build(spec), {}, Classification(labels=dataset.labels)
    for name, (usual, quantization) in VARIANTS.items():
        compiled = isinstance(usual, Inductor)  # for a number of threads
        backend = replace(usual, threads=threads) if compiled else usual
        file = name.replace(" ", "-") + (f"-{threads}" if compiled else "")
        manifest = Manifest(name, backend.name, spec, task.described(), ("input_ids", "attention_mask"), 128)
        target = folder / file
        try:
            if lacking := backend.missing():
                raise MillisError(lacking)
            if not target.is_dir():
                texts = calibration_texts(folders[REFERENCE], dataset.train.texts) if quantization else []
                write_artifact(target, model, tokenizer, backend, manifest, quantization, texts)
            folders[name] = target
        except MillisError as error:
            print(f"{name} is left out: {error}")
    return folders


def calibration_texts(artifact: Path, texts: list[str]) -> list[Features]:
    runner = load(artifact, trust_code=True)
    return [runner.feed(runner.tokenize(text)) for text in texts[: CALIBRATION.texts]]


def show(title: str, measured: dict) -> None:
    with Table("runtime", "p50 ms", "compute ms", "× eager", "95 %", "MB", "cold start ms", title=title) as table:
        for name, found in measured.items():
            numbers, (low, high) = found.metrics, found.intervals["speedup"]
            table.row(
                name,
                f"{numbers['latency_p50_ms']:.3f}",
                f"{numbers['compute_p50_ms']:.3f}",
                f"{numbers['speedup']:.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{numbers['size_bytes'] / 1e6:.1f}",
                f"{numbers['cold_start_ms']:.0f}",
            )
    for note in dict.fromkeys(note for found in measured.values() for note in found.notes):
        print(f"note: {note}")


if __name__ == "__main__":
    main()
