"""Does an artifact answer as the model it was made from does? Compared on the same texts, request by request."""

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError


def parity(runner_logits: NDArray[np.float32], eager_logits: NDArray[np.float32]) -> dict[str, float]:
    """Agreement of a runner with eager fp32.

    Args:
        runner_logits: [N, C], from `Runner.logits`.
        eager_logits: [N, C], the fp32 module's on the same texts.

    Returns:
        `label_agreement`: share of texts (0..1) given the same label; `max_abs_logit_difference`: the largest |Δlogit|.

    Raises:
        MillisError: different shapes, no texts, or logits that are not finite.
    """
    if runner_logits.shape != eager_logits.shape or not runner_logits.size:
        raise MillisError(
            f"parity got logits of shape {runner_logits.shape} and {eager_logits.shape}, expected the same [N, C] with "
            "at least one text. Run both on the same texts and labels"
        )
    if not (np.isfinite(runner_logits).all() and np.isfinite(eager_logits).all()):
        raise MillisError(
            "parity got logits that are not finite: the model is broken on this backend or diverged in training"
        )
    agree = runner_logits.argmax(axis=1) == eager_logits.argmax(axis=1)
    return {
        "label_agreement": float(agree.mean()),
        "max_abs_logit_difference": float(np.abs(runner_logits - eager_logits).max()),
    }
