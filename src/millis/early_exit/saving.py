"""What early exits saved: where texts left, and how many layers that leaves uncomputed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from millis.models.spec import Spec


def depths(spec: Spec) -> list[int]:
    """Layers computed up to each exit, the last included: exits after layers 1 and 3 of six give 2, 4, 6."""
    assert spec.shape is not None, "exits stand between layers"
    return [*(layer + 1 for layer in spec.exits), len(spec.shape.heads)]


def exit_metrics(spec: Spec, steps: Sequence[int] | NDArray[np.int64]) -> dict[str, float]:
    """What a record says of exits.

    Args:
        spec: Of a model with exits.
        steps: Segments that each text took, [N], at least 1.

    Returns:
        `exit_layer_mean`: layers computed for a text; `exit_after_2_layers_share` and so on: share of the texts (0..1)
        answered there; `expected_saving_share`: share of the layers not computed (0..1).
    """
    layers = depths(spec)
    taken: NDArray[np.int64] = np.asarray(layers)[np.asarray(steps) - 1]
    shares = {f"exit_after_{depth}_layers_share": float((taken == depth).mean()) for depth in layers}
    mean = float(taken.mean())
    return {"exit_layer_mean": mean, **shares, "expected_saving_share": 1 - mean / layers[-1]}


def measured_saving(latency_ms: Sequence[Sequence[float]], whole_ms: Sequence[Sequence[float]]) -> float:
    """Share of the time saved (0..1) against the same model as a whole: 1 - median over rounds of the ratio of means.

    Means, for a saving is one of the sum of all requests; their ratio within a round, for both answered the same texts
    in the same second; the median over rounds, so that no single interruption decides.

    Args:
        latency_ms, whole_ms: End-to-end samples of the same requests, [R][requests], milliseconds.
    """
    ratios = [np.mean(early) / np.mean(whole) for early, whole in zip(latency_ms, whole_ms, strict=True)]
    return 1 - float(np.median(ratios))
