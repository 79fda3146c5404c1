"""What texts without labels bring: few labelled rows, and ever more texts that only the teacher answers.

    python benchmarks/unlabelled.py FOLDER [labelled=1500] [counts=0,5000] [seeds=0,1,2] [key=value ...]

FOLDER is a data set as `data=local` reads it. So many of its training rows keep their labels, drawn with the seed 0;
of the others the texts alone are read. Prints validation of the teacher, of a student of two layers and of n-grams,
means over the seeds. What is trained is kept, so an interrupted run goes on.
"""

import json
import random
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import mean

from recipes import divided
from results import Table

from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.data.local import Local
from millis.pipeline.student import ensure_student, plan
from millis.pipeline.teacher import Teacher

STUDENTS = {"2 layers": ["student.layers=2", "distillation.alpha=0.9", "distillation.temperature=4"],
            "n-grams": ["student=ngrams"]}  # fmt: skip


def main() -> int:
    own, overrides = divided(sys.argv[2:], {"labelled": "1500", "counts": "0,5000", "seeds": "0,1,2"})
    seeds, counts = (list(map(int, own[name].split(","))) for name in ("seeds", "counts"))
    source = Path(sys.argv[1])
    title = f"{source.name}, {own['labelled']} labelled rows, validation, seeds {own['seeds']}"
    with tempfile.TemporaryDirectory() as scratch, Table("texts", "teacher", *STUDENTS, title=title) as table:
        rest = cut(source, Path(scratch) / source.name, int(own["labelled"]))
        for count in counts:
            more = []
            if count:
                texts = Path(scratch) / f"texts-{count}.jsonl"
                texts.write_text("".join(rest[:count]), encoding="utf-8")
                more = [f"data.unlabelled={texts}"]
            common = ["data=local", f"data.path={Path(scratch) / source.name}", "logger=none", *more, *overrides]
            teacher = run_of(composed("compress", [*common, "teacher.seed=0"])).teacher
            cells = [_cell(teacher, [*common, *shape], seeds) for shape in STUDENTS.values()]
            table.row(str(min(count, len(rest))), f"{teacher.fitted.quality:.2f}", *cells)
    return 0


def cut(source: Path, folder: Path, labelled: int) -> list[str]:
    """Write `source` with so many training rows; the texts of the others, as JSON lines, in random order."""
    dataset = Local(str(source))()
    folder.mkdir()
    order = random.Random(0).sample(range(len(dataset.train)), len(dataset.train))
    kept = dataset.train.take(sorted(order[:labelled]))
    for split, rows in {"train": kept, "validation": dataset.validation, "test": dataset.test}.items():
        lines = (
            json.dumps({"text": text, "label": dataset.labels[label]})
            for text, label in zip(rows.texts, rows.references, strict=True)
        )
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if (source / "labels.txt").is_file():
        shutil.copy(source / "labels.txt", folder)
    return [json.dumps({"text": dataset.train.texts[row]}) + "\n" for row in order[labelled:]]


def _cell(teacher: Teacher, overrides: list[str], seeds: list[int]) -> str:
    found = []
    for seed in seeds:
        run = run_of(composed("compress", ["teacher.seed=0", *overrides, f"seed={seed}"]), teacher)
        found.append(ensure_student(run, plan(run))[1].quality)
    return f"{mean(found):.2f}"


if __name__ == "__main__":
    sys.exit(main())
