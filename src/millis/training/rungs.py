"""Rungs: points of a training at which somebody judges whether it goes on.

The judgement changes nothing in a training that goes on: the rate is that of the whole schedule, warm as it is at that
point, and the epoch's validation is there anyway. So a student that passes all rungs has the weights of one that was
trained in one go, and one that is ended is continued as a killed one is. A short decay before each judgement (branches
off a constant rate, 2405.18392) would foretell the final quality better, but takes steps that no student keeps;
trainings that share a schedule compare when they are warm.
"""

import math
from fractions import Fraction
from typing import Protocol

import pytorch_lightning as pl

from millis.training.module import VALIDATION, TextModule
from millis.training.settled import ModelCheckpoint, settled


class Judge(Protocol):
    """Says which trainings go on."""

    @property
    def shares(self) -> tuple[float, ...]:
        """The rungs, of the planned epochs."""
        ...

    def __call__(self, share: float, quality: float) -> str | None:
        """Why a training ends at the rung `share`, or None: it goes on.

        Args:
            quality: The best of its epochs by then, as `TextModule` logs it: more is better.
        """
        ...


class Stopped(Exception):
    """A training was ended at a rung. What it left is what a killed one leaves: the next attempt goes on from there.

    Args:
        reason: Why.
        share: The rung.
        quality: The best of its epochs, as `TextModule` logs it.
        seconds: That it took.
    """

    def __init__(self, reason: str, share: float, quality: float, seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.share, self.quality, self.seconds = reason, share, quality, seconds


class Rungs(pl.Callback):
    """Has the judge asked at the end of every epoch that reaches a rung in which the model has its final form.

    The last epoch is not judged, for the training is done; where it is prolonged, the one that was planned last is.

    Args:
        judge: Asked in one process, whose answer all of them take.
        planned: Epochs, with those of phases before and after this one.
        before: Of these, those of the phases before.
        last: Whether no phase comes after this one.
    """

    def __init__(self, judge: Judge, planned: int, before: int = 0, last: bool = True) -> None:
        self.judge, self.planned, self.before, self.last = judge, planned, before, last
        self.stopped: Stopped | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ask, and have training end with this epoch if the judge says so."""
        answers = isinstance(pl_module, TextModule) and pl_module.objective.answers
        if trainer.sanity_checking or not answers or not settled(trainer):
            return
        done = trainer.current_epoch + 1
        share = self._rung(done)
        if share is None or (self.last and done == trainer.max_epochs):
            return
        assert isinstance(trainer.checkpoint_callback, ModelCheckpoint)
        before = trainer.checkpoint_callback.best_model_score  # this epoch's is not among them yet
        epochs = [trainer.callback_metrics[VALIDATION], *([] if before is None else [before])]
        quality = max(map(float, epochs))
        said = self.judge(share, quality) if trainer.is_global_zero else None
        if (reason := trainer.strategy.broadcast(said)) is not None:
            self.stopped = Stopped(reason, share, quality)
            trainer.should_stop = True

    def _rung(self, done: int) -> float | None:
        """The highest rung that the phase's epoch `done` is the first to reach."""
        shares = ((one, Fraction(str(one))) for one in self.judge.shares)  # 0.55 of 100 is 55, and not a little more
        reached = (one for one, share in shares if math.ceil(share * self.planned) == self.before + done)
        return max(reached, default=None)
