"""Calibration: texts that stand for the requests to come, and the ranges of activations on them.

Texts are read one at a time, without padding, as a deployed request comes: a range holds what requests hold and nothing
else. Where histograms are asked for, the texts are read twice, for the extremes and then for the counts between them;
so memory does not grow with the number of texts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.quantization.spec import Calibration
from millis.types import Features

if TYPE_CHECKING:
    from millis.data.encode import Encoded

BINS = 8192  # of a histogram: 32 for each of the 256 integers
SHARES = np.linspace(0.05, 1.0, 96)  # of the largest magnitude, tried as the threshold that `entropy` clips at
LEVELS = 256  # integers of 8 bits
LEAST = 1e-9  # of Q's mass in a bin: outliers piled on an empty bin make a divergence large, not infinite

Range: TypeAlias = tuple[float, float]
"""Lowest and highest value; 0 lies between them, for it must have an integer of its own."""

Request = TypeVar("Request")
Probe: TypeAlias = Callable[[Request], Mapping[str, NDArray[np.float32]]]
"""One request in, the tensors to find ranges for out, by name."""


class Histogram(NamedTuple):
    """How often values occur: `counts[i]` of those between `edges[i]` and `edges[i + 1]`."""

    counts: NDArray[np.int64]  # [BINS]
    edges: NDArray[np.float64]  # [BINS + 1]


def sample(encoded: "Encoded", count: int) -> list[Features]:
    """`count` texts of a tokenised split as requests [1, S], taken at even distances."""
    rows = np.unique(np.linspace(0, len(encoded) - 1, num=min(count, len(encoded))).round().astype(int))
    found = []
    for row in rows:
        span = slice(encoded.offsets[row], encoded.offsets[row + 1])
        ids = encoded.ids[None, span].astype(np.int64)
        types = None if encoded.token_types is None else encoded.token_types[None, span].astype(np.int64)
        found.append(Features(ids, np.ones_like(ids), types))
    return requests(found)


def requests(features: Sequence[Features]) -> list[Features]:
    """Batches [B, S], padded on the right, as requests [1, S] without padding; texts without tokens are left out.

    Raises:
        MillisError: no text is left.
    """
    found = []
    for ids, mask, types in features:
        for row, length in enumerate(mask.sum(axis=1)):
            if length:
                cut = (slice(row, row + 1), slice(0, length))
                found.append(Features(ids[cut], mask[cut], None if types is None else types[cut]))
    if not found:
        raise MillisError(
            f"calibration got {len(features)} batches and no text with a token in them; ranges of activations are "
            "found from texts. Pass training texts (128 are enough), or choose quantization=dynamic, which needs none"
        )
    return found


def by_length(requests: Sequence[Features]) -> list[Features]:
    """Requests [1, S] joined to batches [B, S] of equal length: what each computes is what it computes alone."""
    groups: dict[int, list[Features]] = {}
    for request in requests:
        groups.setdefault(request.ids.shape[1], []).append(request)
    return [_joined(group) for group in groups.values()]


def _joined(group: Sequence[Features]) -> Features:
    ids, masks, types = zip(*group, strict=True)
    typed = [each for each in types if each is not None]
    return Features(np.concatenate(ids), np.concatenate(masks), np.concatenate(typed) if typed else None)


def ranges(probe: Probe[Request], requests: Sequence[Request], calibration: Calibration) -> dict[str, Range]:
    """The range of every tensor that `probe` gives.

    Args:
        probe: Runs the model; its tensors may have any shape.
        requests: In the form that `probe` takes.
        calibration: The method.
    """
    extremes: dict[str, Range] = {}
    for request in requests:
        for name, values in probe(request).items():
            low, high = extremes.get(name, (0.0, 0.0))
            extremes[name] = (min(low, float(values.min())), max(high, float(values.max())))
    if calibration.method == "min_max":
        return extremes
    counts = {name: np.zeros(BINS, np.int64) for name in extremes}
    for request in requests:
        for name, values in probe(request).items():
            counts[name] += np.histogram(values, BINS, extremes[name])[0]
    method = _CLIPPED[calibration.method]
    found = {}
    for name, extreme in extremes.items():
        histogram = Histogram(counts[name], np.linspace(*extreme, BINS + 1))
        found[name] = method(histogram, calibration) if extreme[0] < extreme[1] else extreme
    return found


def percentile(histogram: Histogram, calibration: Calibration) -> Range:
    """The outer edges of the bins where the (100 - p) / 2 and (100 + p) / 2 percent points lie, 0 included."""
    counts, edges = histogram
    outside = counts.sum() * (1 - calibration.percentile / 100) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])
    first = int(np.searchsorted(below, outside, side="right"))
    last = BINS - int(np.searchsorted(above, outside, side="right"))
    return min(float(edges[first]), 0.0), max(float(edges[last]), 0.0)


def entropy(histogram: Histogram, calibration: Calibration) -> Range:
    """The range [max(low, -t), min(high, t)] that minimises KL(P ‖ Q) over thresholds t (Migacz 2017, "8-bit Inference
    with TensorRT").

    P is the histogram inside the range with what lies outside added to the bins at its ends; Q is the histogram inside
    the range at the resolution of 256 integers, each integer's mass spread evenly over its bins that P has mass in.
    """
    centres = (histogram.edges[1:] + histogram.edges[:-1]) / 2
    low, high = float(histogram.edges[0]), float(histogram.edges[-1])
    largest = max(-low, high)
    candidates = [(max(low, -largest * share), min(high, largest * share)) for share in SHARES]
    return min(candidates, key=lambda found: _divergence(histogram.counts, centres, found))


def _divergence(counts: NDArray[np.int64], centres: NDArray[np.float64], found: Range) -> float:
    """KL(P ‖ Q) in nats; infinite where nothing lies inside the range."""
    low, high = found
    first, last = np.searchsorted(centres, low), np.searchsorted(centres, high)
    inside = counts[first:last].astype(np.float64)
    if not inside.sum():
        return np.inf
    clipped = inside.copy()
    clipped[0] += counts[:first].sum()
    clipped[-1] += counts[last:].sum()
    integers = np.rint((centres[first:last] - low) * ((LEVELS - 1) / (high - low))).astype(int)
    mass, bins = np.bincount(integers, inside, LEVELS), np.bincount(integers, clipped > 0, LEVELS)
    coarse = np.where(clipped > 0, mass[integers] / np.maximum(bins[integers], 1), 0)
    p, q = clipped / clipped.sum(), np.maximum(coarse / coarse.sum(), LEAST)
    return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum())


_CLIPPED: dict[str, Callable[[Histogram, Calibration], Range]] = {"percentile": percentile, "entropy": entropy}
