"""Tables to a Dataset: label maps, refusals, holdouts, notes. Each error text is read in full."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import table

from millis.data.assemble import dataset_from_tables
from millis.data.columns import Columns
from millis.errors import MillisError


def rows(*pairs):
    return [{"text": text, "label": label} for text, label in pairs]


TRAIN = rows(("one", "b"), ("two", "a"), ("three", "b"), ("four", "a"))


def make(train=TRAIN, names=None, columns=None, name="shop", limit=None, unseen="error", **others):
    tables = {split: [table(found, f"{split}.csv")] for split, found in {"train": train, **others}.items()}
    return dataset_from_tables(name, tables, columns or Columns(), names, unseen_labels=unseen, limit=limit)


def other(rows):
    """The same rows with other texts, for a split that shares none with train."""
    return [{**row, "text": f"other {row['text']}"} for row in rows]


def refusal(*args, **kwargs):
    with pytest.raises(MillisError) as caught:
        make(*args, **kwargs)
    return str(caught.value)


# Labels


def test_names_are_numbered_in_sorted_order():
    data = make(validation=TRAIN, test=TRAIN)
    assert data.labels == ("a", "b")
    assert data.train.references == [1, 0, 1, 0]


def test_given_names_keep_their_order_for_integers_and_names():
    for labels in ([0, 1, 0], ["b", "a", "b"], ["0", "1", "0"]):
        train = rows(*zip(["x", "y", "z"], labels, strict=True))
        data = make(train, ["b", "a"], validation=train, test=train)
        assert (data.labels, data.train.references) == (("b", "a"), [0, 1, 0])


@pytest.mark.parametrize("kind", [int, float, str, lambda number: f" {number}.0"])
def test_whole_numbers_are_names_sorted_by_number(kind):
    train = rows(*zip("xyzwv", map(kind, [10, 2, 10, 2, 1]), strict=True))  # as letters: 1, 10, 2
    data = make(train, validation=train, test=train)
    assert (data.labels, data.train.references) == (("1", "2", "10"), [2, 1, 2, 1, 0])


def test_a_huge_whole_number_is_one_name():
    train = rows(("x", 1_000_000_000), ("y", 7))
    assert make(train, validation=train, test=train).labels == ("7", "1000000000")


@pytest.mark.parametrize("kind", [int, str])
def test_an_unseen_whole_number_is_no_index(kind):
    train = rows(*[(f"text {stars}", kind(stars)) for stars in (1, 2, 3, 4, 5)])
    test = rows(("x", kind(2)), ("y", kind(0)), ("z", kind(0)))
    assert refusal(train, validation=train, test=test) == (
        "test.csv, row 2: label '0' does not occur in training; 2 such rows. "
        "Mend the rows, add training rows, or leave them out with data.unseen_labels=drop"
    )
    data = make(train, validation=train, test=test, unseen="drop")
    assert (data.test.texts, data.test.references) == (["x"], [1])


def test_booleans_are_names():
    train = rows(("x", True), ("y", False))
    data = make(train, validation=train, test=train)
    assert (data.labels, data.train.references) == (("False", "True"), [1, 0])


def test_a_number_that_is_a_name_is_that_name():
    # CSV: stars "1".."5" are names, so "1" is index 0.
    train = rows(*[(f"text {stars}", str(stars)) for stars in (5, 1, 3)])
    data = make(train, validation=train, test=train)
    assert (data.labels, data.train.references) == (("1", "3", "5"), [2, 0, 1])


def test_blanks_around_a_name_do_not_make_another_label():
    train = rows(("x", "a"), ("y", " a"), ("z", "b "))
    data = make(train, validation=train, test=train)
    assert (data.labels, data.train.references) == (("a", "b"), [0, 0, 1])


def test_one_label_in_two_unicode_forms_is_one():
    composed, decomposed = "r\u00e9clamation", "re\u0301clamation"
    train = rows(("x", composed), ("y", decomposed), ("z", "salut"))
    assert make(train, validation=train, test=train).labels == (composed, "salut")
    data = make(train, [decomposed, "salut"], validation=train, test=train)
    assert (data.labels, data.train.references) == ((composed, "salut"), [0, 0, 1])


def test_classes_of_a_column_are_names_even_where_they_are_numbers():
    # Index 1 is the class '2': as a name, '1' would be index 0.
    train = table(rows(("x", 0), ("y", 1), ("z", 2)), label=["1", "2", "3"])
    data = dataset_from_tables("shop", {"train": [train], "validation": [train], "test": [train]}, Columns())
    assert (data.labels, data.train.references) == (("1", "2", "3"), [0, 1, 2])


def test_splits_with_classes_in_another_order_agree_by_name():
    one, two = table(rows(("x", 0), ("y", 1)), label=["a", "b"]), table(rows(("z", 0)), label=["b", "a"])
    data = dataset_from_tables("shop", {"train": [one], "validation": [two], "test": [two]}, Columns())
    assert data.test.references == [1]


def with_classes(train, test, names=("a", "b")):
    """`train` and `test` are the classes of three rows each, with the indices 0, 1, 0."""
    found = {
        split: [table(rows(*zip("xyz", [0, 1, 0], strict=True)), f"{split}.parquet", label=list(classes))]
        for split, classes in {"train": train, "validation": train, "test": test}.items()
    }
    return dataset_from_tables("shop", found, Columns(), names)


@pytest.mark.parametrize("train", ["ab", "ba"])
@pytest.mark.parametrize("test", ["ab", "ba"])
def test_classes_of_a_column_are_names_beside_a_list_of_names(train, test):
    data = with_classes(train, test)
    assert data.labels == ("a", "b")
    assert [data.labels[i] for i in data.train.references] == [train[0], train[1], train[0]]
    assert [data.labels[i] for i in data.test.references] == [test[0], test[1], test[0]]


def test_classes_may_be_some_of_the_names_or_their_numbers():
    assert with_classes("bc", "cba", ["a", "b", "c"]).train.references == [1, 2, 1]
    assert with_classes("01", "ba").test.references == [1, 0, 1]
    assert with_classes("01", "01").train.references == [0, 1, 0]


@pytest.mark.parametrize(
    ("train", "test", "where"), [("ac", "ab", "train"), ("ab", "ca", "test"), ("ab", "1c", "test")]
)
def test_a_class_that_a_list_of_names_lacks_is_refused(train, test, where):
    with pytest.raises(
        MillisError, match=rf"{where}\.parquet: column 'label' has the class '.', which is none of the 2"
    ):
        with_classes(train, test)
    with pytest.raises(MillisError) as caught:
        with_classes(["neg", "pos"], "ab", ["negative", "positive"])
    assert str(caught.value) == (
        "train.parquet: column 'label' has the class 'neg', which is none of the 2 names of labels.txt. "
        "Remove labels.txt, or write the same names there"
    )


def test_numbers_of_every_split_say_whether_they_are_names():
    codes = rows(*[(f"text {i}", f"0{i}") for i in (1, 2, 3, 4)])
    test = rows(("x", 1), ("y", 2), ("z", 3))
    assert refusal(codes, ["01", "02", "03", "04"], validation=other(codes), test=test).startswith(
        "label 1 can be the name '01' in labels.txt, or the index of its name '02'"
    )
    stars = rows(*[(f"text {i}", i) for i in (1, 2, 3, 4)])  # 5, which is no index, only stands in the test split
    data = make(stars, ["1", "2", "3", "4", "5"], validation=stars, test=[*stars, *rows(("x", 5))], unseen="drop")
    assert data.train.references == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("numbers", "row", "fault"),
    [
        ([10, 20, 30, 0], 4, "label '0' is none of the 3 names of labels.txt; 1 such row"),
        ([0, 10, 1, 2], 2, "label '10' is a name of labels.txt, where other rows hold the indices of names; 1 such"),
    ],
)
def test_a_number_that_is_not_read_as_the_others_is_named(numbers, row, fault):
    train = rows(*[(f"text {number}", number) for number in numbers])
    assert refusal(train, ["10", "20", "30"]).startswith(f"train.csv, row {row}: {fault}")


def test_bare_numbers_beside_classes_that_are_numbers_are_refused():
    stars = ["1", "2", "3", "4", "5"]
    train = table(rows(*[(f"text {i}", i) for i in range(5)]), "train.parquet", label=stars)
    test = table(rows(*[(f"other {i}", i) for i in range(1, 5)]), "test.jsonl")
    with pytest.raises(MillisError, match=r"label 1 can be the name '1' in the classes of column 'label', or the in"):
        dataset_from_tables("shop", {"train": [train], "test": [test]}, Columns())
    test = table(rows(*[(f"other {i}", i) for i in range(1, 6)]), "test.jsonl")  # 5 is no index
    data = dataset_from_tables("shop", {"train": [train], "validation": [train], "test": [test]}, Columns())
    assert data.test.references == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("label", [2, "7"])
def test_a_label_out_of_range(label):
    bad = rows(("x", 0), ("y", label))
    assert refusal(names=["a", "b"], validation=TRAIN, test=bad) == (
        f"test.csv, row 2: label '{label}' is none of the 2 names of labels.txt, nor a number from 0 to 1; "
        "1 such row. Mend the rows, add training rows, or leave them out with data.unseen_labels=drop"
    )


def test_an_unknown_label_name():
    train = rows(("x", "refund"), ("y", "delivery"))
    assert refusal(train, validation=train, test=rows(("z", "refunds"))) == (
        "test.csv, row 1: label 'refunds' does not occur in training; 1 such row (did you mean 'refund'?). "
        "Mend the rows, add training rows, or leave them out with data.unseen_labels=drop"
    )
    assert refusal(train, ["a", "b"], unseen="drop") == (  # training rows are not dropped
        "train.csv, row 1: label 'refund' is none of the 2 names of labels.txt, nor a number from 0 to 1; "
        "2 such rows. Mend the rows, or their list"
    )


def test_a_label_that_is_named_but_never_trained():
    test = rows(("x", "a"), ("y", "c"), ("z", "c"))
    assert refusal(names=["a", "b", "c"], validation=TRAIN, test=test) == (
        "test.csv, row 2: label 'c' does not occur in training; 2 such rows. "
        "Mend the rows, add training rows, or leave them out with data.unseen_labels=drop"
    )


@pytest.mark.parametrize("names", [None, ["a", "b", "c"]])
def test_rows_with_unseen_labels_can_be_dropped(names):
    test = rows(("x", "a"), ("y", "c"), ("z", "b"))
    data = make(names=names, validation=other(TRAIN), test=test, unseen="drop")
    assert (data.test.texts, data.test.references) == (["x", "z"], [0, 1])
    gone = "1 rows of test left out: their labels do not occur in training"
    assert data.notes == ([gone] if names is None else ["1 of 3 labels have no training row: c", gone])


@pytest.mark.parametrize(("more", "said"), [("", None), ("cd", "2 of 4 labels have no training row: c, d"),
                                            ("cdefg", "5 of 7 labels have no training row: c, d, e, ...")])  # fmt: skip
def test_names_that_no_training_row_has_are_said(more, said):
    data = make(names=[*"ab", *more], validation=other(TRAIN), test=other(other(TRAIN)))
    assert data.notes == ([] if said is None else [said])
    assert len(data.labels) == 2 + len(more)


def test_dropping_must_leave_a_row():
    test = rows(("x", "c"))
    assert refusal(names=["a", "b", "c"], validation=TRAIN, test=test, unseen="drop") == (
        "test.csv, row 1: none of the labels of test occurs in training; data.unseen_labels=drop left no row"
    )


def test_unseen_labels_takes_three_words():
    assert refusal(unseen="ignore") == "data.unseen_labels='ignore': expected error, drop or keep"


def test_other_tasks_are_refused_with_their_file():
    amounts = rows(*[(f"text {i}", i / 4) for i in range(40)])
    assert refusal(amounts).startswith("train.csv: column 'label' holds 40 different numbers with decimals (0.0, 0.25")
    several = rows(("x", "fruit"), ("y", "sky"), ("z", "fruit|sky"))
    assert refusal(several).startswith("train.csv: column 'label' holds 'fruit|sky', which is several labels at once")


def test_notes_on_labels_count_one_number_once():
    train = rows(("x", 1), ("y", 1.0), ("z", 2))
    assert make(train, validation=other(train), test=other(other(train))).notes == []


# Rows without a label

NO_LABEL = "column 'label' is empty (or null, NaN, or -1 where that is no class)"


@pytest.mark.parametrize("empty", [None, "", " \t", float("nan"), "NaN", "nan", "<NA>", r"\N"])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_row_without_a_label_is_refused_or_left_out(empty, split):
    splits = {"train": TRAIN, "validation": other(TRAIN), "test": other(other(TRAIN))}
    splits[split] = [*splits[split][:2], {"text": "five", "label": empty}, *splits[split][2:]]
    remedy = "1 such row. Label them, or leave them out with data.unseen_labels=drop"
    assert refusal(**splits) == f"{split}.csv, row 3: {NO_LABEL}; {remedy}"
    data = make(**splits, unseen="drop")
    assert (data.labels, len(getattr(data, split))) == (("a", "b"), 4)
    assert data.notes == [f"1 rows of {split} left out: they have no label"]


def test_a_training_split_without_any_label():
    assert refusal(rows(("x", ""), ("y", None))) == (
        "train.csv, row 1: column 'label' is empty, as in every training row; expected labels"
    )


@pytest.mark.parametrize("hidden", [None, "", -1, "-1", float("nan")])
@pytest.mark.parametrize("names", [None, ["a", "b"]])
def test_a_split_without_labels_counts_as_missing(hidden, names):
    test = rows(("x", hidden), ("y", hidden))
    data = make(many(20, "ab"), names, validation=other(TRAIN), test=test)
    assert data.test.texts == [row["text"] for row in other(TRAIN)]
    assert data.notes == [
        "the test split has no labels and was not used",
        "no test split: validation is the test split",
        "no validation split: 10 % of train was set aside",
    ]


def test_minus_one_is_a_class_where_training_says_so():
    train = rows(("x", -1), ("y", 0), ("z", 1))
    data = make(train, validation=other(train), test=rows(("v", -1)))
    assert (data.labels, data.test.references) == (("-1", "0", "1"), [0])
    assert data.notes == ["label '-1' is a class (1 training rows), and not a missing label"]


def test_minus_one_among_labels_of_a_list_is_a_missing_label():
    train = rows(("x", 0), ("y", 1), ("z", -1))
    assert refusal(train, ["a", "b"]).startswith(f"train.csv, row 3: {NO_LABEL}")


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


def test_a_row_without_a_text_is_named():
    expected = "test.csv, row 1: column 'text' is missing or null; expected a value"
    assert refusal(validation=TRAIN, test=[{"text": None, "label": "a"}]) == expected


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_empty_split(split):
    splits = {"train": TRAIN, "validation": TRAIN, "test": TRAIN, split: []}
    assert refusal(**splits) == f"shop: the {split} split is empty; it needs at least one row"


def test_no_training_split_at_all():
    with pytest.raises(MillisError, match="shop: the train split is empty"):
        dataset_from_tables("shop", {"test": [table(TRAIN)]}, Columns())


def test_empty_texts_are_kept_and_counted():
    train = [*TRAIN, *rows(("", "a"), (" \n", "b"))]
    assert make(train, validation=other(TRAIN), test=other(other(TRAIN))).notes == ["2 empty texts kept"]
    pairs = [{"text_a": "", "text_b": "", "label": 0}, {"text_a": "", "text_b": "x", "label": 1}]
    assert make(pairs, validation=pairs[:1], test=pairs[:1]).notes == ["3 empty texts kept"]


def test_what_tables_decided_is_said_once():
    one = [replace(table(TRAIN), notes=("read with semicolons",))]
    data = dataset_from_tables("shop", {"train": one, "validation": one, "test": one}, Columns())
    assert data.notes.count("read with semicolons") == 1


# Limit and holdout


def many(count, labels=("label 0", "label 1"), name="text"):
    return rows(*[(f"{name} {i}", labels[i % len(labels)]) for i in range(count)])


def test_a_limit_draws_the_same_rows_each_time():
    splits = {"train": many(100), "validation": many(20), "test": many(5)}
    one, two = make(**splits, limit=10), make(**splits, limit=10)
    assert one == two
    assert [len(split) for split in (one.train, one.validation, one.test)] == [10, 10, 5]
    numbers = [int(text.split()[1]) for text in one.train.texts]
    assert numbers == sorted(numbers) != list(range(10))  # drawn from all rows, in their order
    assert [number % 2 for number in numbers] == one.train.references


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_leaves_a_row(limit):
    assert refusal(limit=limit) == f"data.limit={limit}: expected at least 1 row a split, or null for all"


def test_a_missing_validation_split_is_cut_from_train():
    data = make(many(40), test=many(4, name="test"))
    assert Counter(data.validation.references) == {0: 2, 1: 2}  # one in ten of 20 each
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
        assert all(text.startswith(f"{label}/") for text, label in zip(split.texts, split.references, strict=True))
    for label, count in enumerate(counts):
        share = held.references.count(label)
        assert abs(share - count / 10) < 1
        assert (share >= 1) == (count >= 2)
        assert kept.references.count(label) >= 1


def test_a_limit_samples_what_is_left_of_each_split_after_cutting():
    # 60 labels of ten rows: a sample of 64 rows has hardly two of any, so nothing could be cut from it.
    data = make(many(600, [f"label {i}" for i in range(60)]), limit=64)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [64, 60, 60]
    assert set(data.test.references) == set(range(60))


# Overlaps


def test_every_test_text_that_training_has_is_counted_wherever_validation_was_cut():
    train = many(30)
    data = make(train, test=train[:12])
    assert data.notes == [
        "no validation split: 10 % of train was set aside",
        "12 of 12 test texts also occur in train",
    ]


def test_overlaps_are_counted_before_a_limit():
    data = make(many(30), validation=many(4, name="other"), test=many(12), limit=2)
    assert data.notes == ["12 of 12 test texts also occur in train"]


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
