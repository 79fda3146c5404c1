"""What every table must be."""

import pytest

from millis.data.table import Table
from millis.errors import MillisError


def test_a_column_name_stands_once():
    with pytest.raises(MillisError, match=r"^train\.csv: the column name 'text' stands twice, so what it means"):
        Table("train.csv", ("text", "label", "text"), lambda names: iter(()))


def test_columns_without_a_name_may_be_several():
    assert Table("train.csv", ("", "text", ""), lambda names: iter(())).columns == ("", "text", "")
