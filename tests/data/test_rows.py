"""Tables read one after the other."""

import pytest
from tables import table

from millis.data.rows import read_rows
from millis.errors import MillisError


def test_rows_of_several_tables_and_where_they_stand():
    first = table([{"a": "x", "b": "y", "label": " k"}, {"a": "z", "b": 1, "label": None}], "1.csv")
    second = table([{"a": "v", "b": b"w", "label": 2}], "2.csv")
    rows = read_rows([first, table([], "empty.csv"), second], ["a", "b"], "label")
    assert rows.texts == [("x", "y"), ("z", "1"), ("v", "w")]
    assert rows.labels == ["k", None, "2"]
    assert [rows.where(i) for i in range(3)] == ["1.csv, row 1", "1.csv, row 2", "2.csv, row 1"]


def test_equal_cells_of_other_types_are_other_labels():
    rows = read_rows([table([{"text": "x", "label": cell} for cell in (1, True, 1.0)])], ["text"], "label")
    assert rows.labels == ["1", "True", "1.0"]


def test_indices_of_classes_have_their_names():
    one = table([{"text": "x", "label": 1}], label=["no", "yes"])
    rows = read_rows([one, table([{"text": "y", "label": 1}, {"text": "z", "label": None}])], ["text"], "label")
    assert (rows.labels, rows.bare) == (["yes", "1", None], {"1": 1})


def test_a_table_may_lack_the_label_but_not_the_text():
    unlabelled = table([{"text": "x"}], "test.csv")
    assert read_rows([unlabelled], ["text"], "label").labels == [None]
    with pytest.raises(MillisError, match=r"test\.csv has no column 'body'"):
        read_rows([unlabelled], ["body"], "label")
    with pytest.raises(MillisError, match="did you mean 'Label'"):
        read_rows([table([{"text": "x", "Label": "a"}])], ["text"], "label")


@pytest.mark.parametrize("cell", [["a"], {"a": 1}])
def test_a_cell_that_cannot_be_is_named_with_its_row(cell):
    rows = [{"text": "x", "label": "a"}, {"text": "y", "label": cell}]
    with pytest.raises(MillisError, match=r"^train\.csv, row 2: column 'label' holds an? "):
        read_rows([table(rows)], ["text"], "label")
    with pytest.raises(MillisError, match=r"^train\.csv, row 2: column 'label' holds an? "):
        read_rows([table(rows)], ["label"], "text")
