"""What training with rounding is asked for, and the texts of what it refuses."""

import pytest

from millis.errors import MillisError
from millis.quantization import ranges
from millis.quantization.qat import RANGES, Aware


def test_every_way_to_find_ranges_is_there():
    assert tuple(ranges.RANGES) == RANGES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ranges": "moving_averge"},
            "quantization.aware.ranges='moving_averge' is unknown; expected one of min_max, moving_average, "
            "percentile, lsq (did you mean 'moving_average'?)",
        ),
        (
            {"start_after": 0.9},
            "quantization.aware.start_after=0.9, freeze_after=0.8: expected shares of the training, 0 <= start_after < "
            "freeze_after < 1",
        ),
        (
            {"freeze_after": 1.0},
            "quantization.aware.start_after=0.0, freeze_after=1.0: expected shares of the training, 0 <= start_after < "
            "freeze_after < 1",
        ),
        (
            {"momentum": 1.0},
            "quantization.aware.momentum=1.0: expected 0 (the last batch alone) up to 1, 1 excluded",
        ),
        (
            {"percentile": 0.999},
            "quantization.aware.percentile=0.999: expected above 50, up to 100 (nothing is clipped); 99 to 99.99 is "
            "usual",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(MillisError) as error:
        Aware(**changes)
    assert str(error.value) == message
