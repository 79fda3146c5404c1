"""How near is near enough: by a value's own size, and by the largest one's."""

import numpy as np
import pytest

from millis.backends.tracing import agree


@pytest.mark.parametrize(
    ("theirs", "by", "expected"),
    [
        ([0.0, 1.0], 4e-4, True),
        ([0.0, 1.0], 6e-4, False),
        ([0.0, 0.01], 9e-5, True),  # the least bound
        ([0.0, 0.01], 2e-4, False),
        ([0.0, 30.0], 1e-2, True),
        ([0.0, 30.0], 2e-2, False),
        ([0.0, np.nan], 0.0, False),
        ([], 0.0, True),
    ],
)
def test_what_agrees(theirs, by, expected):
    theirs = np.array(theirs, np.float32)
    assert agree(theirs + np.float32(by), theirs) is expected
    if np.isfinite(theirs).all():
        assert agree(theirs, theirs)
