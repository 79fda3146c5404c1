"""Batches: every row once, of like length, padded as by hand."""

from itertools import chain

import labelled
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from millis.data.batches import LengthBuckets, Rows, model_inputs
from millis.distillation.term import answer_key
from millis.errors import MillisError

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=300).map(np.asarray)


def order(buckets, epoch=0):
    buckets.set_epoch(epoch)
    return list(buckets)


def padding(lengths, batches):
    return sum(int((lengths[rows].max() - lengths[rows]).sum()) for rows in batches)


@given(LENGTHS, st.integers(1, 40), st.integers(0, 9), st.integers(0, 9))
def test_every_row_comes_exactly_once_an_epoch(lengths, batch_size, seed, epoch):
    buckets = LengthBuckets(lengths, batch_size, seed)
    batches = order(buckets, epoch)
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    assert len(batches) == len(buckets)
    assert sum(len(rows) != batch_size for rows in batches) <= 1  # at most the remainder


@given(LENGTHS, st.integers(1, 40), st.integers(1, 5), st.integers(0, 9))
def test_processes_share_every_batch_without_gaps_or_repeats(lengths, batch_size, world, epoch):
    world = min(world, batch_size, len(lengths))
    shares = [order(LengthBuckets(lengths, batch_size, 1, rank, world), epoch) for rank in range(world)]
    together = [sorted(chain(*parts)) for parts in zip(*shares, strict=True)]
    assert sorted(chain(*together)) == list(range(len(lengths)))
    assert len(together) == len(LengthBuckets(lengths, batch_size, 1, 0, world))
    for parts in zip(*shares, strict=True):
        sizes = [len(rows) for rows in parts]
        assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1
    if not 0 < len(lengths) % batch_size < world:
        assert together == [sorted(rows) for rows in order(LengthBuckets(lengths, batch_size, 1), epoch)]


def test_a_remainder_that_is_too_small_to_share_joins_the_batch_before():
    # 9 rows in batches of 4 are 4, 4 and 1; two processes share 4 and 5.
    shares = [order(LengthBuckets(np.arange(1, 10), 4, 0, rank, 2)) for rank in (0, 1)]
    assert sorted(len(a) + len(b) for a, b in zip(*shares, strict=True)) == [4, 5]


@pytest.mark.parametrize(("rows", "batch_size"), [(1, 8), (8, 1)])
def test_fewer_rows_than_processes(rows, batch_size):
    with pytest.raises(MillisError, match=f"{rows} rows in batches of {batch_size} cannot be shared among 2 processes"):
        LengthBuckets(np.ones(rows, np.int64), batch_size, 0, 0, 2)


@given(LENGTHS, st.integers(0, 9))
def test_padding_is_the_least_possible_within_one_pool(lengths, seed):
    # 300 rows of batch 8 fit one pool of 400: sorted, each batch spans neighbours, so no order pads less.
    batches = order(LengthBuckets(lengths, 8, seed))
    ranked = np.argsort(lengths, kind="stable")
    assert padding(lengths, batches) == padding(lengths, [ranked[i : i + 8] for i in range(0, len(ranked), 8)])


def test_padding_over_several_pools_is_far_below_that_of_a_random_order():
    generator = np.random.default_rng(0)
    lengths = generator.integers(3, 60, 1000)  # 5 pools of 4 * 50
    shuffled = generator.permutation(1000)
    random = padding(lengths, [shuffled[i : i + 4] for i in range(0, 1000, 4)])
    for epoch in range(3):
        assert padding(lengths, order(LengthBuckets(lengths, 4, seed=1), epoch)) < random / 10


def test_an_order_follows_from_seed_and_epoch():
    lengths = np.random.default_rng(0).integers(3, 60, 200)
    first = order(LengthBuckets(lengths, 8, seed=1), 0)
    assert order(LengthBuckets(lengths, 8, seed=1), 0) == first
    assert order(LengthBuckets(lengths, 8, seed=1), 1) != first
    assert order(LengthBuckets(lengths, 8, seed=2), 0) != first
    assert order(LengthBuckets(lengths, 8, seed=2), 1) != order(
        LengthBuckets(lengths, 8, seed=1), 2
    )  # no sum of the two


def test_long_and_short_batches_come_mixed():
    lengths = np.arange(1, 401)
    longest = [max(rows) for rows in order(LengthBuckets(lengths, 8, seed=0))]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


ROWS = [[2, 5, 3], [2, 3], [2, 6, 7, 8, 3], [2, 9, 3]]


def test_a_batch_is_padded_to_its_longest(encoded):
    batch = Rows(encoded(ROWS, [0, 1, 2, 3]), pad_id=1).__getitems__([2, 1, 3])
    assert batch["input_ids"].tolist() == [[2, 6, 7, 8, 3], [2, 3, 1, 1, 1], [2, 9, 3, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]
    assert batch["target/logits"].tolist() == [2, 1, 3]
    assert batch["rows"].tolist() == [2, 1, 3]
    assert {name: value.dtype for name, value in batch.items()} == dict.fromkeys(batch, torch.int64)
    assert set(batch) == {"input_ids", "attention_mask", "target/logits", "rows"}


def test_token_types_are_padded_with_zero(encoded):
    batch = Rows(encoded(ROWS, token_types=[[0, 0, 0], [0, 1], [0, 0, 1, 1, 1], [0, 1, 1]]), 1).__getitems__([0, 2])
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 0], [0, 0, 1, 1, 1]]
    assert batch["token_type_ids"].dtype == torch.int64


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.data())
def test_batches_against_torchs_own_padding(lengths, data):
    generator = np.random.default_rng(len(lengths))
    ragged = [generator.integers(1, 50, length).astype(np.int32) for length in lengths]
    split = labelled.encoded(ragged, np.arange(len(lengths)))
    rows = data.draw(st.permutations(range(len(lengths))))
    batch = Rows(split, pad_id=0).__getitems__(rows)
    expected = torch.nn.utils.rnn.pad_sequence([torch.tensor(ragged[row]).long() for row in rows], batch_first=True)
    assert torch.equal(batch["input_ids"], expected)
    assert batch["attention_mask"].sum(1).tolist() == [lengths[row] for row in rows]


def test_the_teachers_logits_stay_with_their_rows(encoded):
    said = labelled.said(np.arange(8, dtype=np.float32).reshape(4, 2))
    found = said.batch(Rows(encoded(ROWS), 0).__getitems__([3, 0])["rows"])
    assert found["logits"].tolist() == [[6.0, 7.0], [0.0, 1.0]]
    assert found["logits"].dtype == torch.float32


def test_one_row_is_a_batch_of_one(encoded):
    rows = Rows(encoded(ROWS), 0)
    assert len(rows) == 4
    assert rows[1]["input_ids"].tolist() == [[2, 3]]


@pytest.mark.parametrize("pairs", [False, True])
def test_a_model_is_given_its_inputs_and_nothing_else(encoded, pairs):
    split = encoded(ROWS, token_types=ROWS if pairs else None)
    batch = Rows(split, 0).__getitems__([0]) | {answer_key("logits"): torch.zeros(1, 2)}
    expected = ["input_ids", "attention_mask", "token_type_ids"] if pairs else ["input_ids", "attention_mask"]
    assert list(model_inputs(batch)) == expected
