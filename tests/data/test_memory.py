"""Rows in memory read as the same rows in files do."""

import datasets
import numpy as np
import pandas
import pyarrow
import pytest

from millis.data.memory import Memory, table_of
from millis.described import described
from millis.errors import MillisError

TEXTS, LABELS = ["where is it", "send it back", "where now", "take it back"], ["track", "refund", "track", "refund"]
ROWS = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
KINDS = {
    "dictionaries": lambda rows: rows,
    "lists": lambda rows: ([row["text"] for row in rows], [row["label"] for row in rows]),
    "pandas": pandas.DataFrame,
    "arrow": pyarrow.Table.from_pylist,
    "datasets": datasets.Dataset.from_list,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_rows_gives_the_same_data_set(kind):
    splits = {"train": KINDS[kind](ROWS), "validation": KINDS[kind](ROWS[:2]), "test": KINDS[kind](ROWS[2:])}
    found = Memory(splits, name="mine")()
    assert found.name == "mine" and found.labels == ("refund", "track")
    assert found.train.texts == TEXTS and found.train.references == [1, 0, 1, 0]
    assert found.test.texts == TEXTS[2:]
    assert found.fingerprint == Memory({"train": ROWS, "validation": ROWS[:2], "test": ROWS[2:]})().fingerprint


def test_any_sequence_of_texts_and_labels_is_read():
    frame = pandas.DataFrame({"text": ["left out", *TEXTS], "number": [0, 1, 0, 1, 0]})[1:]  # no row has the index 0
    splits = {
        "train": (frame["text"], frame["number"]),
        "validation": ((text for text in TEXTS), np.array([1, 0, 1, 0])),
        "test": [{"text": text, "label": np.int64(label)} for text, label in zip(TEXTS, [1, 0, 1, 0], strict=True)],
    }
    with pytest.raises(MillisError, match=r"data.validation has 0 texts and 4 labels"):
        Memory(splits)()  # a generator is empty the second time
    found = Memory({**splits, "validation": (TEXTS, np.array([1, 0, 1, 0]))})()
    assert found.labels == ("0", "1")
    assert found.train.references == found.validation.references == found.test.references == [1, 0, 1, 0]


@pytest.mark.parametrize("first", [None, float("nan")])
def test_a_missing_text_is_named(first):
    with pytest.raises(MillisError, match=r"data.train, row 1: "):
        Memory({"train": ([first, *TEXTS[1:]], LABELS)})()


def test_pairs_are_two_columns():
    pairs = [("a b", "b a"), ("a c", "c d"), ("x y", "y x"), ("p q", "r s")]
    found = Memory({"train": (pairs, ["same", "other"] * 2), "test": (pairs[:1], ["same"])}, limit=3)()
    assert found.pairs and found.test.texts == [("a b", "b a")]


def test_classes_of_a_dataset_name_its_indices():
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    rows = datasets.Dataset.from_dict({"text": TEXTS, "label": [0, 1, 1, 0]}, features=features)
    assert Memory(datasets.DatasetDict({"train": rows, "validation": rows, "test": rows}))().labels == ("no", "yes")


def test_further_texts_are_those_that_are_neither_judged_nor_known():
    splits = {"train": ROWS, "validation": ROWS[:1], "test": ROWS[1:2]}
    found = Memory(splits, unlabelled=["what is new", "SEND it back", "what is new"])()
    assert found.unlabelled == ["what is new"]
    with pytest.raises(MillisError, match=r"^data.unlabelled=1 texts has no text to learn from \(1 left out: they als"):
        Memory(splits, unlabelled=["send it back"])()
    with pytest.raises(MillisError, match=r"^data.unlabelled, text 1: expected a text, as in the training rows, got "):
        Memory(splits, unlabelled=[("a", "b")])()


def test_equal_rows_are_one_source_and_others_another():
    one, same, other = (Memory({"train": rows}) for rows in (ROWS, [dict(row) for row in ROWS], ROWS[:3]))
    assert described(one) == described(same) != described(other)
    assert described(one)["content"] and "splits" not in described(one)
    assert one == same != other


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({}, r"^data has nothing: expected train and, where they exist, validation and test$"),
        (
            {"train": ROWS, "dev": ROWS},
            r"^data has train, dev: expected train and, where they exist, validation and te",
        ),
        ({"train": []}, r"^data.train is builtins.list: expected a list of dictionaries, \(texts, labels\), a pandas"),
        ({"train": "train.csv"}, r"^data.train is builtins.str: expected a list of dictionaries"),
        ({"train": (TEXTS, LABELS[:3])}, r"^data.train has 4 texts and 3 labels: expected as many$"),
        ({"train": ("text", LABELS)}, r"^data.train has 0 texts and 4 labels: expected as many$"),
    ],
)
def test_what_is_no_data_set_is_refused(splits, message):
    with pytest.raises(MillisError, match=message):
        Memory(splits)


def test_a_cell_that_only_some_rows_have_is_missing_in_the_others():
    assert list(table_of("rows", [{"a": 1}, {"b": 2}]).cells(("b", "a"))) == [(None, 1), (2, None)]
