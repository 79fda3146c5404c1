"""Taylor: how much the loss would change without a unit, to first order (Molchanov et al. 2017, 1611.06440).

|L(z = 1) - L(z = 0)| ≈ |∂L/∂z| (section 2.2); for attention heads Michel et al. 2019 (1905.10650, section 4.1). There
the magnitude is taken of every example, here of every batch: one backward pass gives both training's gradient and the
score.
"""

from torch import Tensor

from millis.errors import MillisError
from millis.pruning.criterion.gate_gradient import GateGradient


class Taylor(GateGradient):
    """Mean of |∂L/∂z| over steps, later ones weighing more.

    Args:
        decay: In [0, 1), of the moving mean: the last 1 / (1 - decay) steps or so count.
    """

    def __init__(self, decay: float = 0.99) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise MillisError(f"pruning.criterion.decay={decay}: expected 0 (the last step alone) up to 1, 1 excluded")
        self.decay = decay

    def accumulate(self, seen: Tensor, gradient: Tensor) -> None:
        """S ← decay · S + (1 - decay) · |∂L/∂z|; the start at 0 shortens all scores alike."""
        seen.lerp_(gradient.abs(), 1 - self.decay)
