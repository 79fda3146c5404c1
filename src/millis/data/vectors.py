"""Vectors of length 1, and the nearest of them by cosine."""

import hashlib
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.store import fingerprint

TOGETHER = 64  # vectors whose nearest are looked for at once


class Vectors:
    """[C, D], each of length 1, such as those of the entries of a collection. Equal by what they hold.

    Args:
        values: The numbers.
        held_by: What owns their memory, where that is no array.
    """

    def __init__(self, values: NDArray[np.float32], held_by: Any = None) -> None:
        self.values, self._held_by = values, held_by

    @cached_property
    def content(self) -> str:
        """Of the numbers, in half precision; serving never asks for it."""
        return fingerprint(self.values.shape, hashlib.sha256(self.values.astype(np.float16).tobytes()).hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vectors) and self.content == other.content

    def __hash__(self) -> int:
        return hash(self.content)

    def __repr__(self) -> str:
        return f"Vectors({self.content})"

    def ranked(self, found: NDArray[np.float32], most: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The nearest entries of each vector by cosine, nearest first, and their cosines, [N, most] both.

        Args:
            found: Vectors of any length, [N, D].

        Raises:
            MillisError: they are no finite numbers.
        """
        parts = [self._ranked(rows, most) for rows in _together(unit(found))]
        places, cosines = (np.concatenate(part) for part in zip(*parts, strict=True))
        return places, cosines

    def _ranked(self, found: NDArray[np.float32], most: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        cosines = found @ self.values.T
        places = np.stack([_largest(row, min(most, len(self.values))) for row in cosines])
        return places, np.take_along_axis(cosines, places, axis=1)


def unit(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors [N, D] of any length as those of length 1.

    Raises:
        MillisError: they are no finite numbers.
    """
    if not np.isfinite(found).all():
        raise MillisError("got vectors that are no finite numbers: the model diverged, or its artifact is damaged")
    scaled: NDArray[np.float32] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    return scaled


def _together(found: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Rows in parts, so that the cosines with a large collection are not all in memory at once."""
    return [found[begin : begin + TOGETHER] for begin in range(0, max(1, len(found)), TOGETHER)]


def _largest(values: NDArray[np.float32], most: int) -> NDArray[np.int64]:
    """Places of the largest of [C], largest first, equal ones in their order, [most]."""
    least = np.partition(values, -most)[-most]
    places = np.flatnonzero(values >= least)
    return places[np.argsort(-values[places], kind="stable")[:most]]
