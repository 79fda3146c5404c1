"""How elastic weights are trained best: validation of students cut out of them, one choice at a time.

    python benchmarks/elastic_choices.py FOLDER ... [only=as configured,uniform] [key=value ...]

Each folder is a data set as `data=local` reads it; `bundled` is the one that millis ships. Every choice is trained for
as many epochs, with one seed. Only validation is looked at, in fp32. What is trained is kept.
"""

import sys
from pathlib import Path
from statistics import mean

from recipes import divided
from results import Table

from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.pipeline.elastic import elastic_training, ensure_elastic
from millis.pipeline.run import Run
from millis.pipeline.student import ensure_student, plan

CHOICES = {
    "as configured": [],
    "uniform": ["student/policy@student.elastic.policy=uniform"],
    "1 between": ["student.elastic.sampled=1"],
    "teacher alone": ["student.elastic.from_largest=0"],
    "largest alone": ["student.elastic.from_largest=1"],
    "hot": ["distillation.alpha=0.9", "distillation.temperature=4"],
    "to 3 layers": ["student.elastic.layers=[1,2,3]"],
    "to 6 layers": ["student.elastic.layers=null"],
    "rate 1e-3": ["optimizer.lr=1e-3"],
    "rate 3e-4": ["optimizer.lr=3e-4"],
}
SHAPES = {
    "1 f.25 h.5": ["student.layers=1", "student.ffn_size=0.25", "student.heads=0.5"],
    "1": ["student.layers=1"],
    "2 f.5": ["student.layers=2", "student.ffn_size=0.5"],
    "2": ["student.layers=2"],
    "3 f.5 h.5": ["student.layers=3", "student.ffn_size=0.5", "student.heads=0.5"],
    "3": ["student.layers=3"],
}  # layers, shares of neurons and heads


def main() -> int:
    own, arguments = divided(sys.argv[1:], {"only": ",".join(CHOICES)})
    folders = [argument for argument in arguments if "=" not in argument]
    overrides = [argument for argument in arguments if "=" in argument]
    for folder in folders:
        data = [] if folder == "bundled" else ["data=local", f"data.path={folder}"]
        with Table("choice", *SHAPES, "mean", "s", title=f"{Path(folder).name}, validation") as table:
            for name in own["only"].split(","):
                common = ["student=elastic", "logger=none", *data, *overrides, *CHOICES[name]]
                found = [_quality(_run([*common, *shape])) for shape in SHAPES.values()]
                seconds = elastic_training(_run(common)).seconds
                table.row(name, *(f"{quality:.1f}" for quality in found), f"{mean(found):.2f}", f"{seconds:.0f}")
    return 0


def _run(overrides: list[str]) -> Run:
    return run_of(composed("compress", overrides))


def _quality(run: Run) -> float:
    """On validation, of a student as it is cut out."""
    ensure_elastic(run)
    return ensure_student(run, plan(run))[1].quality


if __name__ == "__main__":
    sys.exit(main())
