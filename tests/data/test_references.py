"""A data set of any kind of reference: read, cut and sampled as one of labels is."""

from dataclasses import dataclass

import pytest

from millis.data.assemble import dataset_from_tables
from millis.data.columns import Columns
from millis.data.dataset import Split
from millis.data.references import Read, together
from millis.data.table import Table
from millis.errors import MillisError


@dataclass(frozen=True)
class Amounts:
    """What should be answered to a text is an amount, small or large."""

    def read(self, source):
        splits = {}
        for split, found in source.tables.items():
            cells = [row for table in found for row in table.cells(("text", source.columns.label))]
            splits[split] = Split([text for text, _ in cells], [amount for _, amount in cells])
        source.notes.append("amounts were read")
        return Read({}, splits)

    def stratum(self, reference):
        return reference > 10

    def group(self, reference):
        return None


def table(amounts):
    rows = [(f"text {i}", amount) for i, amount in enumerate(amounts)]
    return Table("here", ("text", "label"), lambda columns: iter(rows))


def test_amounts_are_cut_in_their_strata_and_have_no_labels():
    amounts = [0.5 + i % 10 for i in range(40)] + [20.5 + i for i in range(20)]
    data = dataset_from_tables("prices", {"train": [table(amounts)]}, Columns(), references=Amounts())
    assert (data.labels, data.pairs) == ((), False)
    assert [sum(amount > 10 for amount in split.references) for split in (data.validation, data.test)] == [2, 2]
    assert sorted([*data.train.references, *data.validation.references, *data.test.references]) == sorted(amounts)
    assert data.notes == [
        "amounts were read",
        "no test split: 10 % of train was set aside as the test split",
        "no validation split: 10 % of train was set aside",
    ]


def test_strata_of_one_row_each_cannot_be_cut():
    with pytest.raises(MillisError, match=r"prices: no split can be cut from train"):
        dataset_from_tables("prices", {"train": [table([1, 20])]}, Columns(), references=Amounts())


def test_rows_of_a_group_are_together_and_others_apart():
    assert together(["b1", "a1", None, "b2", None], lambda name: name and name[0]) == [[0, 3], [1], [2], [4]]
