"""The tower of users: what was taken last, most recent first, to a vector; NumPy alone, for it runs where requests are.

    mean = Σ a_k z_k,   a = softmax of recency weights, k = 1 the most recent of up to n items
    u    = mean + A relu(B [mean; z_1] + b) + z_1 C
    score(u, item) = u · z_item + popularity_item

A mean with learned recency (as FISM, Kabbur et al. 2013, with weights of position), the step from the last item to the
next (FPMC, Rendle et al. 2010), and a small network of both. Item vectors z = t P + e are those of the text, projected,
and what was learned of an item itself, which a new item has none of; see `learning`.

Axes here: C items, n of a history, T of a text's vector, K of an item's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Tower:
    """Weights of both towers.

    Args:
        projection: P, of a text's vector to an item's, [T, K].
        recency: One a place in a history, most recent first, [n].
        step: C, [K, K].
        inner: B, [2 K, F].
        bias: b, [F].
        outer: A, [F, K].
        popularity: Of an item that nobody took yet, [1].
    """

    projection: Numbers
    recency: Numbers
    step: Numbers
    inner: Numbers
    bias: Numbers
    outer: Numbers
    popularity: Numbers

    def __post_init__(self) -> None:
        width, hidden = self.projection.shape[-1], self.bias.shape[-1]
        shapes = {
            "projection": (len(self.projection), width), "recency": (len(self.recency),), "step": (width, width),
            "inner": (2 * width, hidden), "bias": (hidden,), "outer": (hidden, width), "popularity": (1,),
        }  # fmt: skip
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values.shape != shape or not values.size or not np.isfinite(values).all():
                raise MillisError(f"{name} has shape {values.shape}: expected finite numbers of shape {shape}")

    @classmethod
    def of(cls, tensors: Mapping[str, Any]) -> "Tower":
        """Of arrays by name.

        Raises:
            MillisError: one is missing, or does not fit the others.
        """
        names = [one.name for one in fields(cls)]
        if missing := [name for name in names if name not in tensors]:
            raise MillisError(f"the tower has no {missing[0]}")
        return cls(**{name: np.asarray(tensors[name], np.float32) for name in names})

    def tensors(self) -> dict[str, Numbers]:
        """By name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @property
    def longest(self) -> int:
        """Most items of a history that are read."""
        return len(self.recency)

    def items(self, texts: Numbers) -> Numbers:
        """Vectors of items that nobody took yet, of the vectors of their texts, [..., T] → [..., K]."""
        return np.asarray(texts @ self.projection, np.float32)

    def user(self, taken: Numbers) -> Numbers:
        """The vector of somebody who took items with these vectors, the last one most recently, [n, K] → [K]."""
        recent = taken[: -self.longest - 1 : -1]
        weights = np.exp(self.recency[: len(recent)] - self.recency[: len(recent)].max())
        mean, last = (weights / weights.sum()) @ recent, recent[0]
        inner = np.maximum(np.concatenate([mean, last]) @ self.inner + self.bias, 0)
        return np.asarray(mean + inner @ self.outer + last @ self.step, np.float32)
