"""Weight sharing: every weight of a matrix becomes one of 2^b values (Deep Compression, 1510.00149, section 3).

k-means over a matrix's weights by Lloyd's steps

    w belongs to the centre that is nearest;  a centre is the mean of its weights

until no mean moves, from centres spread evenly between the least and the largest weight, as the paper has it (section
3.2), and once more from centres spread by density; the better is kept. Where a few weights are far out, as in tables of
positions, even centres end up with most clusters empty. In one dimension a cluster is a stretch of the sorted weights,
so a step is 2^b look-ups in a sum. The values lie in the archive once and each weight takes b bits
(`millis.storage.encodings.codebook`).

Departures: zeros that pruning left keep a value of their own, rather than being left out of a sparse code; the centres
are not fine-tuned; and what is clustered is what the runtime stores. Integers of a quantized model become 2^b integers,
so that a model that computes with int8 is stored in b bits and runs as fast as before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.storage.encodings import Array

STEPS = 300  # at most; a matrix of 10^6 weights settles in 50 to 200
LEAST = 1024  # weights: a smaller matrix does not pay for its values


@dataclass(frozen=True)
class Sharing:
    """k-means weight sharing, matrix by matrix.

    Args:
        bits: b, from 2 to 8, for 2^b values a matrix.
        skip: Patterns of tensor names, such as `*embeddings*`, that are left as they are.
    """

    bits: int
    skip: Sequence[str]

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise MillisError(f"storage sharing with bits={self.bits}: expected 2 to 8, for 4 to 256 values a matrix")

    def describe(self) -> str:
        """`shared 4`."""
        return f"shared {self.bits}"

    def apply(self, tensors: Mapping[str, Array]) -> tuple[dict[str, Array], str]:
        """Share the weights of every matrix; the rest, and what is skipped, stays exact."""
        chosen = [name for name, tensor in tensors.items() if self._takes(name, tensor)]
        made = {name: share(tensors[name], 2**self.bits) for name in chosen}
        bounded = [relative_error(tensors[name], made[name]) for name in chosen]
        note = (
            f"weights of {len(chosen)} matrices share {2**self.bits} values each: relative error "
            f"{np.mean(bounded or [0.0]):.3f} on average, {max(bounded, default=0.0):.3f} at most"
        )
        return {**tensors, **made}, note

    def _takes(self, name: str, tensor: Array) -> bool:
        # Unsigned bytes of more axes are blocks of `MatMulNBits`, two weights a byte.
        signed = tensor.ndim >= 2 and tensor.dtype.str in ("<f4", "|i1")
        matrix = signed or (tensor.ndim == 2 and tensor.dtype == np.uint8)
        return matrix and tensor.size >= LEAST and not any(fnmatch(name, pattern) for pattern in self.skip)


def share(weights: Array, values: int) -> Array:
    """`weights` with at most `values` different values, the same shape and type; integers stay integers."""
    flat = weights.reshape(-1)
    zeros = flat == 0 if weights.dtype.kind != "u" else np.zeros(flat.shape, bool)  # unsigned ones have a zero point
    rest = flat[~zeros]
    centres = k_means(rest, values - int(zeros.any()))
    nearest = centres[np.searchsorted((centres[1:] + centres[:-1]) / 2, rest.astype(np.float64))]
    made = np.zeros_like(flat)
    made[~zeros] = nearest if weights.dtype.kind == "f" else np.rint(nearest)
    return made.reshape(weights.shape)


def k_means(values: Array, k: int) -> NDArray[np.float64]:
    """Centres of at most `k` clusters of some numbers, ascending; fewer where some cluster is empty."""
    ordered = np.sort(values).astype(np.float64)
    if not ordered.size:
        return np.zeros(1)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    evenly = np.linspace(ordered[0], ordered[-1], k)
    by_density = ordered[((np.arange(k) + 0.5) / k * ordered.size).astype(int)]
    found = [_lloyd(ordered, sums, np.unique(start)) for start in (evenly, by_density)]
    return max(found, key=lambda one: one.explained).centres


class _Clusters(NamedTuple):
    centres: NDArray[np.float64]
    explained: float  # Σ n · centre²: what is left of Σ w² is the squared error


def _lloyd(ordered: NDArray[np.float64], sums: NDArray[np.float64], centres: NDArray[np.float64]) -> _Clusters:
    """Lloyd's steps on sorted numbers, whose sums up to each are known, from `centres` on."""
    for _ in range(STEPS):
        cuts = np.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2, side="right")
        bounds = np.concatenate([[0], cuts, [ordered.size]])
        counts = np.diff(bounds)
        means = np.diff(sums[bounds])[counts > 0] / counts[counts > 0]
        settled = means.shape == centres.shape and np.array_equal(means, centres)
        centres = means
        if settled:
            break
    return _Clusters(centres, float((counts[counts > 0] * centres**2).sum()))


def relative_error(before: Array, after: Array) -> float:
    """|before - after| / |before|, over all values; 0 where there are none but zeros."""
    exact = before.astype(np.float64)
    norm = float(np.linalg.norm(exact))
    return float(np.linalg.norm(exact - after)) / norm if norm else 0.0
