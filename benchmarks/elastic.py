"""Elastic students against students that are trained one by one, in as much time.

    python benchmarks/elastic.py FOLDER [epochs=8] [alone=yes] [seed=0] [key=value ...]

The folder is a data set as `data=local` reads it; `bundled` is the one that millis ships, of one label a text. Elastic
weights are trained for so many epochs, and every shape of `SHAPES` is cut out of them. Then each shape is trained by
itself, cut from the same teacher, for so many epochs that all of them together take as long (rounded up); and with
`alone=yes` once more, for as many epochs as the elastic weights had. Times are those of training steps, measured in
turns before anything is trained: the clock of a shared machine favours whoever trains while it is quiet.

Prints the quality on the test split in fp32, the speed-up over the teacher in int8 on the native runtime, and the area
that students cover (`frontiers.py`). What is trained is kept, so an interrupted run goes on.
"""

import sys
import time
from collections.abc import Callable
from math import ceil, log2
from pathlib import Path
from statistics import median
from typing import Any

import torch
from elastic_choices import SHAPES
from frontiers import FLOOR, area
from recipes import divided
from results import Table

from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.data.batches import Rows, model_inputs
from millis.distillation.contract import Pair
from millis.distillation.term import answer_key
from millis.models.outputs import each
from millis.pipeline.elastic import ensure_elastic, largest
from millis.pipeline.initial_student import cut
from millis.pipeline.lesson import Lesson
from millis.pipeline.measure import latency_of
from millis.pipeline.run import Run
from millis.pipeline.student import ensure_student, plan
from millis.pipeline.teacher import Teacher
from millis.training.precision import bf16_pays

ROUNDS = 12
SHAPES = {**SHAPES, "4": ["student.layers=4"]}


def main() -> int:
    folder = sys.argv[1]
    own, overrides = divided(sys.argv[2:], {"epochs": "8", "alone": "yes", "seed": "0"})
    data = [] if folder == "bundled" else ["data=local", f"data.path={folder}"]
    common = ["logger=none", "quantization=dynamic", "teacher.seed=0", f"seed={own['seed']}", *data, *overrides]
    epochs = int(own["epochs"])
    elastic = run_of(composed("compress", [*common, "student=elastic", f"trainer.max_epochs={epochs}"]))
    teacher = elastic.teacher
    alone = {name: _alone(teacher, [*common, *shape, f"trainer.max_epochs={epochs}"]) for name, shape in SHAPES.items()}
    step_s = _steps({"elastic": _elastic_loss(elastic), **{name: _own_loss(run) for name, run in alone.items()}})
    together_s = sum(step_s[name] for name in SHAPES)
    fair = ceil(epochs * step_s["elastic"] / together_s)
    steps = ceil(len(teacher.inputs.dataset.train) / elastic.recipe.trainer.batch_size)
    took = {
        "elastic": epochs * steps * step_s["elastic"], "fair": fair * steps * together_s,
        "as many": epochs * steps * together_s,
    }  # fmt: skip
    ensure_elastic(elastic)
    columns = ["speed-up", "elastic", f"by itself, {fair} epochs"]
    columns += [f"by itself, {epochs} epochs"] if own["alone"] == "yes" else []
    title = f"{Path(folder).name}, test accuracy, seed {own['seed']}, elastic weights {epochs} epochs"
    points: list[list[tuple[float, float]]] = [[] for _ in columns[1:]]
    best = _quality(teacher, teacher.module)
    with Table("student", *columns, title=title) as table:
        table.row("teacher", "1.0×", *[f"{best:.1f}"] * (len(columns) - 1))
        for name, shape in SHAPES.items():
            runs = [
                _alone(teacher, [*common, "student=elastic", *shape, f"trainer.max_epochs={epochs}"]),
                _alone(teacher, [*common, *shape, f"trainer.max_epochs={fair}"]), alone[name],
            ][: len(points)]  # fmt: skip
            speedup = latency_of(runs[0], plan(runs[0])).metrics["speedup"]
            found = [_quality(teacher, ensure_student(run, plan(run))[0]) for run in runs]
            for covered, quality in zip(points, found, strict=True):
                covered.append((log2(speedup), FLOOR - (best - quality)))
            table.row(name, f"{speedup:.1f}×", *(f"{quality:.1f}" for quality in found))
        table.row("points x doublings", "", *(f"{area(covered):.1f}" for covered in points))
        table.row("training, s", "", *(f"{seconds:.0f}" for seconds in [*took.values()][: len(points)]))
    return 0


def _alone(teacher: Teacher, overrides: list[str]) -> Run:
    return run_of(composed("compress", overrides), teacher)


def _elastic_loss(run: Run) -> tuple[Run, Any, Any]:
    elastic = run.recipe.elastic
    assert elastic is not None
    [stage] = elastic.stages(run.recipe.distillation.stages(), run.teacher.manifest.spec, run.recipe.seed)
    return run, largest(run, elastic), stage.distillation


def _own_loss(run: Run) -> tuple[Run, Any, Any]:
    return run, cut(run), run.recipe.distillation


def _steps(trained: dict[str, tuple[Run, Any, Any]]) -> dict[str, float]:
    """Seconds of a training step of each, the median of steps taken in turns."""
    steps = {name: _step(*parts) for name, parts in trained.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(ROUNDS):
        for name, step in steps.items():
            started = time.perf_counter()
            step(number)
            seconds[name].append(time.perf_counter() - started)
    return {name: median(found[2:]) for name, found in seconds.items()}


def _step(run: Run, model: Any, method: Any) -> Callable[[int], None]:
    """One optimizer step on a batch of training texts of usual lengths, as training takes it."""
    teacher, lesson = run.teacher, Lesson.of(run, run.teacher.tokenizer)
    rows = Rows(teacher.encoded(lesson.texts), teacher.pad_id)
    objective = method.objective(rows.encoded, Pair(model, teacher.module, rows, rows))
    optimizer, _ = run.recipe.optimizer(model.train(), 1000)
    size, said = run.recipe.trainer.batch_size, lesson.logits()

    def step(number: int) -> None:
        batch = rows.__getitems__(list(range(number * size, (number + 1) * size)))
        batch |= {answer_key(output): logits for output, logits in said.batch(batch["rows"]).items()}
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16_pays("cpu")):
            loss, _ = objective(each(model(**model_inputs(batch))), batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


@torch.inference_mode()
def _quality(teacher: Teacher, model: Any) -> float:
    """On the test split, in fp32."""
    split = teacher.inputs.dataset.test
    rows = Rows(teacher.encoded(split), teacher.pad_id)
    found: list[int] = []
    for begin in range(0, len(rows), 64):
        batch = rows.__getitems__(list(range(begin, min(begin + 64, len(rows)))))
        found += model.eval()(**model_inputs(batch)).argmax(-1).tolist()
    return teacher.inputs.score(found, split.references)


if __name__ == "__main__":
    sys.exit(main())
