"""Averaged weights: what is validated, kept and deployed is a moving average of the weights that are trained.

θ̄_t = d_t·θ̄_{t-1} + (1 - d_t)·θ_t with d_t = min(d, (1 + t) / (10 + t)) over optimizer steps t (Polyak & Juditsky 1992,
"Acceleration of Stochastic Approximation by Averaging"; the warm-up of d is TensorFlow's, so that the untrained weights
are forgotten within the first steps). One training run then has the flat optimum of several (1803.05407).
"""

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import callbacks
from torch import Tensor

from millis.errors import MillisError

EVERY = 4  # steps between updates: each reads and writes every weight, and d = 0.999 moves little in four


class Averaging(callbacks.WeightAveraging):
    """Lightning's averaging with a decay that warms up.

    Args:
        decay: d, above 0 and below 1: 0.999 averages over about the last thousand steps.

    Raises:
        MillisError: another decay.
    """

    def __init__(self, decay: float) -> None:
        if not 0 < decay < 1:
            raise MillisError(
                f"trainer.averaging={decay}: expected a decay above 0 and below 1, such as 0.999, which averages over "
                "about the last thousand steps, or null for no averaging"
            )
        self.decay = decay
        super().__init__(multi_avg_fn=self._move)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """After every fourth step."""
        return step_idx is not None and (step_idx + 1) % EVERY == 0

    @torch.no_grad()
    def _move(self, averaged: Sequence[Tensor], current: Sequence[Tensor], updates: Any) -> None:
        """Bring `averaged` nearer to `current`; `updates` is how often that was done before."""
        decay = min(self.decay, (1 + EVERY * int(updates)) / (10 + EVERY * int(updates))) ** EVERY
        for mean, weight in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(weight, 1 - decay)
            else:
                mean.copy_(weight)
