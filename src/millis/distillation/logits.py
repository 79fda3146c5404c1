"""Distilling logits: the student matches the teacher's softened distribution.

Hinton, Vinyals, Dean 2015 (1503.02531), section 2.
"""

import torch.nn.functional as F
from torch import Tensor


def softened_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL( softmax(teacher / T) ‖ softmax(student / T) ), averaged over the batch.

    Forward KL: the teacher's distribution is the first argument, so the student must cover all that the teacher finds
    likely. The factor T² keeps the gradient's size independent of T (paper, end of section 2).

    Args:
        student, teacher: Logits, [B, C].
        temperature: T > 0; above 1 softens.

    Returns:
        Scalar, in nats times T².
    """
    divergence = F.kl_div(
        F.log_softmax(student / temperature, dim=-1),
        F.log_softmax(teacher / temperature, dim=-1),
        reduction="batchmean",
        log_target=True,
    )
    return divergence * temperature**2
