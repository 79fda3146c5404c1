"""What general distillation brings: small students that learned the pre-trained model on other texts first.

    python benchmarks/general.py FOLDER [FOLDER ...] texts=FILE [layers=1,2] [seeds=0] [longer=1500] [key=value ...]

FOLDERs are data sets as `data=local` reads them, FILE has texts (`general.texts`). Of each data set and number of
layers: validation of the student as it is cut, of one whose training for the task has `longer` steps in place of the
usual 500, and of one after general distillation, with the seconds that its training for the task took; means over the
seeds. The general distillation of a number of layers serves all data sets. What is trained is kept, so an interrupted
run goes on.
"""

import sys
from pathlib import Path
from statistics import mean

from recipes import divided
from results import Table

from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.pipeline.general import general_training
from millis.pipeline.run import Run
from millis.pipeline.student import ensure_student, plan


def main() -> int:
    folders = [argument for argument in sys.argv[1:] if "=" not in argument]
    own, overrides = divided(
        [argument for argument in sys.argv[1:] if "=" in argument],
        {"texts": "", "layers": "1,2", "seeds": "0", "longer": "1500"},
    )
    ways = {
        "as cut": [],
        "longer": [f"trainer.max_epochs.steps={own['longer']}", "trainer.max_epochs.most=48"],
        "general": ["general=hidden", f"general.texts={own['texts']}"],
    }
    seeds = list(map(int, own["seeds"].split(",")))
    title = f"validation (seconds of training), {Path(own['texts']).name}, seeds {own['seeds']}"
    with Table("data set", "layers", "teacher", *ways, "general distillation s", title=title) as table:
        for folder in folders:
            common = ["data=local", f"data.path={folder}", "logger=none", *overrides]
            teacher = run_of(composed("compress", [*common, "teacher.seed=0"])).teacher
            for layers in own["layers"].split(","):
                cells, before = [], 0.0
                for way in ways.values():
                    asked = [*common, "teacher.seed=0", f"student.layers={layers}", *way]
                    runs = [run_of(composed("compress", [*asked, f"seed={seed}"]), teacher) for seed in seeds]
                    trained = [ensure_student(run, plan(run))[1] for run in runs]
                    quality, seconds = (mean(getattr(one, name) for one in trained) for name in ("quality", "seconds"))
                    cells.append(f"{quality:.2f} ({seconds:.0f})")
                    before = _general_seconds(runs)
                table.row(Path(folder).name, layers, f"{teacher.fitted.quality:.2f}", *cells, f"{before:.0f}")
    return 0


def _general_seconds(runs: list[Run]) -> float:
    return mean(general_training(run, plan(run).spec).seconds for run in runs) if runs[0].recipe.general else 0.0


if __name__ == "__main__":
    sys.exit(main())
