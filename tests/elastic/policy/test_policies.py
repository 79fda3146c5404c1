"""Which settings are drawn: all alike, or evenly over the range of work."""

import numpy as np

from millis.elastic.policy.even_work import EvenWork
from millis.elastic.policy.uniform import Uniform
from millis.elastic.setting import Axes, Setting

# Of one head of size 1 and no neurons, the work of l layers is 4 l: 4, 8, 16 and 32, a doubling each.
DOUBLING = Axes(layers=(1, 2, 4, 8), hidden=(1,), heads=(1,), ffn=(0,), head_size=1)
CROWDED = Axes(layers=(1, 7, 8), hidden=(1,), heads=(1,), ffn=(0,), head_size=1)


def shares(policy, axes, count=1, draws=600):
    random = np.random.default_rng(0)
    found = [one for _ in range(draws) for one in policy.draw(axes, count, random)]
    assert len(found) == draws * count
    return [found.count(Setting(layers, 1, 1, 0)) / len(found) for layers in axes.layers]


def test_uniform_draws_all_alike():
    np.testing.assert_allclose(shares(Uniform(), CROWDED), [1 / 3] * 3, atol=0.06)


def test_even_work_leaves_little_to_settings_that_are_alike():
    # log 1 = 0, log 7 = 1.95, log 8 = 2.08: up to 0.97 is nearest to the first, 1.04 more to 7, the last 0.07 to 8.
    np.testing.assert_allclose(shares(EvenWork(), CROWDED), [0.47, 0.50, 0.03], atol=0.06)


def test_of_several_one_comes_of_each_part_of_the_range():
    # Three parts of one doubling each, between four settings: the ends get half as much as those between.
    np.testing.assert_allclose(shares(EvenWork(), DOUBLING, count=3), [1 / 6, 1 / 3, 1 / 3, 1 / 6], atol=0.05)
    first = [EvenWork().draw(DOUBLING, 3, np.random.default_rng(seed))[0].layers for seed in range(20)]
    assert set(first) == {1, 2}


def test_of_settings_that_are_as_near_any_is_drawn():
    twins = Axes(layers=(1, 2), hidden=(1, 2), heads=(1,), ffn=(0,), head_size=1)  # 1 x 2 and 2 x 1 take as much
    random = np.random.default_rng(0)
    assert {one for _ in range(60) for one in EvenWork().draw(twins, 1, random)} == set(twins.by_work)
