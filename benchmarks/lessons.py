"""What a student of few layers learns best from: labels, logits or hidden states, several data sets and seeds.

    python benchmarks/lessons.py FOLDER FOLDER ... [only=labels,hidden] [seeds=0,1,2] [key=value ...]

Each folder is a data set as `data=local` reads it; `bundled` is the one that millis ships. Students of three layers
(`student.layers=2` for others) are trained from one teacher a set; only validation is looked at. Prints the means over
the seeds set by set, and below them by how much each lesson is ahead of plain fine-tuning, with the standard error over
all sets and seeds. What is trained is kept, so an interrupted run goes on.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from results import Table

from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.pipeline.student import ensure_student, plan
from millis.pipeline.teacher import Teacher

PLAIN = "labels"
LESSONS = {
    PLAIN: ["distillation=none"],
    "logits": [],
    "hot logits": ["distillation.alpha=0.9", "distillation.temperature=4"],
    "cold logits": ["distillation.alpha=0.9", "distillation.temperature=1"],
    "half logits": ["distillation.alpha=0.5"],
    "squared logits": ["distillation=logit_mse"],
    "hidden": ["distillation=hidden"],
    "hot hidden": ["distillation=hidden", "distillation.alpha=0.9", "distillation.temperature=4"],
    "patient": ["distillation=patient"],
    "minilmv2": ["distillation=minilmv2"],
    "tinybert": ["distillation=tinybert"],
}


def main() -> int:
    names, seeds, folders, overrides = list(LESSONS), [0, 1, 2], [], []
    for argument in sys.argv[1:]:
        key, _, value = argument.partition("=")
        if key == "only":
            names = value.split(",")
        elif key == "seeds":
            seeds = [int(seed) for seed in value.split(",")]
        elif value:
            overrides.append(argument)
        else:
            folders.append(argument)
    columns = ["teacher", *names]
    found = []
    with Table("data", *columns, title=f"validation, seeds {', '.join(map(str, seeds))}") as table:
        for folder in folders:
            found.append(taught(folder, names, seeds, overrides))
            table.row(Path(folder).name, *(f"{mean(found[-1][name]):.2f}" for name in columns))
        if PLAIN in names:
            table.row(f"ahead of {PLAIN}", "", *(gain(name, found) for name in names))
    return 0


def taught(folder: str, names: Sequence[str], seeds: Sequence[int], overrides: Sequence[str]) -> dict[str, list[float]]:
    """Validation, in percent, of one data set's teacher and of its students, lesson by lesson and seed by seed."""
    data = [] if folder == "bundled" else ["data=local", f"data.path={folder}"]
    common = [*data, "teacher.seed=0", "student.layers=3", "logger=none", *overrides]
    teacher = run_of(composed("compress", common)).teacher
    found = {"teacher": [teacher.fitted.quality] * len(seeds)}
    for name in names:
        found[name] = [_student([*common, *LESSONS[name], f"seed={seed}"], teacher) for seed in seeds]
        print(Path(folder).name, name, *(f"{quality:.2f}" for quality in found[name]), file=sys.stderr, flush=True)
    return found


def _student(overrides: Sequence[str], teacher: Teacher) -> float:
    run = run_of(composed("compress", list(overrides)), teacher)
    return ensure_student(run, plan(run))[1].quality


def gain(name: str, found: Sequence[dict[str, list[float]]]) -> str:
    """Points ahead of plain fine-tuning of the same seed: mean and standard error."""
    pairs = [pair for qualities in found for pair in zip(qualities[name], qualities[PLAIN], strict=True)]
    ahead = [one - plain for one, plain in pairs]
    error = stdev(ahead) / len(ahead) ** 0.5 if len(ahead) > 1 else float("nan")
    return f"{mean(ahead):+.2f} ± {error:.2f}"


if __name__ == "__main__":
    sys.exit(main())
