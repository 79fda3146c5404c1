"""Rank: how many singular values of a matrix [O, I] are kept. One rule a class, chosen by its YAML.

A rule is called with the matrix's rows O, columns I and, where it asks for them (`needs_weights`), its singular values,
and gives the rank. What does not fall below the break-even rank O I / (O + I) is the caller's to leave whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from millis.errors import MillisError
from millis.models.low_rank import break_even


class RankRule(Protocol):
    """Chooses a matrix's rank."""

    @property
    def needs_weights(self) -> bool:
        """Whether singular values decide, so that the architecture is not known before the weights are."""
        ...

    def __call__(self, rows: int, columns: int, singular_values: Tensor | None) -> int:
        """The rank, at least 1."""
        ...

    def describe(self) -> str:
        """A word for the recipe's name."""
        ...


@dataclass(frozen=True)
class Ratio:
    """The largest rank whose two factors hold at most `ratio` of the matrix's weights: r (O + I) <= ratio O I.

    Args:
        ratio: Share of weights kept, in (0, 1).

    Raises:
        MillisError: a ratio outside (0, 1).
    """

    needs_weights: ClassVar[bool] = False

    ratio: float

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise MillisError(
                f"factorization.rank.ratio={self.ratio}: expected a share of the weights above 0 and below 1 "
                "(0.5 halves a matrix; factorization=none keeps it)"
            )

    def __call__(self, rows: int, columns: int, singular_values: Tensor | None) -> int:
        # 0.1 * 30 is 3.0000000000000004 and 0.7 * 30 is 20.999999999999996: whole numbers are meant.
        return max(1, int(self.ratio * break_even(rows, columns) + 1e-9))

    def describe(self) -> str:
        return f"{self.ratio:g}"


@dataclass(frozen=True)
class Fixed:
    """One rank for every matrix, ALBERT's E for a word table among them.

    Args:
        rank: r.

    Raises:
        MillisError: a rank below 1.
    """

    needs_weights: ClassVar[bool] = False

    rank: int

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise MillisError(f"factorization.rank.rank={self.rank}: expected at least 1")

    def __call__(self, rows: int, columns: int, singular_values: Tensor | None) -> int:
        return self.rank

    def describe(self) -> str:
        return f"r{self.rank}"


@dataclass(frozen=True)
class Energy:
    """The smallest rank that keeps the share `energy` of the sum of squared singular values.

    Σ_{i <= r} σ_i² >= energy Σ_i σ_i²: 1 - energy is the squared relative error of the approximation.

    Args:
        energy: In (0, 1].

    Raises:
        MillisError: an energy outside (0, 1].
    """

    needs_weights: ClassVar[bool] = True

    energy: float

    def __post_init__(self) -> None:
        if not 0 < self.energy <= 1:
            raise MillisError(
                f"factorization.rank.energy={self.energy}: expected a share of the squared singular values above 0 and "
                "up to 1; 0.9 is usual"
            )

    def __call__(self, rows: int, columns: int, singular_values: Tensor | None) -> int:
        assert singular_values is not None  # `needs_weights`
        cumulated = singular_values.double().square().cumsum(0)
        enough = cumulated >= self.energy * cumulated[-1] * (1 - 1e-12)  # sums of rounded squares
        return int(torch.nonzero(enough)[0]) + 1

    def describe(self) -> str:
        return f"energy {self.energy:g}"


@dataclass(frozen=True)
class Latency:
    """The largest rank at which the whole model was measured to keep a target; one rank for every matrix.

    Quality does not fall with the rank, so the largest that is fast enough is the one to take; a rank whose time is an
    outlier above the target while a larger one keeps it does not matter.

    Args:
        latency_ms: Rank → measured milliseconds of the model with every chosen matrix at that rank; the whole model at
            `Fixed(rank)` is what to measure.
        target_ms: The most that is allowed.

    Raises:
        MillisError: an empty table, or a target that no rank in it keeps.
    """

    needs_weights: ClassVar[bool] = False

    latency_ms: Mapping[int, float]
    target_ms: float

    def __post_init__(self) -> None:
        if not self.latency_ms:
            raise MillisError("factorization.rank.latency_ms is empty: expected {rank: measured milliseconds, ...}")
        fastest = min(self.latency_ms, key=lambda rank: self.latency_ms[rank])
        if self.latency_ms[fastest] > self.target_ms:
            raise MillisError(
                f"factorization.rank.target_ms={self.target_ms} is out of reach: the fastest rank measured, {fastest}, "
                f"takes {self.latency_ms[fastest]:g} ms. Allow more, measure smaller ranks, or cut layers as well"
            )

    @property
    def rank(self) -> int:
        """The rank chosen."""
        return max(rank for rank, milliseconds in self.latency_ms.items() if milliseconds <= self.target_ms)

    def __call__(self, rows: int, columns: int, singular_values: Tensor | None) -> int:
        return self.rank

    def describe(self) -> str:
        return f"r{self.rank}"
