"""Draws of latencies: Student's interval by hand, coverage of truths that are known, and how many requests it takes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from millis.errors import MillisError
from millis.metrics import rounds
from millis.metrics.rounds import at_most, kept_probability, middle, quantile_draws, ratio_draws, requests_for


def interval(samples, processes=(), quantile=0.5, **options):
    return middle(quantile_draws(np.asarray(samples)[None], processes, [quantile], **options)[:, 0, 0])


def test_what_processes_differ_by_is_in_the_interval_as_student_has_it() -> None:
    # Three processes take e^0.1, e^0.2, e^0.3 ms, each always the same: within them nothing varies but which of them
    # the median is of, so requests of one process stand between. s = 0.1, t = 4.303 for 2 degrees of freedom:
    # 4.303·0.1/√3 = 0.248 to either side of the middle one.
    served = [0, 1, 2] * 4
    samples = np.exp([[0.1 + 0.1 * process] * 5 for process in served])
    low, high = interval(samples, served, resamples=20_000)
    assert np.log([low, high]) == pytest.approx([0.2 - 0.248, 0.2 + 0.248], abs=0.012)
    assert interval(samples) == pytest.approx((np.exp(0.1), np.exp(0.3)))  # as one process: what was seen, at most


def test_a_ratio_has_the_same_spread() -> None:
    # Two processes with ratios 4 and 4·e^0.02: s = 0.02/√2, t = 12.71 for 1 degree: 12.71·0.01 = 0.127.
    ratios = np.array([4.0, 4.0 * np.exp(0.02)] * 6)
    low, high = middle(ratio_draws(ratios, [0, 1] * 6, resamples=20_000))
    assert np.log(low / 4) == pytest.approx(0.01 - 0.127, abs=0.03)
    assert np.log(high / 4) == pytest.approx(0.01 + 0.127, abs=0.03)
    assert middle(ratio_draws([3.0] * 6, [0, 1] * 3)) == (3.0, 3.0)


def study(rng: np.random.Generator, processes: int, spread: float, count: int = 30, requests: int = 10):
    """A run of a model whose true median is 1 ms: log latency = process + round + request."""
    served = np.arange(count) % processes
    effect = spread * rng.normal(size=processes)[served]
    return np.exp(
        effect[:, None] + 0.05 * rng.normal(size=(count, 1)) + 0.2 * rng.normal(size=(count, requests))
    ), served


def test_two_runs_agree_where_processes_differ_and_did_not_before() -> None:
    # Processes differ by 8 % (standard deviation). All runs are of one model: the intervals of two should overlap, and
    # each should hold the truth. Those of rounds and requests alone, as if there were one process, often do not.
    rng = np.random.default_rng(0)
    covered, blind, overlap, blind_overlap, runs = 0, 0, 0, 0, 80
    before = blind_before = (0.0, 9.0)
    for _ in range(runs):
        samples, served = study(rng, 3, 0.08, count=24)
        found, alone = interval(samples, served, resamples=300), interval(samples, resamples=300)
        covered += found[0] <= 1 <= found[1]
        blind += alone[0] <= 1 <= alone[1]
        overlap += found[0] <= before[1] and before[0] <= found[1]
        blind_overlap += alone[0] <= blind_before[1] and blind_before[0] <= alone[1]
        before, blind_before = found, alone
    assert covered / runs >= 0.9
    assert blind / runs <= 0.8
    assert overlap / runs >= 0.98
    assert blind_overlap / runs <= 0.9


def test_where_processes_do_not_differ_the_interval_is_not_much_wider() -> None:
    rng = np.random.default_rng(1)
    widths = []
    for _ in range(20):
        samples, served = study(rng, 10, 0.0, count=60)
        (low, high), alone = interval(samples, served, resamples=300), interval(samples, resamples=300)
        widths.append(np.log(high / low) / np.log(alone[1] / alone[0]))
    assert np.median(widths) < 1.8


def test_what_models_have_in_common_cancels_in_their_difference() -> None:
    # b is 1 % slower than a in every request of every process: so is each draw, whatever the processes differ by.
    samples, served = study(np.random.default_rng(2), 4, 0.1)
    draws = quantile_draws(np.stack([samples, 1.01 * samples]), served.tolist(), [0.5, 0.99], resamples=100)
    assert draws.shape == (100, 2, 2)
    np.testing.assert_allclose(draws[:, 1] / draws[:, 0], 1.01)


@settings(deadline=None, max_examples=30)
@given(arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.floats(0.01, 100)))
def test_one_process_gives_nothing_beyond_what_was_seen(samples) -> None:
    low, high = interval(samples, quantile=0.9, resamples=50)
    assert samples.min() - 1e-9 <= low <= high <= samples.max() + 1e-9


def test_every_sample_of_a_drawn_round_can_be_drawn_and_no_other() -> None:
    # The 0 quantile is 9 where only the first round was drawn (1 in 4), else the least of three draws from 1, 2, 3.
    draws = quantile_draws([[[9.0, 9.0, 9.0], [1.0, 2.0, 3.0]]], [], [0.0], resamples=400)[:, 0, 0]
    assert set(draws) == {9.0, 1.0, 2.0, 3.0}
    assert np.mean(draws == 9.0) == pytest.approx(0.25, abs=0.08)


def test_rounds_stay_with_their_process() -> None:
    # Process 0 has rounds of 1 ms, process 1 of 3 ms: however rounds are drawn, half of the requests take 1 ms. As of
    # one process, three rounds in four may be slow ones and the median with them.
    samples = np.array([[1.0] * 4, [3.0] * 4] * 8)
    apart = quantile_draws(samples[None], [0, 1] * 8, [0.25, 0.75], resamples=200)[:, 0]
    np.testing.assert_allclose(apart[:, 1] / apart[:, 0], 3.0)


def test_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, served = study(np.random.default_rng(3), 3, 0.02)
    whole = interval(samples, served)
    monkeypatch.setattr(rounds, "AT_ONCE", 1)
    assert interval(samples, served) == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize(("count", "served"), [(0, ()), (3, (0, 1))])
def test_samples_that_cannot_be_drawn_from(count: int, served: tuple[int, ...]) -> None:
    with pytest.raises(MillisError, match=rf"got {count} rounds of 2 latency samples, served by {len(served)} process"):
        quantile_draws(np.ones((1, count, 2)), served, [0.5])


def test_a_binomial_by_hand() -> None:
    assert at_most(1, 3, 0.5) == pytest.approx(4 / 8)  # none: 1 way of 8, one: 3
    assert at_most(0, 300, 0.01) == pytest.approx(0.99**300)
    assert at_most(7, 7, 0.3) == 1.0


@pytest.mark.parametrize(("quantile", "needed"), [(0.5, 17), (0.9, 100), (0.99, 1022), (0.999, 10239), (0.01, 1022)])
def test_how_many_requests_a_quantile_takes(quantile: float, needed: int) -> None:
    beyond = min(quantile, 1 - quantile)
    assert requests_for(quantile) == needed
    assert at_most(4, needed, beyond) <= 0.025 < at_most(4, needed - 1, beyond)


def test_how_surely_a_limit_is_kept_by_hand() -> None:
    # 300 requests of 1 ms, none above the limit: no draw is, but a p99 above it would leave none with 0.99^300 = 4.9 %.
    samples = np.ones((30, 10))
    assert kept_probability(samples, [0, 1, 2] * 10, {0.99: 2.0}) == pytest.approx(1 - 0.99**300)
    assert kept_probability(samples, [], {0.5: 2.0}) == pytest.approx(1.0)
    assert kept_probability(samples, [], {0.5: 0.5}) == 0.0
    assert kept_probability(samples, [], {}) == 1.0
    # Half of the rounds at 1 ms, half at 3 ms, limit 2: the median is above it in about half of the draws.
    halves = np.repeat([[1.0], [3.0]], 15, axis=0) * np.ones((30, 11))
    assert kept_probability(halves, [], {0.5: 2.0}) == pytest.approx(0.5, abs=0.1)
    assert kept_probability(halves, [], {0.5: 2.0, 0.9: 0.1}) == 0.0


def test_what_processes_differ_by_makes_a_limit_less_sure() -> None:
    # Medians of three processes: e^-0.1, e^0, e^0.1 ms; the limit e^0.1 is 0.1/(0.1/√3) = 1.73 standard errors above
    # the middle. Student's share below it, 2 degrees of freedom: 1/2 + 1.73/(2·√(2 + 3)) = 0.887.
    served = [0, 1, 2] * 20
    samples = np.exp([[0.1 * (process - 1)] * 5 for process in served])
    assert kept_probability(samples, served, {0.5: np.exp(0.1)}) == pytest.approx(0.887, abs=0.02)
