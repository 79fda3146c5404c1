"""What rungs save, and what they miss: recipes are trained to their end once, and rules held against their courses.

    python benchmarks/rungs.py FOLDER ... [recipes=30] [orders=50] [floor=30] [key=value ...]

Each folder is a data set as `data=local` reads it; `bundled` is the one that millis ships. The recipes are random ones
of the study's space. A rule sees them in a random order, one at a time, as a search would; a training that it lets
pass is the same as without it, so nothing is trained anew. What a search has found is the dominated area of
`benchmarks/frontiers.py`, on validation, with `floor` points; training is counted in examples, and not in seconds.

`same training` is a search without rungs that ends when it has seen as many examples as the rule's. Means over the
orders, with the standard deviation of the differences between the two searches.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import optuna
from frontiers import area
from omegaconf import OmegaConf
from recipes import divided
from results import Table

from hydra_plugins.millis_sweeper._overrides import fixed_values, text_of
from millis.cli.capable import capable
from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.described import TARGET, described
from millis.pipeline.compress import compress, teacher_record
from millis.pipeline.student import plan, weights_path
from millis.pipeline.trained_once import training_of
from millis.sweep.rungs import Course, Rungs
from millis.sweep.space import Space
from millis.training.fit import Fitted
from millis.training.module import VALIDATION

RULES = {
    "extrapolation alone": Rungs(kept=1.0),
    "half kept": Rungs(),
    "a quarter kept": Rungs(kept=0.25),
    "from 1/2 on": Rungs(shares=(0.5, 1.0)),
}


@dataclass(frozen=True)
class Trained:
    """A recipe that was trained to its end.

    Args:
        planned: Epochs.
        rows: Of an epoch.
        speedup: Over the teacher.
        worth: Points above the floor.
    """

    course: Course
    fitted: Fitted
    planned: int
    rows: int
    speedup: float
    worth: float

    def rungs(self, rule: Rungs) -> list[tuple[float, float, int]]:
        """(share, best quality by then, epochs) of every rung before the end."""
        epochs = {math.ceil(share * self.planned): share for share in rule.shares}  # the higher where two are one
        history = [row[VALIDATION] for row in self.fitted.history]
        return [(share, max(history[:done]), done) for done, share in epochs.items() if done < self.fitted.epochs]


def main() -> int:
    own, arguments = divided(sys.argv[1:], {"recipes": "30", "orders": "50", "floor": "30"})
    folders = [argument for argument in arguments if "=" not in argument]
    overrides = [argument for argument in arguments if "=" in argument]
    heads = ("ended", "of the examples", "area", "same training", "difference", "all trained")
    for folder in folders:
        data = [] if folder == "bundled" else ["data=local", f"data.path={folder}"]
        found = trained([*data, "logger=none", *overrides], int(own["recipes"]), float(own["floor"]))
        orders = [np.random.default_rng(seed).permutation(len(found)) for seed in range(int(own["orders"]))]
        with Table("rule", *heads, title=f"{Path(folder).name}, {len(found)} recipes") as table:
            for name, rule in RULES.items():
                table.row(name, *compared(rule, [[found[place] for place in order] for order in orders]))
    return 0


def trained(overrides: Sequence[str], count: int, floor: float) -> list[Trained]:
    """Random recipes of the study's space, each trained to its end."""
    cfg = composed("sweep", overrides, hydra_node=True)
    space = Space.parse(OmegaConf.to_container(cfg.study.space, resolve=True), fixed_values(cfg))
    space = capable(cfg, space, print)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    made, teacher, best = list[Trained](), None, 0.0
    for number in range(count):
        params = space.sample(study.ask())
        run = run_of(
            composed("compress", [*overrides, *(f"{key}={text_of(value)}" for key, value in params.items())]), teacher
        )
        if teacher is None:
            teacher = run.teacher
            record = teacher_record(run)
            best = record.metrics[f"validation_{record.quality}"]
        planned, rows = plan(run), len(teacher.inputs.dataset.train)
        outcome = compress(run)
        fitted = training_of(weights_path(teacher.inputs.cache, planned.fingerprint))
        costs = {"latency_p50_ms": outcome.metrics["latency_p50_ms"]}
        kind = described(run.recipe.student)[TARGET]
        course = Course(planned.name, planned.fingerprint, kind, costs, (), fitted.quality)
        epochs = run.recipe.own_trainer.epochs(rows)
        worth = floor + fitted.quality - best
        made.append(Trained(course, fitted, epochs, rows, outcome.metrics["speedup"], worth))
        print(f"{number + 1}/{count} {planned.name}", file=sys.stderr, flush=True)
    return made


def compared(rule: Rungs, orders: Sequence[Sequence[Trained]]) -> list[str]:
    """The cells of a rule."""
    ended, shares, with_rule, without, everything = [], [], [], [], []
    for order in orders:
        finished, examples, stopped = searched(rule, order)
        whole = sum(one.fitted.epochs * one.rows for one in order)
        ended.append(stopped / len(order))
        shares.append(examples / whole)
        with_rule.append(covered(finished))
        without.append(covered(within(order, examples)))
        everything.append(covered(order))
    differences = np.array(with_rule) - without
    return [
        f"{np.mean(ended):.0%}", f"{np.mean(shares):.0%}", f"{np.mean(with_rule):.1f}", f"{np.mean(without):.1f}",
        f"{differences.mean():+.1f} ± {differences.std(ddof=1):.1f}", f"{np.mean(everything):.1f}",
    ]  # fmt: skip


def searched(rule: Rungs, order: Sequence[Trained]) -> tuple[list[Trained], int, int]:
    """What a search under the rule trains to its end, the examples that it sees, and how many it ends."""
    courses, finished, examples, stopped = list[Course](), list[Trained](), 0, 0
    for one in order:
        course, epochs = replace(one.course, final=None), one.fitted.epochs
        for share, quality, done in one.rungs(rule):
            course = replace(course, reached=[*course.reached, (share, quality)])
            if rule.verdict(course, courses) is not None:
                epochs, stopped = done, stopped + 1
                break
        else:
            course = replace(course, final=one.course.final)
            finished.append(one)
        courses.append(course)
        examples += epochs * one.rows
    return finished, examples, stopped


def within(order: Sequence[Trained], examples: int) -> list[Trained]:
    """What a search without rungs has trained to its end when it has seen so many examples."""
    seen = np.cumsum([one.fitted.epochs * one.rows for one in order])
    return [one for one, total in zip(order, seen, strict=True) if total <= examples]


def covered(found: Sequence[Trained]) -> float:
    """The area of what was trained to its end."""
    return area([(math.log2(one.speedup), one.worth) for one in found])


if __name__ == "__main__":
    sys.exit(main())
