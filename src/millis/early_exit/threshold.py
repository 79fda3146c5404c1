"""The threshold of a policy: chosen on validation for a stated quality drop, its risk bounded.

Of the policy's thresholds the one is taken that saves most layers while the validation split loses at most the stated
points against the last exit. What a split of N texts says of texts to come is then bounded, without assumptions on the
model: with a texts right at the last exit and wrong where they left, and b the other way round,

    accuracy drop ≤ CP⁺(a, N, δ / 2T) - CP⁻(b, N, δ / 2T)      with probability 1 - δ,

where CP⁺ and CP⁻ are Clopper and Pearson's exact binomial limits (1934), 2 T limits share δ by Bonferroni, and T is the
number of thresholds tried: so the bound holds for whichever is chosen (Learn then Test, 2110.01052, with
exact tails in place of Hoeffding-Bentkus).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.early_exit import policy as policies
from millis.errors import MillisError

Score = Callable[[Sequence[int], Sequence[int]], float]
"""Predictions and references in, a quality out of which more is better."""


@dataclass(frozen=True)
class Chosen:
    """A threshold and what it did on validation.

    Args:
        threshold: A text leaves where the policy's score reaches it.
        quality_drop: By how much the task's metric is worse than at the last exit, points; negative is better.
        accuracy_drop_bound: Upper confidence bound on the drop in accuracy, points.
        saving_share: Share of the layers not computed, on average.
        texts: N.
    """

    threshold: float
    quality_drop: float
    accuracy_drop_bound: float
    saving_share: float
    texts: int


def leaving(policy: str, threshold: float, logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """Position of the exit that answers each text, [N].

    Args:
        logits: [E, N, C], every exit's.
    """
    score = policies.named(policy).score
    exits, texts = logits.shape[:2]
    leaves = np.full(texts, exits - 1)
    for position in range(exits - 2, -1, -1):
        leaves[score(logits[: position + 1]) >= threshold] = position
    return leaves


def choose(
    policy: str,
    logits: NDArray[np.float32],
    references: Sequence[int],
    depths: Sequence[int],
    score: Score,
    quality_drop: float,
    confidence: float,
) -> Chosen:
    """The threshold that saves most layers and loses at most `quality_drop` points.

    Args:
        policy: Its name.
        logits: [E, N, C] on the validation split, from the artifact that answers.
        references: True labels, [N].
        depths: Layers computed up to each exit, [E].
        score: The task's metric, negated where lower is better.
        quality_drop: Points below the last exit.
        confidence: 1 - δ of the bound.

    Raises:
        MillisError: no threshold at which a text leaves early keeps the drop.
    """
    truth, rows = np.asarray(references), np.arange(logits.shape[1])
    labels = logits.argmax(axis=2)  # [E, N]
    full = score(labels[-1].tolist(), references)
    candidates = policies.named(policy).thresholds(len(logits) - 1)
    tried: list[Chosen] = []
    for threshold in candidates:
        leaves = leaving(policy, threshold, logits)
        if (leaves == len(logits) - 1).all():
            continue
        early = labels[leaves, rows]
        bound = accuracy_drop_bound(early == truth, labels[-1] == truth, (1 - confidence) / len(candidates))
        drop = full - score(early.tolist(), references)
        saving = 1 - float(np.mean(np.asarray(depths)[leaves])) / depths[-1]
        tried.append(Chosen(threshold, drop, bound, saving, len(references)))
    if kept := [found for found in tried if found.quality_drop <= quality_drop]:
        return max(kept, key=lambda found: (found.saving_share, found.threshold))
    raise MillisError(_refusal(policy, tried, quality_drop, len(references)))


def accuracy_drop_bound(early: NDArray[Any], full: NDArray[Any], risk: float) -> float:
    """Upper bound on the drop in accuracy, points, that holds with probability 1 - `risk`.

    Args:
        early, full: Whether each text is answered right where it left, and at the last exit, [N].
        risk: δ; half of it for each tail.
    """
    texts = len(full)
    lost, won = int((full & ~early).sum()), int((early & ~full).sum())
    return 100 * (upper_limit(lost, texts, risk / 2) - lower_limit(won, texts, risk / 2))


def upper_limit(successes: int, trials: int, risk: float) -> float:
    """Clopper and Pearson's upper limit: the p at which `successes` or fewer of `trials` have probability `risk`."""
    if successes >= trials:
        return 1.0
    low, high = successes / trials, 1.0
    for _ in range(50):  # halvings: 1e-15
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(successes, trials, middle) > risk else (low, middle)
    return high


def lower_limit(successes: int, trials: int, risk: float) -> float:
    """The lower limit: that of the failures, mirrored."""
    return 1 - upper_limit(trials - successes, trials, risk)


def _at_most(successes: int, trials: int, p: float) -> float:
    """P(X ≤ successes) for X ~ Binomial(trials, p), 0 < p < 1."""
    logs = np.log(np.arange(1, trials + 1))
    factorials = np.concatenate([[0.0], np.cumsum(logs)])
    k = np.arange(successes + 1)
    terms = (
        factorials[trials] - factorials[k] - factorials[trials - k] + k * math.log(p) + (trials - k) * math.log1p(-p)
    )
    return float(np.exp(terms).sum())


def _refusal(policy: str, tried: Sequence[Chosen], quality_drop: float, texts: int) -> str:
    if not tried:
        return (
            f"no threshold of early_exit.policy={policy} lets one of {texts} validation texts leave before the last "
            "exit. Train the exits longer, put exits after later layers (early_exit.layers) or choose another policy"
        )
    mildest = min(tried, key=lambda found: (found.quality_drop, -found.saving_share))
    return (
        f"no threshold of early_exit.policy={policy} keeps early_exit.quality_drop={quality_drop:g} on {texts} "
        f"validation texts: the nearest loses {mildest.quality_drop:.2f} points and saves {mildest.saving_share:.0%} "
        "of the layers. Allow a larger drop, train the exits longer, or put them after later layers (early_exit.layers)"
    )
