"""Movement: weights that training moves away from zero stay, however small they are (Sanh et al. 2020, 2005.07683)."""

from torch import Tensor

from millis.pruning.criterion.gate_gradient import GateGradient


class Movement(GateGradient):
    """S = -Σ_t w_t · ∂L/∂w'_t: positive where a step of gradient descent would have enlarged |w| (section 4).

    The sum runs over all training steps. The paper multiplies it by a learning rate, which changes no ranking, and its
    code hands it to Adam, which does: that is `SoftMovement`.
    """

    def accumulate(self, seen: Tensor, gradient: Tensor) -> None:
        """S ← S - ∂L/∂z."""
        seen.sub_(gradient)
