"""A label a text and a tag a word, of the same rows."""

import pytest
from tables import table  # type: ignore[import-not-found]
from tokenizers import Tokenizer, models, pre_tokenizers

from millis.data.assemble import dataset_from_tables
from millis.data.columns import Columns
from millis.data.label_and_tags import LabelAndTags
from millis.data.references import IGNORED
from millis.data.tags import Tags
from millis.errors import MillisError

ROWS = [
    {"text": "fly to rome", "label": "book", "slots": "O O B-city"},
    {"text": "rain today", "label": "weather", "slots": "O B-day"},
]


def read(train=ROWS, validation=ROWS, test=ROWS, **settings):
    tables = {"train": train, "validation": validation, "test": test}
    return dataset_from_tables(
        "toy",
        {split: [table(rows, where=split)] for split, rows in tables.items()},
        Columns(),
        references=LabelAndTags(Tags("slots")),
        **settings,
    )


def test_both_are_read_of_every_row():
    data = read()
    assert data.names == {"label": ("book", "weather"), "tag": ("O", "B-city", "B-day")}
    assert data.train.texts == ["fly to rome", "rain today"]
    assert data.train.references == [(0, (0, 0, 1)), (1, (0, 2))]


def test_rows_that_lack_either_are_refused_or_left_out_together():
    lacking = [
        {"text": "fly", "label": "book", "slots": ""},
        {"text": "fly now", "label": "", "slots": "O O"},
        *ROWS,
    ]
    with pytest.raises(MillisError, match=r"train, row 1: column 'slots' is empty; 1 such rows. Tag them"):
        read(train=lacking)
    with pytest.raises(MillisError, match="train, row 1: column 'label' is empty"):
        read(train=lacking[1:])
    assert read(train=lacking, unseen_labels="drop").train.references == [(0, (0, 0, 1)), (1, (0, 2))]


def test_lists_of_words_are_read_and_a_split_without_either_is_missing():
    rows = [{"text": row["text"].split(), "label": row["label"], "slots": row["slots"].split()} for row in ROWS]
    data = read(train=rows * 2, test=[{"text": "fly"}])
    assert data.train.texts == ["fly to rome", "rain today"]
    assert "the test split has no labels and was not used" in data.notes


def test_labels_that_training_lacks_can_be_kept_as_mistakes():
    strange = [*ROWS, {"text": "sing", "label": "music", "slots": "O"}]
    with pytest.raises(MillisError, match="label 'music' does not occur in training"):
        read(test=strange)
    assert len(read(test=strange, unseen_labels="drop").test) == 2
    kept = read(test=strange, unseen_labels="keep")
    assert kept.labels == ("book", "music", "weather")
    assert kept.test.references[-1] == (1, (0,))
    assert "1 rows of test have labels that do not occur in training: they count as mistakes" in kept.notes


def test_targets_are_those_of_both():
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    texts = ["a", "b a"]
    labels, tags = LabelAndTags(Tags()).targets(texts, [(3, (7,)), (1, (8, 9))], tokenizer.encode_batch(texts))
    assert labels.tolist() == [3, 1] and tags.tolist() == [7, 8, 9]
    assert IGNORED not in tags


def test_a_text_without_either_gets_both():
    kind = LabelAndTags(Tags())
    assert kind.unanswered("a b") == (0, (0, 0))
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    assert kind.answered("a b", (2, (5, 6)), tokenizer.encode("a b")) == (2, (5, 6))
    assert kind.stratum((4, (1, 2))) == 4
