"""How the ranges of grids are found in training: what each value of `Aware.ranges` means for weights and for inputs."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from torch import Tensor

from millis.quantization.arithmetic import Stored
from millis.quantization.fake_quantize import UINT8
from millis.quantization.inputs import Input, LearnedInput, StaticInput
from millis.quantization.observers import Observer, full_extent, moving_average, percentile_extent, widest
from millis.quantization.qat import Aware
from millis.quantization.steps import LearnedSteps, RangeSteps, Steps, affine


class Ranges(NamedTuple):
    """One way to find ranges.

    Args:
        steps: Of a stored tensor: settings, how it is put on a grid, its groups [G, n], N values that share a step.
        input: Of a static activation: settings, features of one position.
    """

    steps: Callable[[Aware, Stored, Tensor, int], Steps]
    input: Callable[[Aware, int], Input]


def _whole(aware: Aware, how: Stored, groups: Tensor, sharing: int) -> Steps:
    return RangeSteps(how.rule, full_extent, how.grid, covers=True)


def _clipped(aware: Aware, how: Stored, groups: Tensor, sharing: int) -> Steps:
    return RangeSteps(how.rule, partial(percentile_extent, percentile=aware.percentile), how.grid, covers=False)


def _learned(aware: Aware, how: Stored, groups: Tensor, sharing: int) -> Steps:
    steps = LearnedSteps(how.rule, full_extent, how.grid, len(groups), sharing)
    steps.start(groups)
    return steps


def _widest(aware: Aware, features: int) -> Input:
    return StaticInput(Observer(full_extent, widest))


def _average(aware: Aware, features: int) -> Input:
    return StaticInput(Observer(full_extent, partial(moving_average, momentum=aware.momentum)))


def _average_percentile(aware: Aware, features: int) -> Input:
    extent = partial(percentile_extent, percentile=aware.percentile)
    return StaticInput(Observer(extent, partial(moving_average, momentum=aware.momentum)))


def _learned_input(aware: Aware, features: int) -> Input:
    return LearnedInput(LearnedSteps(affine, full_extent, UINT8, groups=1, sharing=features))


RANGES: Mapping[str, Ranges] = {
    "min_max": Ranges(_whole, _widest),
    "moving_average": Ranges(_whole, _average),
    "percentile": Ranges(_clipped, _average_percentile),
    "lsq": Ranges(_learned, _learned_input),
}
