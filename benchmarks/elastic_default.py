"""Would one elastic training serve the default study better than its two students that are trained by themselves?

    python benchmarks/elastic_default.py FOLDER [epochs=5] [layers=1,2,3] [ffn=0.25,0.5,1.0] [seed=0] [key=value ...]

The folder is a data set as `data=local` reads it; `bundled` is the one that millis ships. The transformers that
`conf/study/default.yaml` always tries are trained as it has them, and elastic weights of these sizes for so many
epochs, one student beside the largest and the smallest in each step. Prints for each student its quality on validation
and test, in fp32, and what its training costs in epochs of the teacher, by the weights that its steps run through
(`millis.pipeline.forecast`): clocks of shared machines tell less. What is trained is kept, so an interrupted run goes
on.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from recipes import divided
from results import Table

from elastic import alone, quality
from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.pipeline.elastic import elastic_training, ensure_elastic
from millis.pipeline.forecast import training_s
from millis.pipeline.run import Run
from millis.pipeline.student import ensure_student, plan
from millis.training.fit import Fitted


def main() -> int:
    folder = sys.argv[1]
    given = {"epochs": "5", "layers": "1,2,3", "ffn": "0.25,0.5,1.0", "seed": "0"}
    own, overrides = divided(sys.argv[2:], given)
    data = [] if folder == "bundled" else ["data=local", f"data.path={folder}"]
    common = ["logger=none", "teacher.seed=0", f"seed={own['seed']}", *data, *overrides]
    sizes = [f"student.elastic.layers=[{own['layers']}]", f"student.elastic.ffn_size=[{own['ffn']}]"]
    trained = ["student=elastic", *sizes, "student.elastic.heads=[1.0]", "student.elastic.sampled=1"]
    together = run_of(composed("compress", [*common, *trained, f"trainer.max_epochs={own['epochs']}"]))
    by_itself = {name: alone(together.teacher, [*common, *recipe]) for name, recipe in default_students()}
    title = f"{Path(folder).name}, {together.teacher.inputs.task.metric}, seed {own['seed']}, layers {own['layers']}"
    with Table("student", "epochs", "cost", "validation", "test", title=title) as table:
        table.row("teacher", "", "", *judged(together, together.teacher.module))
        for name, run in by_itself.items():
            model, fitted = ensure_student(run, plan(run))
            table.row(f"{name}, by itself", str(fitted.epochs), cost(run), *judged(run, model))
        ensure_elastic(together)
        epochs = elastic_training(together).epochs
        table.row("elastic weights", str(epochs), cost(together), "", "")
        for run in cut_out(together):
            model, _ = ensure_student(run, plan(run))
            table.row(plan(run).name, "", "", *judged(run, model))
    return 0


def default_students() -> Iterator[tuple[str, list[str]]]:
    """Name and overrides of the transformers that the default study always tries; their shapes are whole."""
    study: Any = OmegaConf.to_container(composed("sweep", []).study, resolve=True)
    for recipe in study["enqueue"][: study["minimum"]]:
        if recipe["student"] == "transformer":
            learned = {
                key: value for key, value in recipe.items() if key.startswith(("student.layers", "distillation."))
            }
            yield f"{recipe['student.layers']} layers", [f"{key}={value}" for key, value in learned.items()]


def cut_out(run: Run) -> Iterator[Run]:
    """The run of each student, the one of least work first."""
    student, teacher = run.recipe.student, run.teacher.manifest.spec
    for one in student.elastic.axes(teacher).by_work:
        sizes = {"layers": one.layers, "heads": one.heads, "ffn_size": one.ffn}
        yield run.with_recipe(replace(run.recipe, student=replace(student, **sizes)))


def judged(run: Run, model: Any) -> list[str]:
    dataset = run.teacher.inputs.dataset
    return [f"{quality(run.teacher, model, split):.1f}" for split in (dataset.validation, dataset.test)]


def cost(run: Run) -> str:
    """Of a training, in epochs of the teacher."""
    return f"{training_s(run.recipe, replace(run.teacher, fitted=Fitted(0.0, 1, 1.0, [])), set()):.1f}"


if __name__ == "__main__":
    sys.exit(main())
