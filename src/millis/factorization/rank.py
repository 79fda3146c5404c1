"""Rank: how many singular values of a matrix [O, I] are kept. One rule a class, chosen by its YAML.

A rule is called with the matrix's rows O, columns I and, where it asks for them (`needs_weights`), its singular values,
and gives the rank. What does not fall below the break-even rank O I / (O + I) is the caller's to leave whole.
"""

from collections.abc import Callable
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
    """The largest share of the weights (`Ratio`, the same for every matrix) at which the whole model is measured to be
    fast enough.

    Shares are multiples of 1 / `steps`. Neither quality nor latency falls with the rank, so the share is found by
    bisection: log2(steps) + 1 models are timed.

    Args:
        target_speedup: Latency of the model with whole matrices / latency of the factorized one, on the backend.
        steps: Shares that are told apart.

    Raises:
        MillisError: a speed-up that is none, or fewer than 2 steps.
    """

    needs_weights: ClassVar[bool] = False

    target_speedup: float
    steps: int = 16

    def __post_init__(self) -> None:
        if not 1 < self.target_speedup < float("inf"):
            raise MillisError(
                f"factorization.rank.target_speedup={self.target_speedup}: expected above 1, such as 1.5; "
                "factorization=none keeps the model"
            )
        if self.steps < 2:
            raise MillisError(f"factorization.rank.steps={self.steps}: expected at least 2; 16 are usual")

    def choose(self, speedup: Callable[[Ratio], float]) -> Ratio:
        """The rule that keeps the target.

        Args:
            speedup: Measured, over the model with whole matrices.

        Raises:
            MillisError: the smallest share is too slow.
        """
        if (fastest := speedup(Ratio(1 / self.steps))) < self.target_speedup:
            raise MillisError(
                f"factorization.rank.target_speedup={self.target_speedup:g} is out of reach: with 1/{self.steps} of "
                f"the weights the model is {fastest:.2f} times as fast. Ask for less, or cut layers as well"
            )
        enough, too_much = 1, self.steps  # all of the weights are no faster than all of the weights
        while too_much - enough > 1:
            middle = (enough + too_much) // 2
            if speedup(Ratio(middle / self.steps)) >= self.target_speedup:
                enough = middle
            else:
                too_much = middle
        return Ratio(enough / self.steps)

    def __call__(self, rows: int, columns: int, singular_values: Tensor | None) -> int:
        raise MillisError(
            "a rank by latency has to be measured first: millis.factorization.contract.Factorization.settled"
        )

    def describe(self) -> str:
        return f"{self.target_speedup:g}x"
