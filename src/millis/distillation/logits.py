"""Distilling logits: six ways to measure how far the student's answers are from the teacher's.

All take logits [M, C] of both and a temperature T, average over the M positions that are answered (the texts of a
batch, or their words) and carry T², so that a weight means the same at every temperature (Hinton, Vinyals, Dean 2015,
1503.02531, end of section 2).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

SKEW = 0.1  # α of the skewed divergences, as their paper has it

LogitLoss = Callable[[Tensor, Tensor, float], Tensor]
"""Student's and teacher's logits [M, C] and the temperature in, a scalar out."""


def softened_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL( softmax(teacher / T) ‖ softmax(student / T) ), averaged over positions.

    Forward KL: the teacher's distribution is the first argument, so the student must cover all that the teacher finds
    likely. The factor T² keeps the gradient's size independent of T (paper, end of section 2).

    Args:
        student, teacher: Logits, [M, C].
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


def reverse_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL( softmax(student / T) ‖ softmax(teacher / T) ), averaged over positions.

    The student's distribution is the first argument: it pays for mass where the teacher has none and not for what it
    leaves out, so a small student settles on the teacher's main mode (MiniLLM, 2306.08543, section 2.1).

    Args:
        student, teacher: Logits, [M, C].
        temperature: T > 0.

    Returns:
        Scalar, in nats times T².
    """
    return softened_kl(teacher, student, temperature)


def jensen_shannon(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · ( KL(p ‖ m) + KL(q ‖ m) ) / 2 with p, q the softened distributions and m = (p + q) / 2.

    Symmetric, between forward and reverse, and never above T² · ln 2 a text, so that no text outweighs a batch
    (generalised in 2306.13649, section 2, with β = 1/2).

    Args:
        student, teacher: Logits, [M, C].
        temperature: T > 0.

    Returns:
        Scalar, in nats times T².
    """
    p, q = (F.log_softmax(logits / temperature, dim=-1) for logits in (teacher, student))
    middle = torch.logaddexp(p, q) - math.log(2)
    halves = [F.kl_div(middle, logs, reduction="batchmean", log_target=True) for logs in (p, q)]
    return (halves[0] + halves[1]) / 2 * temperature**2


def skewed_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL( p ‖ α p + (1 - α) q ) with p, q the softened distributions and α = `SKEW`, averaged over positions.

    Forward KL to a student that is helped by a share of the teacher: where it has next to no mass the gradient stays
    bounded, which over the thousands of tokens of a vocabulary is most places (DistiLLM, 2402.03898, section 3.1).

    Args:
        student, teacher: Logits, [M, C].
        temperature: T > 0.

    Returns:
        Scalar, in nats times T².
    """
    p, q = (F.log_softmax(logits / temperature, dim=-1) for logits in (teacher, student))
    mixed = torch.logaddexp(p + math.log(SKEW), q + math.log1p(-SKEW))
    return F.kl_div(mixed, p, reduction="batchmean", log_target=True) * temperature**2


def skewed_reverse_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL( q ‖ α q + (1 - α) p ): `skewed_kl` with teacher and student in each other's place.

    Args:
        student, teacher: Logits, [M, C].
        temperature: T > 0.

    Returns:
        Scalar, in nats times T².
    """
    return skewed_kl(teacher, student, temperature)


def logit_mse(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · mean over batch and labels of ( (student - teacher) / T )², which T leaves alone: mean (student - teacher)².

    Twice what forward KL turns into for T far above the logits, where the logits' means agree
    (1503.02531, equation 4); it also matches what a softmax hides, the logits' common level (2105.08919, section 3).

    Args:
        student, teacher: Logits, [M, C].
        temperature: Of no effect.

    Returns:
        Scalar, in squared logits.
    """
    del temperature
    return F.mse_loss(student, teacher)
