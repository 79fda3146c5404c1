"""What is held out, and what is sampled."""

import pytest

from millis.data.candidates import Candidates, Graded
from millis.data.cut import holdout, sample
from millis.data.dataset import Split
from millis.data.one_label import ONE_LABEL
from millis.errors import MillisError


def split(*counts):
    """Label i has `counts[i]` rows, one label after the other."""
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    return Split([str(i) for i in range(len(labels))], labels)


def test_one_row_in_ten_of_each_label_is_held_out():
    kept, held = holdout("shop", split(20, 5, 1), 0, ONE_LABEL)
    assert [held.references.count(label) for label in range(3)] == [2, 1, 0]  # one of 5, for it has two rows or more
    assert sorted([*kept.texts, *held.texts], key=int) == split(20, 5, 1).texts


def test_nothing_can_be_held_out_of_single_rows():
    with pytest.raises(MillisError, match="shop: no split can be cut from train, for each label has one row there"):
        holdout("shop", split(1, 1), 0, ONE_LABEL)


def test_many_labels_with_a_row_each_are_doubted():
    with pytest.raises(
        MillisError, match=r"has one row there; is it the column of labels \(data\.label=\)\?\. Add rows"
    ):
        holdout("shop", split(*[1] * 21), 0, ONE_LABEL)
    with pytest.raises(MillisError, match=r"has one row there\. Add rows"):
        holdout("shop", split(*[1] * 20), 0, ONE_LABEL)


def test_a_sample_keeps_the_order_and_a_small_split_whole():
    drawn = sample(split(50, 50), 10, 3, ONE_LABEL)
    assert list(map(int, drawn.texts)) == sorted(map(int, drawn.texts))
    assert len(drawn) == 10 and drawn == sample(split(50, 50), 10, 3, ONE_LABEL)
    assert sample(split(3), 3, 0, ONE_LABEL) == split(3)


def grouped(*sizes):
    """Query i has `sizes[i]` candidates, rows of all queries in turn."""
    rows = sorted((place, query) for query, size in enumerate(sizes) for place in range(size))
    return Split([f"{query} {place}" for place, query in rows], [Graded(query, 0.0, 0.0) for _, query in rows])


def test_groups_are_held_out_and_drawn_whole():
    kept, held = holdout("shop", grouped(*[3, 2] * 10), 0, Candidates())
    drawn = sample(grouped(*[3, 2] * 10), 10, 0, Candidates())
    for part, other in ((held, kept), (drawn, Split([], []))):
        queries = [reference.query for reference in part.references]
        assert all(queries.count(query) == 3 - query % 2 for query in queries)
        assert not set(queries) & {reference.query for reference in other.references}
    assert len({reference.query for reference in held.references}) == 2 and 8 <= len(drawn) <= 10


def test_one_group_is_neither_cut_nor_drawn_from():
    with pytest.raises(MillisError, match=r"shop: no split can be cut from train, for all rows belong together\. Add"):
        holdout("shop", grouped(4), 0, Candidates())
    with pytest.raises(MillisError, match=r"data\.limit=3: expected 4 or more, for so many rows of the data belong"):
        sample(grouped(4, 4), 3, 0, Candidates())
