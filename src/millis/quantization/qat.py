"""What quantization-aware training is asked for, as a part of `millis.quantization.spec`.

`millis.quantization.rounding` does it. Nothing heavy is imported here.
"""

from dataclasses import dataclass

from millis.errors import MillisError, nearest

RANGES = ("min_max", "moving_average", "percentile", "lsq")  # each with an entry in `millis.quantization.ranges`


@dataclass(frozen=True)
class Aware:
    """How training gets to know the rounding.

    Args:
        ranges: How a grid's range is found. Of weights, whole at every step: `min_max` and `moving_average` take all of
            it, `percentile` clips, `lsq` learns the step. Of static activations, seen a batch at a time: `min_max` the
            widest so far, `moving_average` over batches, `percentile` a moving average of the batches' percentiles,
            `lsq` learned. Dynamic activations have the range of the request at hand, whatever is said here.
        embeddings: Round embedding tables too. The backend rounds them in any case; False spares training a
            millisecond a step and leaves it unaware of them.
        start_after: Share of training before rounding begins; ranges are observed from the first batch on.
        freeze_after: Share of training after which observed ranges and learned steps no longer move, so that the
            weights settle on the grid that will be deployed.
        momentum: Share of the old range that a batch leaves in a moving average: 0.98 is about the last 50 batches.
        percentile: Of a tensor's values, on either side, that its range covers. A weight's row of 384 values is clipped
            at 99.7 and below only, a block of 32 at 96 and below.
    """

    ranges: str = "moving_average"
    embeddings: bool = True
    start_after: float = 0.0
    freeze_after: float = 0.8
    momentum: float = 0.98
    percentile: float = 99.9

    def __post_init__(self) -> None:
        if self.ranges not in RANGES:
            raise MillisError(
                f"quantization.aware.ranges={self.ranges!r} is unknown; expected one of {', '.join(RANGES)}"
                f"{nearest(str(self.ranges), RANGES)}"
            )
        if not 0 <= self.start_after < self.freeze_after < 1:
            raise MillisError(
                f"quantization.aware.start_after={self.start_after}, freeze_after={self.freeze_after}: expected shares "
                "of the training, 0 <= start_after < freeze_after < 1"
            )
        if not 0 <= self.momentum < 1:
            raise MillisError(
                f"quantization.aware.momentum={self.momentum}: expected 0 (the last batch alone) up to 1, 1 excluded"
            )
        if not 50 < self.percentile <= 100:
            raise MillisError(
                f"quantization.aware.percentile={self.percentile}: expected above 50, up to 100 (nothing is clipped); "
                "99 to 99.99 is usual"
            )
