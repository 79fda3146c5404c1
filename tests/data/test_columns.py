"""Which columns are found, and what is said where one is not."""

import pytest
from tables import table

from millis.data.columns import Columns, check, refuse_misspelt
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


@pytest.mark.parametrize(
    ("names", "pair", "first"),
    [
        (["text", "body"], "body", "text"),
        (["sentence", "text"], "text", "sentence"),
        (["text_a", "text_b", "text"], "text_b", "text_a"),
        (["question", "sentence"], "sentence", "question"),
        (["text_a", "text_b", "text", "body"], "body", "text"),
    ],
)
def test_the_second_of_a_pair_finds_its_first(names, pair, first):
    found = Columns(text_pair=pair).resolve(table([dict.fromkeys([*names, "label"], "x")]))
    assert found == (first, pair)


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (["text", "sentence", "body"], "body"),
        (["text"], "text"),
        (["title", "body"], "body"),
        (["text_a", "text_b"], "text_a"),
    ],
)
def test_the_second_of_a_pair_alone_is_not_enough(names, pair):
    assert refusal(*names, "label", columns=Columns(text_pair=pair)) == (
        f"data.text_pair={pair} without data.text: which column of train.csv has the first texts is not clear: "
        f"found {', '.join(names)}, label. Name it with data.text=..."
    )
    assert refusal("text", "label", columns=Columns(text_pair="bodi")).startswith("train.csv has no column 'bodi'")


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
        "train.csv has no column 'texts': found text, label (did you mean 'text'?). "
        "Name columns with data.text=, data.text_pair=, data.label="
    )
    assert refusal("text", "kind").startswith("train.csv has no column 'label': found text, kind. Name")


def test_a_name_in_other_case_is_near():
    assert "found text, LABEL (did you mean 'LABEL'?)" in refusal("text", "LABEL")


@pytest.mark.parametrize("name", ["Label", "LABEL", "labels", " label", "label_id"])
def test_a_label_column_of_nearly_the_name_is_refused(name):
    with pytest.raises(MillisError) as caught:
        refuse_misspelt(table([{"text": "x", name: "a"}], "test.csv"), "label", ["text"])
    assert str(caught.value) == (
        f"test.csv has no column 'label': found text, {name} (did you mean {name!r}?). Give it the same name in every "
        "file, or, where the split has no labels, leave it out with data.validation=null or data.test=null"
    )


def test_a_table_without_a_label_column_has_no_name_like_it():
    refuse_misspelt(table([{"text": "x", "id": 1}]), "label", ["text"])
    refuse_misspelt(table([{"label_text": "x"}]), "label", ["label_text"])  # the text
    refuse_misspelt(table([{"text": "x", "label": 1, "Label": 2}]), "label", ["text"])


def test_every_table_needs_the_text_columns():
    with pytest.raises(MillisError, match=r"test\.csv has no column 'text': found body, label"):
        check(table([{"body": "x", "label": "a"}], "test.csv"), ["text"])
