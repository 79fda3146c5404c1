"""How near training comes to what the machine can: padding in its batches, and where the time of a step goes.

    python benchmarks/steps.py FOLDER ... [batches=60] [key=value ...]

Each folder is a data set as `data=local` reads it; `bundled` is the one that millis ships, whose two-layer student is
timed. One thread, its CPU time, so that other processes count for little; the three ways take turns, medians of three.

- `trained`: as `millis compress` trains; `bare`: the same steps in a loop of its own, without Lightning;
- `products`: the linear layers' matrix products of the same batches alone, forward and backward.

`share` is of the machine's rate in products of 1024 x 1024 (`millis.benchmark.rates`), by the operations of the linear
layers over padded batches.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from time import thread_time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from recipes import divided
from results import Table

from millis.benchmark.rates import SIZE, best_seconds
from millis.cli.hydra_app import composed
from millis.cli.recipes import inputs_of, run_of
from millis.data.batches import LengthBuckets, Rows, model_inputs
from millis.data.encode import encodings
from millis.distillation.contract import Pair
from millis.models import anatomy
from millis.models.load import Packaged
from millis.models.outputs import LOGITS, each
from millis.models.tokenizer import pad_id
from millis.pipeline.initial_student import initial_student
from millis.pipeline.lesson import Lesson
from millis.training.fit import seed_everything
from millis.training.module import TextModule
from millis.training.teaching import teaching
from millis.types import Output

BATCH = 32
FIRST = 10  # steps that warm up
TURNS = 3
LONGEST = 128


def main() -> int:
    own, arguments = divided(sys.argv[1:], {"batches": "60"})
    folders = [argument for argument in arguments if "=" not in argument]
    overrides = [argument for argument in arguments if "=" in argument]
    torch.set_num_threads(1)
    heads = ("rows", "tokens", "longest", "padding", "random batches", "sorted wholly")
    with Table("data", *heads, title=f"padding, share of tokens in batches of {BATCH}") as table:
        for folder in folders:
            lengths = lengths_of([] if folder == "bundled" else ["data=local", f"data.path={folder}"])
            order = np.random.default_rng(0).permutation(len(lengths))
            ways = [np.array(batch) for batch in LengthBuckets(lengths, BATCH, 0)], cut(order), cut(np.argsort(lengths))
            shares = (f"{padding(lengths, way):.1%}" for way in ways)
            table.row(Path(folder).name, f"{len(lengths):,}", f"{lengths.mean():.1f}", str(lengths.max()), *shares)
    if "bundled" in folders:
        with Table("step", "ms", "share", title="bundled, two layers of 384, fp32, one thread") as table:
            for name, seconds, share in timed(overrides, int(own["batches"])):
                table.row(name, f"{1e3 * seconds:.0f}", f"{share:.0%}")
    return 0


def lengths_of(data: Sequence[str]) -> NDArray[np.int64]:
    """Tokens of each training text under MiniLM's tokenizer, [N]."""
    dataset = inputs_of(composed("compress", ["logger=none", *data])).dataset
    texts = dataset.train.texts
    _, tokenizer = Packaged()((Output(LOGITS, "text", 2),), texts[:100])
    return np.array([len(one.ids) for one in encodings(texts, tokenizer, LONGEST, dataset.pairs)])


