"""Several labels a text, from lists and from names between separators."""

import numpy as np
import pytest
from datasets import ClassLabel, Features, Sequence, Value
from datasets import Dataset as Table
from tables import table  # type: ignore[import-not-found]

from millis.data.assemble import dataset_from_tables
from millis.data.columns import Columns
from millis.data.formats.arrow import dataset_table
from millis.data.label_sets import LabelSets
from millis.errors import MillisError


def read(*cells, test=("war",), given=None, kind=None, **settings):
    rows = {"train": cells, "validation": cells, "test": test}
    tables = {
        split: [table([{"text": f"{split} {i}", "labels": cell} for i, cell in enumerate(found)], where=split)]
        for split, found in rows.items()
    }
    return dataset_from_tables("toy", tables, Columns(), given, references=kind or LabelSets(), **settings)


@pytest.mark.parametrize("cells", [
    (["drama", "war"], ["war"], []),
    ("drama|war", "war", ""),
    ("drama; war", "war", "nan"),
    ("drama, war", " war ", None),
    ('["drama", "war"]', '["war"]', "[]"),
    (" ['drama', 'war'] ", "war", ""),
    ("['war', 'drama', 'war']", "war", None),
])  # fmt: skip
def test_lists_and_separators_are_read_alike(cells):
    data = read(*cells)
    assert data.labels == ("drama", "war")
    assert data.train.references == [(0, 1), (1,), ()]


def test_the_separator_that_was_found_is_said():
    assert "labels in column 'labels' are divided at '|' (task.separator)" in read("a|b", "a", test=("a",)).notes
    assert not any("divided" in note for note in read(["a", "b"], ["a"], test=(["a"],)).notes)
    assert read("a,b|c", "c", test=("c",)).labels == ("a,b", "c")  # `|` comes before `,`, which is part of a name
    assert read("a,b|c", "a", test=("a",), kind=LabelSets(separator=",")).labels == ("a", "b|c")


def test_a_name_with_an_apostrophe_in_a_list():
    assert read('["don\'t know", "yes"]', '["yes"]', test=('["yes"]',)).labels == ("don't know", "yes")


def test_labels_that_the_list_of_names_lacks():
    with pytest.raises(MillisError, match=r"label 'spy' is none of the 2 names of labels.txt; 1 such rows"):
        read(["war", "spy"], test=(["war"],), given=["drama", "war"])


def test_lists_of_class_indices_have_their_names():
    features = Features({"text": Value("string"), "labels": Sequence(ClassLabel(names=["drama", "war"]))})
    rows = Table.from_dict({"text": ["x", "y"], "labels": [[1], [0, 1]]}, features=features)
    tables = {split: [dataset_table(split, rows)] for split in ("train", "validation", "test")}
    data = dataset_from_tables("toy", tables, Columns(), references=LabelSets())
    assert data.train.references == [(1,), (0, 1)]


def test_names_that_look_like_several_or_like_one_another_are_noted():
    notes = read("a|b;c", "B", "a", "b;c", test=("a",)).notes
    assert any("'b;c' is one class, and not several labels" in note for note in notes)


def test_names_by_index_may_be_given():
    assert read([0, 2], [1], test=([2],), given=["a", "b", "c"]).train.references == [(0, 2), (1,)]


def test_labels_that_training_lacks():
    with pytest.raises(MillisError, match=r"test, row 1: label 'spy' does not occur in training .data.unseen"):
        read("drama|war", test=("war|spy", "war"))
    assert len(read("drama|war", test=("war|spy", "war"), unseen_labels="drop").test) == 1
    kept = read("drama|war", test=("war|spy", "war"), unseen_labels="keep")
    assert kept.labels == ("drama", "spy", "war") and kept.test.references == [(1, 2), (2,)]


@pytest.mark.parametrize(("cell", "message"), [
    ({"a": 1}, "train, row 2: column 'labels' holds an object"),
    ([["a"]], "train, row 2: column 'labels' holds a list"),
])  # fmt: skip
def test_cells_that_hold_no_labels_are_refused(cell, message):
    with pytest.raises(MillisError, match=message):
        read("drama|war", cell)


def test_no_labels_at_all():
    with pytest.raises(MillisError, match="train, row 1: column 'labels' is empty, as in every training row"):
        read("", None)
    assert "the test split has no labels and was not used" in read("a|b", "b", "b", test=("", None)).notes
    with pytest.raises(MillisError, match=r"has no column 'genres': found text, labels. Name it with task.column="):
        read("a|b", kind=LabelSets("genres"))


def test_targets_are_truth_values():
    (targets,) = LabelSets(width=3).targets(["x", "y"], [(0, 2), ()], [None, None])
    assert targets.dtype == np.bool_ and targets.tolist() == [[True, False, True], [False, False, False]]
    assert LabelSets().unanswered("x") == () and LabelSets().answered("x", (1,), None) == (1,)
    assert LabelSets().stratum((2, 3)) == 2 and LabelSets().stratum(()) == -1
