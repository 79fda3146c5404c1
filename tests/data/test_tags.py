"""Tags: a column with a tag for each word."""

import numpy as np
import pytest
from datasets import ClassLabel, Features, Sequence, Value
from datasets import Dataset as Table
from tables import table  # type: ignore[import-not-found]
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from millis.data.assemble import dataset_from_tables
from millis.data.columns import Columns
from millis.data.formats.arrow import dataset_table
from millis.data.references import IGNORED
from millis.data.tags import Tags
from millis.errors import MillisError

TRAIN = [
    {"text": "fly to new york", "tags": "O O B-city I-city"},
    {"text": "to paris today", "tags": ["O", "B-city", "B-day"]},
]


def read(train=TRAIN, validation=TRAIN[:1], test=TRAIN[1:], references=None, **settings):
    splits = {"train": train, "validation": validation, "test": test}
    tables = {split: [table(rows, where=split)] for split, rows in splits.items() if rows}
    return dataset_from_tables("toy", tables, Columns(), references=references or Tags(), **settings)


def test_tags_are_indices_outside_first():
    data = read()
    assert data.names == {"tag": ("O", "B-city", "I-city", "B-day")}
    assert data.train.references == [(0, 0, 1, 2), (0, 1, 3)]
    assert data.labels == ()
    assert hash(data.train.references[0]) is not None


def test_lists_of_words_and_of_class_indices_are_read(tmp_path):
    features = Features(
        {"text": Sequence(Value("string")), "tags": Sequence(ClassLabel(names=["O", "B-city", "I-city"]))}
    )
    rows = Table.from_dict({"text": [["new", "york"], ["in", "rome"]], "tags": [[1, 2], [0, 1]]}, features=features)
    tables = {split: [dataset_table(split, rows)] for split in ("train", "validation", "test")}
    data = dataset_from_tables("toy", tables, Columns(), references=Tags())
    assert data.train.texts == ["new york", "in rome"]
    assert data.train.references == [(1, 2), (0, 1)]
    path = tmp_path / "train.parquet"
    rows.to_parquet(path)
    from millis.data.formats import read_table

    assert read_table(path).classes == {"tags": ["O", "B-city", "I-city"]}


@pytest.mark.parametrize("written", ['["O", "O", "B-city", "I-city"]', "['O', 'O', 'B-city', 'I-city']"])
def test_lists_that_a_csv_file_holds_are_read(written):
    rows = [{"text": '["fly", "to", "new", "york"]', "tags": written}]
    data = read(rows, rows, rows)
    assert data.train.texts == ["fly to new york"] and data.train.references == [(0, 0, 1, 2)]


def test_names_of_tags_may_be_given_by_index():
    rows = [{"text": "new york", "tags": [1, 2]}, {"text": "is", "tags": [0]}]
    assert read(rows, rows, rows, label_names=["O", "B-city", "I-city"]).names["tag"] == ("O", "B-city", "I-city")
    assert read(TRAIN, label_names=["book", "cancel"]).names["tag"][0] == "O"  # names of labels, for another task


def test_a_test_split_without_the_column_counts_as_missing():
    data = read(test=[{"text": "fly"}])
    assert "the test split has no tags and was not used" in data.notes
    with pytest.raises(MillisError, match=r"test has no column 'tags': found text, tag \(did you mean 'tag'"):
        read(test=[{"text": "fly", "tag": "O"}])


def test_tags_that_training_lacks_are_known_and_said():
    data = read(test=[{"text": "in may rome", "tags": "O B-month B-city"}])
    assert data.names["tag"][-1] == "B-month"
    assert "1 words of test have tags that do not occur in training (B-month): mistakes" in data.notes


def test_tags_that_break_the_scheme_are_read_and_said():
    data = read(train=[*TRAIN, {"text": "york is", "tags": "I-city O"}])
    assert data.train.references[-1] == (2, 0)
    assert any("the tags of 1 train texts continue a span that has not begun" in note for note in data.notes)