def cut(order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [order[begin : begin + BATCH] for begin in range(0, len(order), BATCH)]


def padding(lengths: NDArray[np.int64], batches: Sequence[NDArray[np.int64]]) -> float:
    """Share of the tokens in padded batches that are padding."""
    computed = sum(len(batch) * lengths[batch].max() for batch in batches)
    return float(1 - lengths[np.concatenate(batches)].sum() / computed)


def timed(overrides: Sequence[str], count: int) -> list[tuple[str, float, float]]:
    """(way, CPU seconds of a step, share of the rate)."""
    settings = ["logger=none", "student.layers=2", "trainer.precision=32-true", *overrides]
    steps = Steps(run_of(composed("compress", settings)), count)
    ways = {"trained": steps.trained, "bare": steps.bare, "products": steps.products}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            found[name].append(way())
    square, out = torch.randn(SIZE, SIZE), torch.empty(SIZE, SIZE)
    rate = 2.0 * SIZE**3 / best_seconds(lambda: torch.mm(square, square, out=out))
    return [(name, median(times), steps.operations() / median(times) / rate) for name, times in found.items()]


class Clock(pl.Callback):
    """CPU seconds of a step, once it is warm."""

    def __init__(self, count: int) -> None:
        self.count, self.began, self.seconds = count, 0.0, 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == FIRST:
            self.began = thread_time()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.count - 1:
            self.seconds = (thread_time() - self.began) / (self.count - FIRST)


class Steps:
    """The first steps of a student's training."""

    def __init__(self, run: Any, count: int) -> None:
        seed_everything(0)
        self.run, self.count = run, count
        self.model, tokenizer = initial_student(run)
        lesson = Lesson.of(run, tokenizer)
        self.rows = Rows(run.teacher.encoded(lesson.texts, tokenizer), pad_id(tokenizer))
        self.validation = run.teacher.encoded(run.teacher.inputs.dataset.validation, tokenizer)
        pair = Pair(self.model, run.teacher.module, self.rows, self.rows)
        self.objective = run.recipe.distillation.objective(self.rows.encoded, pair)
        features = lesson._features_folder()
        self.taught = teaching(run.recipe.distillation, self.objective, pair, features, lesson.logits).callbacks
        self.batches = list(LengthBuckets(self.rows.encoded.lengths, BATCH, 0))[:count]

    def sizes(self) -> list[int]:
        """Tokens of each batch, padding included."""
        return [len(batch) * int(self.rows.encoded.lengths[batch].max()) for batch in self.batches[FIRST:]]

    @property
    def width(self) -> tuple[int, int, int]:
        """Layers, channels and neurons."""
        spec = self.model.spec
        return len(spec.known_shape.ffn), anatomy.hidden_size(spec), spec.known_shape.ffn[0]

    def operations(self) -> float:
        """Of the linear layers in a step: two for each weight and token, forward and twice backward."""
        layers, hidden, neurons = self.width
        return 6.0 * layers * (4 * hidden**2 + 2 * hidden * neurons) * mean(self.sizes())

    def trained(self) -> float:
        """CPU seconds of a step in Lightning."""
        clock, inputs = Clock(self.count), self.run.teacher.inputs
        module = TextModule(self.model, self.objective, self.run.recipe.optimizer, inputs.validation_score)
        flags = {"limit_train_batches": self.count, "limit_val_batches": 1}
        fit = replace(self.run.recipe.trainer, max_epochs=1, flags=flags)
        with tempfile.TemporaryDirectory() as folder:
            fit(module, self.rows.encoded, self.validation, self.rows.pad_id, folder=Path(folder), seed=0,
                title="steps", callbacks=[*self.taught, clock])  # fmt: skip
        return clock.seconds

    def bare(self) -> float:
        """CPU seconds of the same steps in a loop."""
        self.model.train()
        optimizer, _ = self.run.recipe.optimizer(self.model, 1000)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        module: Any = SimpleNamespace(device=torch.device("cpu"))
        for number, rows in enumerate(self.batches):
            if number == FIRST:
                began = thread_time()
            batch = self.rows.__getitems__(rows)
            for callback in self.taught:
                callback.on_train_batch_start(None, module, batch)
            loss, _ = self.objective(each(self.model(**model_inputs(batch))), batch, 0.5)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return (thread_time() - began) / (self.count - FIRST)

    def products(self) -> float:
        """CPU seconds of the linear layers' products alone."""
        layers, hidden, neurons = self.width
        square, wide = torch.randn(hidden, hidden), torch.randn(hidden, neurons)
        spent = 0.0
        for tokens in self.sizes():
            narrow, broad = torch.randn(tokens, hidden), torch.randn(tokens, neurons)
            began = thread_time()
            for _ in range(layers):
                for _ in range(4):  # query, key, value and output: forward, then the gradients of input and weights
                    _ = narrow @ square, narrow @ square, narrow.T @ narrow
                _ = narrow @ wide, broad @ wide.T, narrow.T @ broad
                _ = broad @ wide.T, narrow @ wide, broad.T @ narrow
            spent += thread_time() - began
        return spent / (self.count - FIRST)


if __name__ == "__main__":
    sys.exit(main())
