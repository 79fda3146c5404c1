"""Quantization-aware training beside what needs no training: what does int8 cost, and is the simulation true?

    python benchmarks/qat.py data=local data.path=FOLDER ... trainer.max_epochs=2 optimizer.lr=5e-5

The whole teacher is quantized, dynamically and statically; then a copy of it is trained on with the rounding, from its
own answers. Prints the relative drop of the task's metric on the test split, and for the trained one how many test
texts get the same label from training's simulation as from the deployed artifact. What is trained is kept.
"""

import copy
import sys
from dataclasses import replace

import numpy as np
import torch
from results import Table

from millis.backends.onnx.arithmetic import arithmetic
from millis.benchmark.quality import answer
from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.data.batches import Rows, model_inputs
from millis.pipeline.compress import Compressed, compress, teacher_record
from millis.pipeline.run import Run
from millis.pipeline.student import ensure_student, plan
from millis.quantization.phase import set_phase
from millis.quantization.qat import Aware
from millis.quantization.rounding import prepare
from millis.record import Record
from millis.serving.runner import load

AS_IT_IS = ["student=teacher"]
TRAINED = ["student.layers=null", "distillation.alpha=1", "distillation.temperature=1"]
METHODS = {
    "dynamic int8": [*AS_IT_IS, "quantization=dynamic"],
    "static int8": [*AS_IT_IS, "quantization=static"],
    "dynamic int8, QAT": [*TRAINED, "quantization=qat"],
}


def main() -> int:
    overrides = ["logger=none", *sys.argv[1:]]
    first = run_of(composed("compress", overrides))
    reference, title = teacher_record(first), first.teacher.inputs.dataset.name
    with Table("method", reference.quality, "relative drop %", "simulation agrees %", title=title) as table:
        table.row("teacher, fp32", *cells(reference, reference, None))
        for name, method in METHODS.items():
            run = run_of(composed("compress", [*method, *overrides]), first.teacher)
            done = compress(run)
            assert isinstance(done, Compressed)  # there is no budget to break
            agreement = simulated(run, done.record) if "QAT" in name else None
            table.row(name, *cells(done.record, reference, agreement))
    return 0


def simulated(run: Run, record: Record) -> float:
    """Share of the test texts, in percent, that training's simulation labels as the artifact does."""
    teacher = run.teacher
    model = copy.deepcopy(ensure_student(run, plan(run))[0]).eval()
    on_grids = replace(run.recipe.quantization, aware=Aware(ranges="min_max"))  # its weights lie there already
    prepare(model, on_grids, arithmetic(on_grids))
    set_phase(model, enabled=True, frozen=True)
    rows = Rows(teacher.encoded(teacher.inputs.dataset.test), teacher.pad_id)
    with torch.inference_mode():
        labels = [int(model(**model_inputs(rows[i])).argmax()) for i in range(len(rows))]
    deployed = answer(load(record.artifact), teacher.inputs.dataset.test.texts).predictions
    return 100 * float(np.mean(np.array(labels) == np.array(deployed)))


def cells(record: Record, reference: Record, agreement: float | None) -> tuple[str, str, str]:
    """What a method's row says."""
    value, best = record.metrics[record.quality], reference.metrics[record.quality]
    low, high = record.intervals[record.quality]
    agrees = "" if agreement is None else f"{agreement:.2f}"
    return f"{value:.2f} ± {(high - low) / 2:.2f}", f"{100 * (best - value) / best:+.2f}", agrees


if __name__ == "__main__":
    sys.exit(main())
