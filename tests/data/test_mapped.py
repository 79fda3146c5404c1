"""Rows to splits: indices, and what is left out."""

import pytest

from millis.data.labels import Labels
from millis.data.mapped import mapped
from millis.data.rows import Rows
from millis.errors import MillisError

ROWS = Rows(["x", "y", "z", "v"], ["b", None, "a", "c"], [0, 2], ["1.csv", "2.csv"])
LISTED = "labels.txt"


def test_rows_without_a_trained_label_are_left_out_and_counted():
    notes = ["before"]
    split = mapped(ROWS, "test", "label", Labels(("a", "b", "c")), {0, 1}, "drop", notes)
    assert (split.texts, split.references) == (["x", "z"], [1, 0])
    assert notes == [
        "before",
        "1 rows of test left out: they have no label",
        "1 rows of test left out: their labels do not occur in training",
    ]


def test_training_rows_keep_every_known_label():
    split = mapped(ROWS, "train", "label", Labels(("a", "b", "c")), None, "drop", [])
    assert (split.texts, split.references) == (["x", "z", "v"], [1, 0, 2])


@pytest.mark.parametrize(
    ("labels", "trained", "unseen", "fault"),
    [
        (Labels(("a", "b", "c")), {0}, "error", "1.csv, row 2: column 'label' is empty"),
        (Labels(("a", "b"), LISTED), None, "drop", "2.csv, row 2: label 'c' is none of the 2 names of labels.txt"),
        (Labels(("d", "e"), LISTED), {0, 1}, "drop", "1.csv, row 1: none of the labels of test occurs in training"),
    ],
)
def test_what_cannot_be_left_out_is_refused_with_its_place(labels, trained, unseen, fault):
    with pytest.raises(MillisError) as caught:
        mapped(ROWS, "test", "label", labels, trained, unseen, [])
    assert str(caught.value).startswith(fault)
