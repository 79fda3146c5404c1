"""Sizes, and what a setting keeps of a model."""

import numpy as np
import pytest
from shaped import transformer

from millis.elastic.setting import Axes, Setting

AXES = Axes(layers=(1, 2, 4), hidden=(16, 32), heads=(2, 4), ffn=(24, 48), head_size=8)


def test_the_ends_and_the_middle():
    assert AXES.largest == Setting(4, 32, 4, 48)
    assert AXES.smallest == Setting(1, 16, 2, 24)
    assert AXES.middle == Setting(2, 32, 4, 48)


def test_work_is_the_numbers_in_the_matrices_of_blocks():
    model = transformer("bert", heads=(4, 4), ffn=(48, 48))
    blocks = [weight for name, weight in model.named_parameters() if ".layer." in name and weight.dim() == 2]
    assert AXES.work(Setting(2, 32, 4, 48)) == sum(weight.numel() for weight in blocks)


def test_settings_are_in_the_order_of_their_work():
    assert len(AXES.by_work) == 3 * 2 * 2 * 2 == len(set(AXES.by_work))
    assert (AXES.by_work[0], AXES.by_work[-1]) == (AXES.smallest, AXES.largest)
    assert (np.diff([AXES.work(one) for one in AXES.by_work]) >= 0).all()


@pytest.mark.parametrize(("layers", "kept"), [(1, [3]), (2, [1, 3]), (3, [1, 2, 3]), (4, [0, 1, 2, 3])])
def test_a_setting_keeps_the_first_of_everything_in_layers_at_even_distances(layers, kept):
    keep = Setting(layers, 3, 1, 2).selection(transformer("bert", heads=(4,) * 4, ffn=(48,) * 4).spec)
    assert keep.layers == kept
    assert (keep.hidden.tolist(), keep.heads[0].tolist(), keep.ffn[-1].tolist()) == ([0, 1, 2], [0], [0, 1])
