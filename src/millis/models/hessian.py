"""What inputs of a linear layer can make good for each other: the inverse of the Hessian of its output's error.

‖(W - Ŵ) X‖² is quadratic in each row of W, with the Hessian H = X Xᵀ (to a factor). Whoever rounds weights (GPTQ,
2210.17323) or takes them away (SparseGPT, 2301.00774) one input at a time needs row j of the inverse of what is left of
H, which is row j of U, the upper Cholesky factor of H⁻¹, times U_jj.
"""

import torch
from torch import Tensor

from millis.errors import MillisError


def check_finite(products: Tensor, method: str, layer: str) -> None:
    """Refuse X Xᵀ of numbers that are none.

    Args:
        method: That reads it, as options call it.
        layer: That reads X.

    Raises:
        MillisError: as said.
    """
    if not bool(torch.isfinite(products).all()):
        raise MillisError(
            f"{method}: {layer} reads NaN or infinite values on the calibration texts, expected finite ones: the "
            "training has diverged. Train again with a lower learning rate"
        )


def dead(products: Tensor) -> Tensor:
    """Inputs that no text activates, [I]: their rows and columns of X Xᵀ are 0, and they have no part in any error."""
    found: Tensor = products.diagonal() == 0
    return found


def inverse_factor(products: Tensor, dampening: float, order: Tensor | None = None) -> Tensor:
    """U [I, I] with Uᵀ U = (H + λ I)⁻¹; λ is `dampening` times the mean of H's diagonal, where a dead input has 1.

    Args:
        products: X Xᵀ [I, I], fp64.
        dampening: Above 0: fewer texts than inputs leave H singular.
        order: Of the inputs; None leaves them as they are.
    """
    hessian = products + torch.diag(dead(products).to(products.dtype))
    if order is not None:
        hessian = hessian[order][:, order]
    hessian = hessian + torch.eye(len(hessian), dtype=hessian.dtype) * (dampening * float(hessian.diagonal().mean()))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    factor: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor
