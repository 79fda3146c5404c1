"""What reading texts before seeing labels brings an encoder from nothing (`model=scratch`).

    python benchmarks/pretraining.py FOLDER [labelled=0] [seeds=0,1] [key=value ...]

FOLDER is a data set as `data=local` reads it. With `labelled`, so many of its training rows keep their labels, and the
other rows' texts are given as `data.unlabelled`. Trains the encoder on the task alone, after masked-token pre-training,
and on the task alone for as many steps as both took. Prints the best validation quality, mean over seeds and the
largest difference from it, seconds of training, and what a linear model of n-grams has. What is trained is kept, so an
interrupted run goes on.
"""

import math
import sys
import tempfile
from pathlib import Path
from statistics import mean

from recipes import divided
from results import Table
from unlabelled import cut

from millis.cli.hydra_app import composed
from millis.cli.recipes import fine_tuning_of, inputs_of, place_of, run_of
from millis.pipeline.fine_tuning import FineTuning
from millis.pipeline.pretraining import pretraining_of, read_texts
from millis.pipeline.student import ensure_student, plan
from millis.pipeline.teacher import Teacher, ensure_teacher
from millis.training.fit import Fitted

ALONE, FIRST = (f"pretraining@teacher.pretraining={option}" for option in ("none", "masked"))
OWN = "teacher.pretraining."  # keys that are there in the second case alone


def main() -> int:
    own, overrides = divided(sys.argv[2:], {"labelled": "0", "seeds": "0,1"})
    source, seeds = Path(sys.argv[1]), list(map(int, own["seeds"].split(",")))
    with tempfile.TemporaryDirectory() as scratch:
        folder, more = source, []
        if int(own["labelled"]):
            folder, texts = Path(scratch) / source.name, Path(scratch) / "texts.jsonl"
            texts.write_text("".join(cut(source, folder, int(own["labelled"]))), encoding="utf-8")
            more = [f"data.unlabelled={texts}"]
        common = ["data=local", f"data.path={folder}", "model=scratch", "logger=none", *more, *overrides]
        first = [FIRST, *(one for one in common if one.startswith(OWN))]
        common = [one for one in common if not one.startswith(OWN)]
        _compare(common, first, source.name + (f", {own['labelled']} labelled rows" if more else ""), seeds)
    return 0


def _compare(common: list[str], own: list[str], title: str, seeds: list[int]) -> None:
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in seeds:
        given = [*common, f"seed={seed}"]
        alone, first = _teacher([*given, ALONE]), _teacher([*given, *own])
        tuning = fine_tuning_of(composed("compress", [*given, *own]))
        read = pretraining_of(tuning, inputs_of(composed("compress", given)), first.manifest.max_length)
        both = read.seconds + first.fitted.seconds
        epochs = first.fitted.epochs + _epochs(read, tuning, first)
        longer = [f"teacher.trainer.max_epochs={epochs}", f"teacher.trainer.patience={epochs}"]
        for name, teacher, seconds in (
            ("the task alone", alone, alone.fitted.seconds),
            ("after pre-training", first, both),
            ("the task alone, for as many steps", last := _teacher([*given, ALONE, *longer]), last.fitted.seconds),
        ):
            found.setdefault(name, []).append((teacher.fitted.quality, seconds))
        if seed == seeds[0]:
            plain = [*given, ALONE, "student=ngrams", "distillation=none", "blend=false"]
            run = run_of(composed("compress", plain), alone)
            fitted = ensure_student(run, plan(run))[1]
            found["a linear model of n-grams"] = [(fitted.quality, fitted.seconds)]
    metric = alone.inputs.task.metric
    with Table("trained on", f"validation {metric}", "s", title=f"{title}, seeds {','.join(map(str, seeds))}") as table:
        for name, runs in found.items():
            qualities, seconds = zip(*runs, strict=True)
            spread = max(abs(one - mean(qualities)) for one in qualities)
            table.row(name, f"{mean(qualities):.2f}" + f" ± {spread:.2f}" * (len(runs) > 1), f"{mean(seconds):.0f}")


def _epochs(read: Fitted, tuning: FineTuning, teacher: Teacher) -> int:
    """Epochs of the training texts that take as many steps as the pre-training did, rounded up."""
    inputs, batch = teacher.inputs, tuning.trainer.batch_size
    steps = read.epochs * math.ceil(len(read_texts(tuning, inputs)) / batch)
    return math.ceil(steps / math.ceil(len(inputs.dataset.train) / batch))


def _teacher(overrides: list[str]) -> Teacher:
    cfg = composed("compress", overrides)
    return ensure_teacher(fine_tuning_of(cfg), place_of(cfg))


if __name__ == "__main__":
    sys.exit(main())
