"""The table of settings' latencies: exact where latency is a sum, between sizes on a line, and never falling."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.elastic.latency import SettingTable, describe, probes
from millis.elastic.setting import Axes, Setting
from millis.errors import MillisError

AXES = Axes(layers=(1, 2, 4), hidden=(8,), heads=(2, 4), ffn=(16, 32, 64), head_size=2)
HEADS, FFN = {2: 0.0, 4: 0.25}, {16: 0.0, 32: 0.5, 64: 1.5}


def summed(setting, base=1.0, layer=0.5):
    """1 + L · (0.5 + a + b): 1.5 ms for the smallest, 1 + 4 · (0.5 + 0.25 + 1.5) = 10 ms for the largest."""
    return base + setting.layers * (layer + HEADS[setting.heads] + FFN[setting.ffn])


def table(axes=AXES, cost=summed, quantiles=()):
    return SettingTable.from_probes(axes, {one: [cost(one)] * 5 for one in probes(axes)}, quantiles)


def test_the_settings_that_are_timed():
    assert [(one.layers, one.heads, one.ffn) for one in probes(AXES)] == [
        (4, 2, 64), (4, 4, 64), (4, 4, 16), (4, 4, 32), (4, 2, 16), (1, 4, 64), (1, 2, 16),
    ]  # fmt: skip


def test_a_latency_that_is_a_sum_is_foretold_exactly():
    found = table()
    for setting in AXES.by_work:
        assert found.latency_ms(setting) == pytest.approx(summed(setting))
    assert found.latency_ms(AXES.smallest) == pytest.approx(1.5)
    assert found.latency_ms(AXES.largest) == pytest.approx(10.0)


def test_sizes_between_those_that_were_timed_lie_on_a_line():
    # b(48) is half way from 0.5 to 1.5, a(3) from 0 to 0.25: 1 + 3 · (0.5 + 0.125 + 1.0) = 5.875
    assert table().latency_ms(Setting(layers=3, hidden=8, heads=3, ffn=48)) == pytest.approx(5.875)


def test_each_hidden_width_has_a_table_of_its_own_and_widths_between_lie_on_a_line():
    axes = replace(AXES, hidden=(4, 8))
    found = table(axes, lambda one: summed(one) * one.hidden / 8)
    assert found.latency_ms(replace(axes.largest, hidden=4)) == pytest.approx(5.0)
    assert found.latency_ms(replace(axes.largest, hidden=6)) == pytest.approx(7.5)


def test_one_depth_alone():
    axes = replace(AXES, layers=(2,))
    assert table(axes).latency_ms(Setting(2, 8, 2, 32)) == pytest.approx(3.0)


def test_a_quantile_is_the_same_multiple_of_the_median_everywhere():
    # nine requests of 1 and one of 3 times the median: the 99th percentile lies 0.91 of the way from 1 to 3
    samples = {one: [summed(one)] * 9 + [3 * summed(one)] for one in probes(AXES)}
    found = SettingTable.from_probes(AXES, samples, [0.95, 0.99])
    assert found.tails == {0.95: pytest.approx(3.0), 0.99: pytest.approx(3.0)}
    assert found.latency_ms(AXES.largest, 0.99) == pytest.approx(30.0)
    assert found.latency_ms(AXES.largest) == pytest.approx(10.0)


def test_scaled():
    assert table(quantiles=[0.9]).scaled(1.5).latency_ms(AXES.largest, 0.9) == pytest.approx(15.0)


@given(st.lists(st.floats(0.1, 10), min_size=7, max_size=7))
def test_more_of_anything_never_takes_less(timed):
    """Whatever noise says."""
    samples = {one: [ms] for one, ms in zip(probes(AXES), timed, strict=True)}
    found = SettingTable.from_probes(AXES, samples)
    for setting in AXES.by_work:
        for name, sizes in (("layers", AXES.layers), ("heads", AXES.heads), ("ffn", AXES.ffn)):
            for size in sizes:
                if size > getattr(setting, name):
                    more = found.latency_ms(replace(setting, **{name: size}))
                    assert more >= found.latency_ms(setting) - 1e-9


@pytest.mark.parametrize("wrong", [[], [0.0], [float("nan")], [-1.0]])
def test_a_probe_that_was_not_timed(wrong):
    samples = {one: [1.0] for one in probes(AXES)} | {AXES.largest: wrong}
    with pytest.raises(MillisError, match=r"^the probe of 4 layers, 4 heads, 64 neurons, 8 channels took "):
        SettingTable.from_probes(AXES, samples)


def test_described():
    assert describe(AXES.smallest) == "1 layer, 2 heads, 16 neurons, 8 channels"
