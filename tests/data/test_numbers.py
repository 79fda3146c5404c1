"""A number for each text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import table  # type: ignore[import-not-found]

from millis.data.assemble import dataset_from_tables
from millis.data.columns import Columns
from millis.data.numbers import Numbers
from millis.errors import MillisError


def read(*cells, test=(1.0,), **settings):
    rows = {"train": cells, "validation": cells, "test": test}
    tables = {
        split: [table([{"text": f"{split} {i}", "label": cell} for i, cell in enumerate(found)], where=split)]
        for split, found in rows.items()
    }
    return dataset_from_tables("toy", tables, Columns(), references=Numbers(), **settings)


def test_numbers_are_read_however_they_are_written():
    assert read(1, 2.5, "3", " 0,25 ", "-1e2").train.references == [1.0, 2.5, 3.0, 0.25, -100.0]


@pytest.mark.parametrize(("cell", "message"), [
    ("many", "train, row 2: column 'label' holds 'many'; expected a number, such as 0.25"),
    ("1,000", "train, row 2: column 'label' holds '1,000', which may be a thousand or a number with decimals"),
    (True, "train, row 2: column 'label' holds True; expected a number"),
    ([1], r"train, row 2: column 'label' holds \[1\]; expected a number"),
    ("", "train, row 2: column 'label' is empty; 1 such rows. Fill them in, or leave them out"),
    (float("nan"), "train, row 2: column 'label' is empty"),
])  # fmt: skip
def test_other_cells_are_refused_with_their_place(cell, message):
    with pytest.raises(MillisError, match=message):
        read(1.0, cell)


def test_the_column_is_that_of_labels_unless_another_is_named():
    rows = [{"text": "x", "score": 1.0, "label": 2.0}]
    tables = {split: [table(rows, where=split)] for split in ("train", "validation", "test")}
    for columns, kind, expected in (
        (Columns(), Numbers(), 2.0), (Columns(label="score"), Numbers(), 1.0), (Columns(), Numbers("score"), 1.0),
    ):  # fmt: skip
        assert dataset_from_tables("toy", tables, columns, references=kind).train.references == [expected]


def test_rows_without_a_number_can_be_left_out():
    data = read(1.0, None, 2.0, unseen_labels="drop")
    assert data.train.references == [1.0, 2.0] and "1 rows of train left out: they have no number" in data.notes
    assert "the test split has no numbers and was not used" in read(1.0, 2.0, test=("",)).notes


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5),
    st.floats(-10, 10),
    st.floats(0.1, 10),
)
def test_what_is_learned_is_answered_in_the_datas_unit(numbers, mean, deviation):
    kind = Numbers(None, mean, deviation)
    (targets,) = kind.targets([""] * len(numbers), numbers, [])
    assert targets.dtype == np.float32
    back = [kind.answered("", float(target), None) for target in targets]
    np.testing.assert_allclose(back, numbers, rtol=1e-4, atol=1e-2)
    assert kind.unanswered("") == mean
