import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.quantization.calibration import BINS, Histogram, by_length, entropy, percentile, ranges, requests, sample
from millis.quantization.spec import Calibration
from millis.types import Features


def features(rows, types=False):
    """A padded batch of `rows` of ids; token types are ids + 1 where asked for."""
    width = max(map(len, rows))
    ids = np.array([row + [0] * (width - len(row)) for row in rows], dtype=np.int64)
    mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], dtype=np.int64)
    return Features(ids, mask, ids + 1 if types else None)


def test_padding_is_taken_off_and_texts_without_tokens_are_left_out():
    found = requests([features([[5, 6, 7], [], [8]], types=True), features([[9, 9]])])
    assert [request.ids.tolist() for request in found] == [[[5, 6, 7]], [[8]], [[9, 9]]]
    assert all(request.mask.all() and request.mask.shape == request.ids.shape for request in found)
    assert [None if r.token_types is None else r.token_types.tolist() for r in found] == [[[6, 7, 8]], [[9]], None]


@pytest.mark.parametrize("nothing", [[], [features([[]])]], ids=["no batches", "no tokens"])
def test_no_text_is_refused(nothing):
    with pytest.raises(
        MillisError, match=r"no text with a token.* Pass training texts .*or choose quantization=dynamic"
    ):
        requests(nothing)


def test_texts_are_drawn_at_even_distances(encoded):
    split = encoded([[i, i] for i in range(11)])
    assert [request.ids[0, 0] for request in sample(split, 3)] == [0, 5, 10]
    assert len(sample(split, 100)) == 11  # no more than there are, none twice
    assert sample(split, 3)[0].token_types is None
    pairs = encoded([[1, 2]], token_types=[[0, 1]])
    assert sample(pairs, 1)[0].token_types.tolist() == [[0, 1]]


def test_an_empty_split_is_refused(encoded):
    with pytest.raises(MillisError, match="no text with a token"):
        sample(encoded([], []), 8)


def test_batches_hold_texts_of_one_length():
    found = by_length(requests([features([[1, 2], [3], [4, 5]])]))
    assert [batch.ids.tolist() for batch in found] == [[[1, 2], [4, 5]], [[3]]]
    assert [batch.token_types for batch in found] == [None, None]


def identity(request):
    """The probe of a model whose only tensor is its ids, as floats."""
    return {"x": request.ids.astype(np.float32)}


def test_extremes_hold_zero():
    texts = requests([features([[3, 7], [5]])])
    assert ranges(identity, texts, Calibration()) == {"x": (0.0, 7.0)}
    negative = ranges(lambda request: {"x": -identity(request)["x"]}, texts, Calibration())
    assert negative == {"x": (-7.0, 0.0)}


def test_a_tensor_that_is_zero_has_an_empty_range_by_every_method():
    for method in ("min_max", "percentile", "entropy"):
        found = ranges(
            lambda request: {"x": request.ids * np.float32(0)}, [features([[1]])], Calibration(method=method)
        )
        assert found == {"x": (0.0, 0.0)}


def test_the_percentile_cuts_both_ends_alike():
    # 1000 values -500..499: 2 % outside, 10 at each end, so -490 and 489 are the outermost that are kept.
    values = np.arange(-500, 500, dtype=np.float32)
    probe = {"x": values}
    (low, high) = ranges(lambda _: probe, [features([[1]])], Calibration("percentile", percentile=98))["x"]
    width = 999 / BINS
    assert -490 - width <= low <= -490
    assert 489 <= high <= 489 + width


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=200), st.floats(60, 100))
def test_a_percentile_leaves_out_no_more_than_it_says(values, share):
    array = np.array(values, dtype=np.float32)
    low, high = ranges(lambda _: {"x": array}, [features([[1]])], Calibration("percentile", percentile=share))["x"]
    assert low <= 0 <= high
    outside = len(array) * (1 - share / 100) / 2 + 1e-6
    slack = 1e-3  # a bin's edge in fp64 against a value in fp32
    assert (array < low - slack).sum() <= outside and (array > high + slack).sum() <= outside


def histogram(low, high, counts):
    return Histogram(np.asarray(counts, np.int64), np.linspace(low, high, BINS + 1))


def test_all_is_kept_at_100_percent():
    assert percentile(histogram(-1, 3, np.ones(BINS)), Calibration(percentile=100)) == (-1, 3)


def test_entropy_clips_a_lonely_outlier_and_keeps_the_crowd():
    # A hundred thousand halves of a bell of width 10, one value at 1000: 256 integers over [0, 1000] would leave the
    # bell about ten.
    generator = np.random.default_rng(0)
    values = np.append(np.abs(generator.normal(0, 10, 100_000)), 1000)
    counts, _ = np.histogram(values, BINS, (0, 1000))
    low, high = entropy(histogram(0, 1000, counts), Calibration("entropy"))
    assert low == 0
    assert 40 <= high <= 100


def test_entropy_keeps_a_uniform_range_whole():
    # Every clipped bin would pile up at the end, where Q has the mass of one bin only.
    assert entropy(histogram(-1, 1, np.full(BINS, 100)), Calibration("entropy")) == (-1, 1)
