"""Phases of quantization-aware training: rounding off or on, ranges moving or at rest."""

from typing import ClassVar

from torch import nn


class Phased(nn.Module):
    """A part of a prepared model that knows the phase.

    `enabled`: it rounds. `frozen`: its range or step no longer moves; for parts that have one of their own (`moves`).
    """

    moves: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.enabled, self.frozen = True, False


def set_phase(model: nn.Module, enabled: bool, frozen: bool) -> None:
    """Put every part of a prepared model into a phase."""
    for module in model.modules():
        if isinstance(module, Phased):
            module.enabled, module.frozen = enabled, frozen


def moves(model: nn.Module) -> bool:
    """Whether a prepared model has ranges or steps that move by themselves, and so must come to rest."""
    return any(isinstance(module, Phased) and module.moves for module in model.modules())
