"""The comparison after a trace: rounding passes, whatever the size of logits, and a wrong computation does not."""

import numpy as np
import pytest
import torch
from signatures import TEXTS
from torch import nn

from millis.backends.tracing import agree, difference


@pytest.mark.parametrize(
    ("scale", "error", "same"),
    [
        (1, 0.9e-4, True),
        (1, 1.2e-4, False),
        (34, 3e-3, True),
        (34, 4e-3, False),
        (0.1, 0.9e-4, True),
        (0.1, 2e-4, False),
    ],
)
def test_rounding_is_a_share_of_the_largest_logit(scale, error, same):
    theirs = np.array([0, scale], np.float32)  # beside 0 the relative tolerance allows nothing
    assert agree(theirs + np.array([error, 0], np.float32), theirs) == same


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
