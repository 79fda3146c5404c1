"""Fisher: how much the loss would change without a unit, to second order at a minimum (Theis et al. 2018, 1801.05787).

L(z = 0) - L(z = 1) ≈ ½ E[(∂L/∂z)²], the diagonal of the empirical Fisher information; for heads and neurons Kwon et al.
2022 (2204.09656, section 4.1). The papers take the gradient of every example, here it is that of a batch, whose square
tells units apart as well once the mean gradient is near 0; `millis.pruning.fisher_mask` has the examples' own.
"""

from torch import Tensor

from millis.errors import MillisError
from millis.pruning.criterion.gate_gradient import GateGradient


class Fisher(GateGradient):
    """Mean of (∂L/∂z)² over steps, later ones weighing more.

    Args:
        decay: In [0, 1), of the moving mean: the last 1 / (1 - decay) steps or so count.
    """

    def __init__(self, decay: float = 0.99) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise MillisError(f"pruning.criterion.decay={decay}: expected 0 (the last step alone) up to 1, 1 excluded")
        self.decay = decay

    def accumulate(self, seen: Tensor, gradient: Tensor) -> None:
        """S ← decay · S + (1 - decay) · (∂L/∂z)²; the start at 0 shortens all scores alike."""
        seen.lerp_(gradient.square(), 1 - self.decay)
