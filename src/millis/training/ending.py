"""Ending: moves the planned end of a training by what validation and the clock say (`millis.training.length`)."""

import math
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from torch.optim.lr_scheduler import LambdaLR

from millis.metrics.paired import standard_error
from millis.training.callbacks import Progress
from millis.training.length import CLEARLY, RESTART
from millis.training.module import VALIDATION, TextModule
from millis.training.optim import Decay
from millis.training.settled import settled


class Ending(pl.Callback):
    """Judges every epoch in which the model has its final form.

    Args:
        patience: Epochs in a row without a rise after which training winds up.
        most: Epochs up to which a training that still gains is prolonged.
        budget_s: Seconds after which no further epoch may end; None for no limit. The first epoch is always finished.
        progress: Knows the seconds, those of a run that this one continues included.
    """

    def __init__(self, patience: int, most: int, budget_s: float | None, progress: Progress) -> None:
        self.patience, self.most, self.budget_s, self.progress = patience, most, budget_s, progress
        self.best, self.best_right = float("-inf"), np.zeros(0)
        self.stale, self.winding_up, self.end, self.rise = 0, False, 0, 0.0

    @property
    def unfinished(self) -> float:
        """Points of the last epoch's rise, where training ended before rises did; one that winds up may rise."""
        return 0.0 if self.winding_up else self.rise

    def state_dict(self) -> dict[str, Any]:
        """What a continued run takes over."""
        names = ("best", "stale", "winding_up", "end", "rise")
        return {name: getattr(self, name) for name in names} | {"best_right": self.best_right.tolist()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        vars(self).update(state_dict | {"best_right": np.asarray(state_dict["best_right"], np.float64)})

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over an end that was moved before the run was broken off, before Lightning asks whether it is there."""
        planned = int(trainer.max_epochs or 0)
        self.end = self.end or planned
        trainer.fit_loop.max_epochs = self.end
        if isinstance(pl_module, TextModule) and self.end != planned:
            pl_module.steps = max(1, pl_module.steps * self.end // planned)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge the epoch and move the end."""
        if trainer.sanity_checking or not isinstance(pl_module, TextModule):
            return
        done = trainer.current_epoch + 1
        if settled(trainer):
            self._judge(float(trainer.callback_metrics[VALIDATION]), pl_module.right)
        end, height = self._moved(done)
        end, height = trainer.strategy.broadcast((end, height))  # processes disagree about the time
        if end != self.end:
            self.end = trainer.fit_loop.max_epochs = end
            self._redraw(trainer, pl_module, done, height)

    def _judge(self, quality: float, right: NDArray[np.float64]) -> None:
        """Compare with the best epoch so far; small gains add up, for it stays the one that the last rise led to.

        Where answers are numbers, which are right by degrees, any gain counts against patience, and none prolongs.
        """
        known = len(self.best_right) == len(right) > 0
        gain, error = quality - self.best, standard_error(right, self.best_right) if known else 0.0
        if gain > error:
            self.rise = gain if known and np.isfinite(gain) and gain > CLEARLY * error else 0.0
            self.best, self.best_right, self.stale = quality, right, 0
        else:
            self.rise, self.stale = 0.0, self.stale + 1

    def _moved(self, done: int) -> tuple[int, float | None]:
        """Epoch of the end, and the factor of the rate from which it falls to zero there; None: from where it is."""
        end, height = self.end, None
        if self.stale >= self.patience and not self.winding_up:
            end, self.winding_up = min(end, done + math.ceil(done / 2)), True
        elif done == end < self.most and self.rise > 0 and not self.winding_up:
            end, height = min(self.most, done + max(1, done // 2)), RESTART
        if self.budget_s is not None:
            seconds = self.progress.seconds
            end = min(end, done + max(0, int((self.budget_s - seconds) / (seconds / done))))
        return end, height

    @staticmethod
    def _redraw(trainer: pl.Trainer, module: TextModule, done: int, height: float | None) -> None:
        """Lead the rate to zero at the new end."""
        step, total = trainer.global_step, trainer.global_step * int(trainer.max_epochs or done) // done
        module.steps = max(1, total)
        for scheduler in (config.scheduler for config in trainer.lr_scheduler_configs):
            assert isinstance(scheduler, LambdaLR)  # `millis.training.optim.AdamW` makes no other
            decay = scheduler.lr_lambdas[0]  # all groups share one
            assert isinstance(decay, Decay)
            decay.redraw(step, total, height)
            for group, peak in zip(scheduler.optimizer.param_groups, scheduler.base_lrs, strict=True):
                group["lr"] = peak * decay(step)  # the scheduler has set the next step's already
