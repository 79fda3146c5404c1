"""Which columns are found, and what is said where one is not."""

import pytest
from tables import table

from millis.data.columns import Columns, check
from millis.errors import MillisError


def refusal(*names, columns=None):
    with pytest.raises(MillisError) as caught:
        (columns or Columns()).resolve(table([dict.fromkeys(names, "x")]))
    return str(caught.value)


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        (["text"], ("text",)),
        (["sentence", "idx"], ("sentence",)),
        (["text_b", "text_a"], ("text_a", "text_b")),
        (["question", "sentence"], ("question", "sentence")),
    ],
)
def test_usual_columns_are_found(names, texts):
    assert Columns().resolve(table([dict.fromkeys([*names, "label"], "x")])) == texts


def test_no_text_column():
    assert refusal("phrase", "label") == (
        "train.csv has no text column: found phrase, label. Name it with data.text=... (and data.text_pair=... for "
        "pairs)"
    )


def test_a_name_with_separators_in_it_may_be_several_columns():
    assert refusal("id;text", "label").endswith(
        "for pairs). If 'id;text' is several columns, save the file with one separator throughout"
    )


def test_a_column_that_is_not_there_and_its_nearest():
    assert refusal("text", "label", columns=Columns(text="texts")) == (
        "train.csv has no column 'texts': found text, label; did you mean 'text'?. "
        "Name columns with data.text=, data.text_pair=, data.label="
    )
    assert refusal("text", "kind").startswith("train.csv has no column 'label': found text, kind. Name")


def test_every_table_needs_the_text_columns():
    with pytest.raises(MillisError, match=r"test\.csv has no column 'text': found body, label"):
        check(table([{"body": "x", "label": "a"}], "test.csv"), ["text"])
