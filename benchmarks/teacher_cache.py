"""What does caching the teacher's outputs save a student's epoch, and does it change the loss?

Trains each student twice from the same seed, for two epochs: with the cached teacher and with the teacher run in every
step. Compares the second epoch's time and the losses. Overrides of `millis compress` are taken as arguments.
"""

import sys
import time

from results import Table

from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.pipeline.run import Run
from millis.pipeline.student import checkpoints_of, plan, train_student
from millis.temporaries import discard
from millis.training.fit import Fitted

STUDENTS = (["student=static"], ["student=convolution"], ["student.layers=1"], ["student.layers=3"])
COMMON = ["teacher.trainer.max_epochs=1", "trainer.max_epochs=2", "distillation.alpha=0.9", "logger=none"]
ENOUGH = 2.0  # times faster, for the smallest students


def main() -> int:
    ratios = []
    with Table(
        "student", "on-line epoch s", "cached epoch s", "ratio", "largest loss difference", "final loss"
    ) as table:
        for student in STUDENTS:
            cached = run_of(composed("compress", [*COMMON, *student, *sys.argv[1:]]))
            teacher = cached.teacher
            every_step = composed("compress", [*COMMON, *student, "distillation.cache=false", *sys.argv[1:]])
            online = run_of(every_step, teacher)
            started = time.monotonic()
            teacher.logits(teacher.inputs.dataset.train)
            once = time.monotonic() - started
            with_cache, without = fitted(cached), fitted(online)
            seconds, slow = epoch_seconds(with_cache), epoch_seconds(without)
            ratios.append(slow / seconds)
            difference = max(
                abs(a["train/softened_kl"] - b["train/softened_kl"])
                for a, b in zip(with_cache.history, without.history, strict=True)
            )
            name = plan(cached).name
            loss = with_cache.history[-1]["train/softened_kl"]
            table.row(
                name, f"{slow:.1f}", f"{seconds:.1f}", f"{slow / seconds:.1f}x", f"{difference:.1e}", f"{loss:.4f}"
            )
            if once > 0.1:
                print(f"filling the cache took {once:.1f} s, once")
    print(f"the cache makes an epoch up to {max(ratios):.1f} times faster at equal loss")
    return 0 if max(ratios) >= ENOUGH else 1


def fitted(run: Run) -> Fitted:
    """Train the student from its seed."""
    planned = plan(run)
    done = train_student(run, planned)[1]
    discard(checkpoints_of(run.teacher, planned))
    return done


def epoch_seconds(run: Fitted) -> float:
    """Of the second epoch: the first one also starts the trainer."""
    return run.history[1]["seconds"] - run.history[0]["seconds"]


if __name__ == "__main__":
    sys.exit(main())