@pytest.mark.parametrize(("tag", "hint"), [("b-city", " (did you mean 'B-city'"), ("city", ""), ("B_city", "")])
def test_a_tag_that_marks_no_span_among_others_is_refused_with_its_place(tag, hint):
    message = f"train, row 3: tag {tag!r} marks no span, where others do, such as 'B-city': expected O, or B- or I- and"
    with pytest.raises(MillisError, match=message) as caught:
        read(train=[*TRAIN, {"text": "york", "tags": tag}])
    assert hint in str(caught.value)


def test_plain_tags_break_nothing():
    rows = [{"text": "we fly", "tags": "PRON VERB"}]
    data = read(rows, rows, rows)
    assert data.names["tag"] == ("PRON", "VERB")
    assert not any("span" in note for note in data.notes)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "fly to rome", "tags": "O O"}, r"train, row 3: the text has 3 words and column 'tags' 2 tags"),
        ({"text": "我要去北京", "tags": "O O O B-city I-city"}, r"in a language written without them, put one between"),
        ({"text": "fly", "tags": ""}, r"train, row 3: column 'tags' is empty; 1 such rows"),
        ({"text": "fly", "tags": None}, r"train, row 3: column 'tags' is empty"),
        ({"text": "fly", "tags": 7}, r"column 'tags' holds 7; expected tags divided by blanks"),
        ({"text": "fly", "tags": [["O"]]}, r"lists \['O'\] as a tag; expected a name without blanks"),
        ({"text": ["new york"], "tags": ["O"]}, r"lists 'new york' as a word; expected text without blanks"),
        ({"text": None, "tags": "O"}, r"column 'text' is missing or null"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_their_place(row, message):
    with pytest.raises(MillisError, match=message):
        read(train=[*TRAIN, row])


def test_rows_without_tags_can_be_left_out():
    data = read(train=[*TRAIN, {"text": "fly", "tags": ""}], unseen_labels="drop")
    assert len(data.train) == 2 and "1 rows of train left out: they have no tags" in data.notes
    assert "the test split has no tags and was not used" in read(test=[{"text": "fly", "tags": ""}]).notes
    with pytest.raises(MillisError, match="column 'tags' is empty, as in every training row"):
        read(train=[{"text": "fly", "tags": ""}], unseen_labels="drop")


def test_a_missing_column_and_pairs_are_refused():
    with pytest.raises(MillisError, match=r"train has no column 'slots': found text, tags. Name it with task"):
        read(references=Tags("slots"))
    pair = [{"text_a": "a", "text_b": "b", "tags": "O"}]
    with pytest.raises(MillisError, match="train, row 1: a pair of texts, and tags belong to the words of one"):
        read(pair, pair, pair)


def test_targets_stand_at_the_first_piece_of_each_word():
    vocabulary = {piece: i for i, piece in enumerate(["[UNK]", "[CLS]", "[SEP]", "new", "york", "##er", "is"])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.enable_truncation(5)
    texts = ["new yorker", "is new york is"]  # [CLS] new york ##er [SEP], [CLS] is new york [SEP]
    (targets,) = Tags().targets(texts, [(4, 5), (1, 2, 3, 4)], tokenizer.encode_batch(texts))
    no = IGNORED
    assert targets.tolist() == [no, 4, 5, no, no, no, 1, 2, 3, no]
    assert targets.dtype == np.int64


def test_a_text_without_tags_gets_as_many_as_it_has_words():
    assert Tags().unanswered("a b  c") == (0, 0, 0)
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    tokenizer.normalizer = normalizers.Replace("\u200b", "")
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    whole = tokenizer.encode("a \u200b b a")
    assert Tags().answered("a \u200b b a", (4, 5, 6), whole) == (4, 0, 5, 6)  # no token is of the second word
    tokenizer.enable_truncation(2)
    assert Tags().answered("a b a", (4, 5), tokenizer.encode("a b a")) == (4, 5, 0)
