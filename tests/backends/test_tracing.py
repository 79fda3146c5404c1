"""The comparison after a trace: rounding passes, whatever the size of logits, and a wrong computation does not."""

import numpy as np
import pytest
import torch
from signatures import TEXTS
from torch import nn

from millis.backends.tracing import agree, difference


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


def test_nothing_to_compare_agrees():
    assert agree(np.empty((0, 3), np.float32), np.empty((0, 3), np.float32))


class Summing(nn.Module):
    """Two logits a text: sums of its ids."""

    def forward(self, input_ids, attention_mask):
        total = (input_ids * attention_mask).sum(1, keepdim=True).float()
        return torch.cat([total, 2 * total], dim=1)


@pytest.mark.parametrize(("off", "told"), [(0, None), (0.1, r"logits differ by 0.1 at batch 1, length 1")])
def test_where_a_session_errs_is_told(off, told):
    def session(features):
        total = (features.ids * features.mask).sum(1, keepdims=True).astype(np.float32)
        return (np.concatenate([total, 2 * total], axis=1) + np.float32(off),)

    assert difference(Summing(), session, TEXTS) == told


def test_another_shape_is_told():
    found = difference(Summing(), lambda features: (np.zeros((len(features.ids), 3), np.float32),), TEXTS)
    assert found == "logits is [1, 3], expected [1, 2] at batch 1, length 1"
