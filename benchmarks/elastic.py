"""Elastic students against students that are trained one by one, in as much time.

    python benchmarks/elastic.py FOLDER [epochs=8] [among=7,24] [only=1,2] [seed=0] [key=value ...]

The folder is a data set as `data=local` reads it; `bundled` is the one that millis ships, of one label a text. Elastic
weights are trained for so many epochs, and every shape of `SHAPES` is cut out of them. Then each shape is trained by
itself, cut from the same teacher, for the epochs that it gets where the same time is shared out `among` so many
students that take as long as these on average (rounded up): the seven that are there, and the 24 that `study=elastic`
tries; `only` shows some of the seven. Times are those of training steps, measured in turns before anything is trained:
the clock of a shared machine favours whoever trains while it is quiet.

Prints the quality on the test split in fp32, the speed-up over the teacher in int8 on the native runtime, and the area
that students cover (`frontiers.py`). What is trained is kept, so an interrupted run goes on.
"""

import sys
import time
from collections.abc import Callable
from math import ceil, log2
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from elastic_choices import SHAPES
from frontiers import FLOOR, area
from recipes import divided
from results import Table

from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.data.batches import Rows, model_inputs
from millis.data.dataset import Split
from millis.distillation.contract import Pair
from millis.distillation.term import answer_key
from millis.models.outputs import each
from millis.pipeline.elastic import ensure_elastic, largest
from millis.pipeline.initial_student import cut
from millis.pipeline.lesson import Lesson
from millis.pipeline.measure import latency_of
from millis.pipeline.run import Run
from millis.pipeline.runtime import with_runtime
from millis.pipeline.student import ensure_student, plan
from millis.pipeline.teacher import Teacher
from millis.training.precision import bf16_pays

ROUNDS = 6
SHAPES = {**SHAPES, "4": ["student.layers=4"]}


def main() -> int:
    folder = sys.argv[1]
    own, overrides = divided(sys.argv[2:], {"epochs": "8", "among": "7,24", "only": ",".join(SHAPES), "seed": "0"})
    data = [] if folder == "bundled" else ["data=local", f"data.path={folder}"]
    common = ["logger=none", "quantization=dynamic", "teacher.seed=0", f"seed={own['seed']}", *data, *overrides]
    all_sizes = [*common, "student=elastic", f"trainer.max_epochs={own['epochs']}"]
    elastic = run_of(composed("compress", all_sizes))
    teacher = elastic.teacher
    by_itself = {name: alone(teacher, [*common, *shape]) for name, shape in SHAPES.items()}
    step_s = _steps({"elastic": _elastic_loss(elastic), **{name: _own_loss(run) for name, run in by_itself.items()}})
    spent, each_s = int(own["epochs"]) * step_s["elastic"], mean(step_s[name] for name in SHAPES)
    epochs = {among: ceil(spent / each_s / int(among)) for among in own["among"].split(",")}
    ensure_elastic(elastic)
    ways = {f"elastic, {own['epochs']} epochs": all_sizes}
    ways |= {f"1 of {n}, {some} epochs": [*common, f"trainer.max_epochs={some}"] for n, some in epochs.items()}
    best, covered = quality(teacher, teacher.module), {way: list[tuple[float, float]]() for way in ways}
    title = f"{Path(folder).name}, test {elastic.teacher.inputs.task.metric}, seed {own['seed']}"
    with Table("student", "speed-up", "step, ms", *ways, title=title) as table:
        table.row("teacher", "1.0×", "", *[f"{best:.1f}"] * len(ways))
        table.row("all sizes", "", f"{1000 * step_s['elastic']:.0f}", *[""] * len(ways))
        for name in own["only"].split(","):
            shape = SHAPES[name]
            runs = {way: alone(teacher, [*trained, *shape]) for way, trained in ways.items()}
            timed, _ = with_runtime(by_itself[name])
            speedup = latency_of(timed, plan(timed)).metrics["speedup"]
            found = {way: quality(teacher, ensure_student(run, plan(run))[0]) for way, run in runs.items()}
            for way, value in found.items():
                covered[way].append((log2(speedup), FLOOR - (best - value)))
            cells = (f"{value:.1f}" for value in found.values())
            table.row(name, f"{speedup:.1f}×", f"{1000 * step_s[name]:.0f}", *cells)
        table.row("points x doublings", "", "", *(f"{area(points):.1f}" for points in covered.values()))
    return 0


def alone(teacher: Teacher, overrides: list[str]) -> Run:
    return run_of(composed("compress", overrides), teacher)


def _elastic_loss(run: Run) -> tuple[Run, Any, Any]:
    elastic = run.recipe.elastic
    assert elastic is not None
    [stage] = elastic.stages(run.recipe.distillation.stages(), run.teacher.manifest.spec, run.recipe.seed)
    return run, largest(run, elastic), stage.distillation


def _own_loss(run: Run) -> tuple[Run, Any, Any]:
    return run, cut(run), run.recipe.distillation


def _steps(trained: dict[str, tuple[Run, Any, Any]]) -> dict[str, float]:
    """Seconds of a training step of each, the quickest of steps taken in turns: what others do makes none quicker."""
    steps = {name: _step(*parts) for name, parts in trained.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - started)
    return {name: min(found) for name, found in seconds.items()}


def _step(run: Run, model: Any, method: Any) -> Callable[[], None]:
    """One optimizer step on training texts of usual lengths, as training takes it; the same texts for all."""
    teacher, lesson = run.teacher, Lesson.of(run, run.teacher.tokenizer)
    rows = Rows(teacher.encoded(lesson.texts), teacher.pad_id)
    objective = method.objective(rows.encoded, Pair(model, teacher.module, rows, rows))
    optimizer, _ = run.recipe.optimizer(model.train(), 1000)
    size, said = run.recipe.trainer.batch_size, lesson.logits()

    drawn = np.random.default_rng(0).permutation(len(rows))[:size].tolist()

    def step() -> None:
        batch = rows.__getitems__(drawn)
        batch |= {answer_key(output): logits for output, logits in said.batch(batch["rows"]).items()}
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16_pays("cpu")):
            loss, _ = objective(each(model(**model_inputs(batch))), batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


@torch.inference_mode()
def quality(teacher: Teacher, model: Any, split: Split | None = None) -> float:
    """On a split, in fp32; None is the test split."""
    split = split or teacher.inputs.dataset.test
    rows = Rows(teacher.encoded(split), teacher.pad_id)
    found: list[int] = []
    for begin in range(0, len(rows), 64):
        batch = rows.__getitems__(list(range(begin, min(begin + 64, len(rows)))))
        found += model.eval()(**model_inputs(batch)).argmax(-1).tolist()
    return teacher.inputs.score(found, split.references)


if __name__ == "__main__":
    sys.exit(main())
