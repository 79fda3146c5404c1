import numpy as np
import pytest

from millis.errors import MillisError
from millis.serving.parity import parity


def test_parity_by_hand():
    ours = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [5.0, 4.0]], dtype=np.float32)
    theirs = np.array([[1.0, 2.5], [2.0, 0.0], [1.0, 0.0], [5.0, 4.0]], dtype=np.float32)
    # Labels 1 0 1 0 against 1 0 0 0: three of four; differences 0.5, 1, 1, 0.
    assert parity(ours, theirs) == {"label_agreement": 0.75, "max_abs_logit_difference": 1.0}


def test_parity_refuses_other_shapes_and_no_texts():
    with pytest.raises(MillisError, match=r"shape \(1, 2\) and \(1, 3\), expected the same \[N, C\]"):
        parity(np.zeros((1, 2), np.float32), np.zeros((1, 3), np.float32))
    with pytest.raises(MillisError, match="with at least one text"):
        parity(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32))


def test_parity_refuses_nan():
    with pytest.raises(MillisError, match="not finite"):
        parity(np.full((1, 2), np.nan, np.float32), np.zeros((1, 2), np.float32))
