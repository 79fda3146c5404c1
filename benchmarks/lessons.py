"""What a student of few layers learns best from: labels, logits or hidden states, several data sets and seeds.

    python benchmarks/lessons.py FOLDER FOLDER ... [only=labels,hidden] [seeds=0,1,2] [key=value ...]

Each folder is a data set as `data=local` reads it; `bundled` is the one that millis ships. Students of three layers
(`student.layers=2` for others) are trained from one teacher a set; only validation is looked at. Prints a line a
training, then a table: the mean over the seeds, and below it by how much each lesson is ahead of plain fine-tuning,
with the standard error over all sets and seeds. What is trained is kept, so an interrupted run goes on.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from millis.cli.hydra_app import composed
from millis.cli.pipeline.student import ensure_student, plan
from millis.cli.pipeline.teacher import Teacher, ensure_teacher

PLAIN = "labels"
LESSONS = {
    PLAIN: ["distillation=none"],
    "logits": [],
    "hot logits": ["distillation.alpha=0.9", "distillation.temperature=4"],
    "cold logits": ["distillation.alpha=0.9", "distillation.temperature=1"],
    "half logits": ["distillation.alpha=0.5"],
    "squared logits": ["distillation=logit_mse"],
    "hidden": ["distillation=hidden"],
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
    found = {folder: taught(folder, names, seeds, overrides) for folder in folders}
    print("\n".join(table(names, found)))
    return 0


def taught(folder: str, names: Sequence[str], seeds: Sequence[int], overrides: Sequence[str]) -> dict[str, list[float]]:
    """Validation, in percent, of one data set's teacher and of its students, lesson by lesson and seed by seed."""
    data = [] if folder == "bundled" else ["data=local", f"data.path={folder}"]
    common = [*data, "teacher.seed=0", "student.layers=3", "logger=none", *overrides]
    cfg = composed("compress", common)
    teacher = ensure_teacher(cfg)
    found = {"teacher": [teacher.fitted.quality] * len(seeds)}
    for name in names:
        found[name] = [_student([*common, *LESSONS[name], f"seed={seed}"], teacher) for seed in seeds]
        print(Path(folder).name, name, *(f"{quality:.2f}" for quality in found[name]), flush=True)
    return found


def _student(overrides: Sequence[str], teacher: Teacher) -> float:
    cfg = composed("compress", list(overrides))
    return ensure_student(cfg, teacher, plan(cfg, teacher))[1].quality


def table(names: Sequence[str], found: dict[str, dict[str, list[float]]]) -> list[str]:
    """Means by data set, and the paired gain on plain fine-tuning, in points."""
    columns = ["teacher", *names]
    lines = [f"| data | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for folder, qualities in found.items():
        lines.append(f"| {Path(folder).name} | {' | '.join(f'{mean(qualities[name]):.2f}' for name in columns)} |")
    if PLAIN in names:
        gains = [_gain([q - p for of in found.values() for q, p in zip(of[n], of[PLAIN], strict=True)]) for n in names]
        lines.append(f"| ahead of {PLAIN} | | {' | '.join(gains)} |")
    return lines


def _gain(differences: Sequence[float]) -> str:
    error = stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else float("nan")
    return f"{mean(differences):+.2f} ± {error:.2f}"


if __name__ == "__main__":
    sys.exit(main())
