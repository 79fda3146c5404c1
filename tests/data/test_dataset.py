"""Rows to a Dataset: label maps, refusals, holdouts, fingerprints. Each error text is read in full."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.data.dataset import Columns, dataset_from_rows
from millis.errors import MillisError


def rows(*pairs):
    return [{"text": text, "label": label} for text, label in pairs]


TRAIN = rows(("one", "b"), ("two", "a"), ("three", "b"), ("four", "a"))


def make(train=TRAIN, names=None, columns=None, name="shop", limit=None, unseen="error", **others):
    columns = columns or Columns()
    return dataset_from_rows(name, {"train": train, **others}, columns, names, unseen_labels=unseen, limit=limit)


def refusal(*args, **kwargs):
    with pytest.raises(MillisError) as caught:
        make(*args, **kwargs)
    return str(caught.value)


# Labels


def test_names_are_numbered_in_sorted_order():
    data = make(validation=TRAIN, test=TRAIN)
    assert data.labels == ("a", "b")
    assert data.train.labels == [1, 0, 1, 0]


def test_given_names_keep_their_order_for_integers_and_names():
    for labels in ([0, 1, 0], ["b", "a", "b"], ["0", "1", "0"]):
        train = rows(*zip(["x", "y", "z"], labels, strict=True))
        data = make(train, ["b", "a"], validation=train, test=train)
        assert (data.labels, data.train.labels) == (("b", "a"), [0, 1, 0])


def test_integers_without_names_count_up_to_the_largest():
    train = rows(("x", 0), ("y", 3), ("z", 0), ("w", 3))
    data = make(train, validation=train, test=train)
    assert (data.labels, data.train.labels) == (("0", "1", "2", "3"), [0, 3, 0, 3])


def test_booleans_are_names():
    train = rows(("x", True), ("y", False))
    data = make(train, validation=train, test=train)
    assert (data.labels, data.train.labels) == (("False", "True"), [1, 0])


def test_a_number_that_is_a_name_is_that_name():
    # CSV: stars "1".."5" are names, so "1" is index 0.
    train = rows(*[(f"text {stars}", str(stars)) for stars in (5, 1, 3)])
    data = make(train, validation=train, test=train)
    assert (data.labels, data.train.labels) == (("1", "3", "5"), [2, 0, 1])


def test_blanks_around_a_name_do_not_make_another_label():
    train = rows(("x", "a"), ("y", " a"), ("z", "b "))
    data = make(train, validation=train, test=train)
    assert (data.labels, data.train.labels) == (("a", "b"), [0, 0, 1])


def test_label_names_that_occur_twice():
    assert refusal(names=["a", "b", "a"]) == "label names occur twice: a. Every name needs its own index"


def test_one_label_is_no_classification():
    assert refusal(rows(("x", "a"), ("y", "a"))) == "classification needs at least 2 labels, found ['a']"


@pytest.mark.parametrize("label", [2, -1, "7"])
def test_a_label_out_of_range(label):
    bad = rows(("x", 0), ("y", label))
    expected = f"shop, split test, row 2: label {label} is out of range; expected 0 to 1 (2 labels)"
    assert refusal(names=["a", "b"], validation=TRAIN, test=bad) == expected


def test_an_unknown_label_name():
    train = rows(("x", "refund"), ("y", "delivery"))
    assert refusal(train, validation=train, test=rows(("z", "refunds"))) == (
        "shop, split test, row 1: label 'refunds' is none of the 2 labels; did you mean 'refund'?. Mend the row, "
        "add training rows, or leave such rows out with data.unseen_labels=drop"
    )
    assert refusal(train, ["a", "b"], unseen="drop") == (  # training rows are not dropped
        "shop, split train, row 1: label 'refund' is none of the 2 labels. Mend the row, "
        "add training rows, or leave such rows out with data.unseen_labels=drop"
    )


def test_a_label_that_is_named_but_never_trained():
    test = rows(("x", "a"), ("y", "c"), ("z", "c"))
    assert refusal(names=["a", "b", "c"], validation=TRAIN, test=test) == (
        "shop, split test: label 'c' (row 2) does not occur in training; 2 such rows. "
        "Add training rows, or leave these out with data.unseen_labels=drop"
    )


@pytest.mark.parametrize("names", [None, ["a", "b", "c"]])
def test_rows_with_unseen_labels_can_be_dropped(names):
    test = rows(("x", "a"), ("y", "c"), ("z", "b"))
    data = make(names=names, validation=TRAIN, test=test, unseen="drop")
    assert (data.test.texts, data.test.labels) == (["x", "z"], [0, 1])
    assert data.notes == ["1 rows of test left out: their labels do not occur in training"]


def test_dropping_must_leave_a_row():
    test = rows(("x", "c"))
    assert refusal(names=["a", "b", "c"], validation=TRAIN, test=test, unseen="drop") == (
        "shop, split test: none of its labels occurs in training; data.unseen_labels=drop left no row"
    )


def test_unseen_labels_takes_two_words():
    assert refusal(unseen="ignore") == "data.unseen_labels='ignore': expected error or drop"


# Columns and rows


@pytest.mark.parametrize("first", [["text"], ["sentence"]])
def test_usual_text_columns_are_found(first):
    train = [{first[0]: text, "label": label, "source": "web"} for text, label in (("x", 0), ("y", 1))]
    assert make(train, validation=train, test=train).train.texts == ["x", "y"]


@pytest.mark.parametrize(("one", "two"), [("text_a", "text_b"), ("sentence1", "sentence2"), ("question", "sentence")])
def test_usual_pairs_are_found(one, two):
    train = [{two: "p", one: "q", "label": 0}, {two: "r", one: "s", "label": 1}]
    data = make(train, validation=train, test=train)
    assert data.pairs
    assert data.train.texts == [("q", "p"), ("s", "r")]


def test_named_columns():
    train = [{"title": "x", "body": "y", "kind": "a"}, {"title": "z", "body": "w", "kind": "b"}]
    single = make(train, columns=Columns("title", None, "kind"), validation=train, test=train)
    pair = make(train, columns=Columns("title", "body", "kind"), validation=train, test=train)
    assert single.train.texts == ["x", "z"]
    assert not single.pairs
    assert pair.train.texts == [("x", "y"), ("z", "w")]


def test_no_text_column():
    assert refusal([{"phrase": "x", "label": 0}]) == (
        "shop, split train has no text column: found phrase, label. Name it with data.text=... "
        "(and data.text_pair=... for pairs)"
    )


def test_a_column_that_is_not_there_and_its_nearest():
    assert refusal(columns=Columns(text="texts")) == (
        "shop, split train has no column 'texts': found text, label; did you mean 'text'?. "
        "Name columns with data.text=, data.text_pair=, data.label="
    )
    assert refusal(columns=Columns(label="kind")) == (
        "shop, split train has no column 'kind': found text, label. "
        "Name columns with data.text=, data.text_pair=, data.label="
    )


@pytest.mark.parametrize("broken", [{"text": "y"}, {"text": "y", "label": None}])
def test_a_row_without_a_label_is_named(broken):
    expected = "shop, split train, row 5: column 'label' is missing or null; expected a value"
    assert refusal([*TRAIN, broken]) == expected


def test_a_row_without_a_text_is_named():
    expected = "shop, split test, row 1: column 'text' is missing or null; expected a value"
    assert refusal(validation=TRAIN, test=[{"text": None, "label": "a"}]) == expected


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_empty_split(split):
    splits = {"train": TRAIN, "validation": TRAIN, "test": TRAIN, split: []}
    assert refusal(**splits) == f"shop: the {split} split is empty; it needs at least one row"


def test_no_training_split_at_all():
    with pytest.raises(MillisError, match="shop: the train split is empty"):
        dataset_from_rows("shop", {"test": TRAIN}, Columns(), None)


def test_empty_texts_are_kept_and_counted():
    train = [*TRAIN, *rows(("", "a"), (" \n", "b"))]
    assert make(train, validation=TRAIN, test=TRAIN).notes == ["2 empty texts kept"]
    pairs = [{"text_a": "", "text_b": second, "label": label} for second, label in (("", 0), ("x", 1))]
    assert make(pairs, validation=pairs, test=pairs).notes == ["3 empty texts kept"]  # one in each split


# Limit and holdout


def many(count, labels=2):
    return rows(*[(f"text {i}", f"label {i % labels}") for i in range(count)])


def test_a_limit_draws_the_same_rows_each_time():
    splits = {"train": many(100), "validation": many(20), "test": many(5)}
    one, two = make(**splits, limit=10), make(**splits, limit=10)
    assert one == two
    assert [len(split) for split in (one.train, one.validation, one.test)] == [10, 10, 5]
    numbers = [int(text.split()[1]) for text in one.train.texts]
    assert numbers == sorted(numbers) != list(range(10))  # drawn from all rows, in their order
    assert [number % 2 for number in numbers] == one.train.labels


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_leaves_a_row(limit):
    assert refusal(limit=limit) == f"data.limit={limit}: expected at least 1 row a split, or null for all"


def test_a_missing_validation_split_is_cut_from_train():
    data = make(many(40), test=many(4))
    assert Counter(data.validation.labels) == {0: 2, 1: 2}  # one in ten of 20 each
    assert len(data.train) == 36
    assert data.notes == ["no validation split: 10 % of train was set aside"]


def test_validation_judges_where_no_test_split_is_given():
    data = make(many(40), validation=rows(("judge", "label 0")))
    assert data.test.texts == ["judge"]
    assert len(data.validation) == 4
    assert data.notes == [
        "no test split: validation is the test split",
        "no validation split: 10 % of train was set aside",
    ]


def test_both_are_cut_from_train_where_nothing_else_is_given():
    data = make(many(100))
    # Of 50 rows a label, 5 are for the test; of the 45 left, round(4.5) = 4 for validation (to even).
    assert [len(split) for split in (data.train, data.validation, data.test)] == [82, 8, 10]
    assert data.notes[0] == "no test split: 10 % of train was set aside as the test split"


def test_a_holdout_needs_a_label_with_two_rows():
    assert refusal(rows(("x", "a"), ("y", "b")), test=TRAIN) == (
        "shop: no split can be cut from train, for each label has one row there. "
        "Add rows, or files for validation and test"
    )


@given(st.lists(st.integers(1, 30), min_size=2, max_size=5).filter(lambda counts: max(counts) > 1), st.booleans())
def test_a_holdout_is_stratified_and_disjoint(counts, judged):
    train = rows(*[(f"{label}/{i}", label) for label, count in enumerate(counts) for i in range(count)])
    names = [f"name {label}" for label in range(len(counts))]
    data = make(train, names, **({"validation": train[:1]} if judged else {"test": train[:1]}))
    kept, held = data.train, data.validation
    assert sorted([*kept.texts, *held.texts]) == sorted(row["text"] for row in train)  # each row once, in one of them
    for split in (kept, held):
        assert all(text.startswith(f"{label}/") for text, label in zip(split.texts, split.labels, strict=True))
    for label, count in enumerate(counts):
        share = held.labels.count(label)
        assert abs(share - count / 10) < 1
        assert (share >= 1) == (count >= 2)
        assert kept.labels.count(label) >= 1


# Fingerprint


def test_equal_data_has_an_equal_fingerprint_under_any_name():
    one = make(validation=TRAIN, test=TRAIN)
    two = make([dict(reversed(row.items()), source="web") for row in TRAIN], name="b", validation=TRAIN, test=TRAIN)
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"train": [*TRAIN[:-1], {"text": "Four", "label": "a"}]},
        {"train": [*TRAIN[:-1], {"text": "four", "label": "b"}]},
        {"train": [*TRAIN[1:], TRAIN[0]]},
        {"test": TRAIN[:-1]},
        {"names": ["b", "a"]},
        {"names": ["a", "b", "c"]},
    ],
)
def test_any_change_of_the_data_changes_the_fingerprint(change):
    splits = {"train": TRAIN, "validation": TRAIN, "test": TRAIN}
    assert make(**{**splits, **change}).fingerprint != make(**splits).fingerprint
