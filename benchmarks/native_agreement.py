"""Do millis' own integers agree with fp32 at least as often as ONNX Runtime's? Same weights, same texts.

    python benchmarks/native_agreement.py FOLDER [FOLDER ...] [train=6000] [test=2000]

FOLDERs are data sets as `data=local` reads them. The model is all-MiniLM-L6-v2 with a head fitted to its vectors by
ridge regression: nothing is trained through, so that margins are small and rounding shows. Of each runtime: the share
of test texts with the label that eager fp32 gives them, and the mean cosine of the logits, less their mean over the
labels, to eager's. `7 bits` are the weights that processors without VNNI get.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from results import Table

from millis.backends.artifact import write_artifact
from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime
from millis.data.dataset import Dataset, Split
from millis.data.local import Local
from millis.models.load import Packaged
from millis.models.outputs import LOGITS
from millis.quantization.spec import Quantization
from millis.serving.one_pass import Runner
from millis.serving.runner import load
from millis.storage.manifest import Manifest
from millis.tasks.classification import Classification
from millis.types import Features, Output

LENGTH = 128
PENALTY = 1.0
VARIANTS: dict[str, tuple[Any, Quantization | None]] = {
    "native fp32": (Native(), None),
    "native bf16": (Native("bf16"), None),
    "onnxruntime int8": (OnnxRuntime(), Quantization(reduce_range=False)),
    "native int8": (Native(), Quantization(reduce_range=False)),
    "onnxruntime int8, 7 bits": (OnnxRuntime(), Quantization(reduce_range=True)),
    "native int8, 7 bits": (Native(), Quantization(reduce_range=True)),
}


def main() -> None:
    folders = [argument for argument in sys.argv[1:] if "=" not in argument]
    settings = dict(argument.split("=") for argument in sys.argv[1:] if "=" in argument)
    torch.set_num_threads(1)
    for folder in folders:
        dataset = Local(folder)()
        with tempfile.TemporaryDirectory() as scratch:
            compare(dataset, Path(scratch), int(settings.get("train", "6000")), int(settings.get("test", "2000")))


def compare(dataset: Dataset, scratch: Path, train: int, test: int) -> None:
    """One table of a data set."""
    asked = prepared(dataset, scratch, train, test)
    right = np.array(dataset.test.references[: len(asked.texts)])
    title = f"{dataset.name}, {len(asked.texts)} texts"
    with Table("runtime", "same label", "cosine", "accuracy", title=title) as table:
        expected = asked.expected
        table.row("eager fp32", "100.00 %", "1.00000", f"{100 * (expected.argmax(1) == right).mean():.2f}")
        for name, variant in VARIANTS.items():
            runner = as_artifact(scratch / name, asked.model, asked.tokenizer, dataset, *variant)
            found = runner.logits(asked.texts)
            table.row(name, *agreement(found, expected), f"{100 * (found.argmax(1) == right).mean():.2f}")


class Asked(NamedTuple):
    """A model with a fitted head, and what it says in fp32.

    Args:
        some: Training texts that the head was fitted to.
        texts: Of the test split, [N].
        expected: Logits of `texts`, [N, C].
    """

    model: Any
    tokenizer: Any
    some: Split
    texts: list[Any]
    expected: NDArray[np.float32]


def prepared(dataset: Dataset, scratch: Path, train: int, test: int) -> Asked:
    """all-MiniLM-L6-v2, its head fitted to so many training texts, asked about so many test texts."""
    model, tokenizer = Packaged()((Output(LOGITS, "text", len(dataset.labels)),), dataset.train.texts)
    model.eval()
    vectors = as_artifact(scratch / "vectors", headless(model), tokenizer, dataset, Native(), None)
    some = dataset.train.take(np.random.default_rng(0).permutation(len(dataset.train))[:train].tolist())
    fit(model, vectors.logits(some.texts), np.array(some.references), len(dataset.labels))
    texts = dataset.test.texts[:test]
    return Asked(model, tokenizer, some, texts, eager(model, vectors, texts))


def agreement(found: NDArray[np.float32], expected: NDArray[np.float32]) -> tuple[str, str]:
    """Share of the same labels, and the mean cosine."""
    same = 100 * (found.argmax(1) == expected.argmax(1)).mean()
    return f"{same:.2f} %", f"{cosine(found, expected):.5f}"


def headless(model: Any) -> Any:
    """The model whose outputs are its vectors, in place: the head is fitted afterwards."""
    size = model.head.in_features
    model.spec = replace(model.spec, outputs=(Output(LOGITS, "text", size),))
    model.head = torch.nn.Linear(size, size)
    torch.nn.init.eye_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    return model


def fit(model: Any, vectors: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> None:
    """Ridge regression of +1 for the label and -1 for others on the vectors, by its normal equations."""
    inputs = np.c_[vectors, np.ones(len(vectors))].astype(np.float64)
    targets = np.where(labels[:, None] == np.arange(classes), 1.0, -1.0)
    solved = np.linalg.solve(inputs.T @ inputs + PENALTY * np.eye(inputs.shape[1]), inputs.T @ targets)
    model.spec = replace(model.spec, outputs=(Output(LOGITS, "text", classes),))
    model.head = torch.nn.Linear(vectors.shape[1], classes)
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(solved[:-1].T))
        model.head.bias.copy_(torch.from_numpy(solved[-1]))


def eager(model: Any, runner: Runner, texts: list[Any]) -> NDArray[np.float32]:
    """Logits [N, C] of the module, one text at a time."""
    found = []
    with torch.inference_mode():
        for text in texts:
            given = [torch.from_numpy(array) for array in runner.feed(runner.tokenize(text)) if array is not None]
            found.append(model(*given).numpy())
    return np.concatenate(found)


def as_artifact(
    folder: Path,
    model: Any,
    tokenizer: Any,
    dataset: Dataset,
    backend: Any,
    quantization: Quantization | None,
    calibration: Sequence[Features] = (),
) -> Runner:
    """The model on a runtime."""
    width = model.spec.outputs[0].width
    names = dataset.labels if width == len(dataset.labels) else map(str, range(width))
    task = Classification(labels=tuple(names))
    manifest = Manifest(folder.name, backend.name, model.spec, task.described(), dataset.inputs, LENGTH)
    write_artifact(folder, model, tokenizer, backend, manifest, quantization, calibration)
    return load(folder)


def cosine(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Mean over the texts, of logits less their mean over the labels."""
    ours, theirs = (each - each.mean(axis=1, keepdims=True) for each in (found, expected))
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(((ours * theirs).sum(axis=1) / lengths).mean())


if __name__ == "__main__":
    main()
