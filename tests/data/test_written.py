"""A text for each text."""

import numpy as np
import pytest
from tables import table  # type: ignore[import-not-found]
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from millis.data.assemble import dataset_from_tables
from millis.data.columns import Columns
from millis.data.local import Local
from millis.data.memory import Memory
from millis.data.references import IGNORED
from millis.data.written import Written
from millis.errors import MillisError

ROWS = [{"en": f"parcel {i}", "de": f"Paket {i}"} for i in range(4)]


def read(train, validation=None, test=None, kind=None, columns=None, **settings):
    rows = {"train": train, "validation": validation or train, "test": test or train}
    tables = {split: [table(found, where=split)] for split, found in rows.items()}
    kind = kind or Written("de")
    return dataset_from_tables("toy", tables, columns or Columns(text="en"), references=kind, **settings)


def summarised(*cells, **settings):
    """Rows whose column `references` has `cells`, as test split."""
    test = [{"document": "d", "summary": f"s {i}", "references": cell} for i, cell in enumerate(cells)]
    train = [{"document": f"d {i}", "summary": f"t {i}", "references": ["never", "learned"]} for i in range(3)]
    return read(train, train, test, Written("summary", "references"), Columns(text="document"), **settings)


def test_either_language_is_written():
    data = read(ROWS)
    assert (data.train.texts[1], data.train.references[1]) == ("parcel 1", "Paket 1")
    assert data.names == {} and data.labels == () and not data.pairs
    back = read(ROWS, kind=Written("en"), columns=Columns(text="de"))
    assert (back.train.texts[1], back.train.references[1]) == ("Paket 1", "parcel 1")
    assert data.fingerprint != back.fingerprint


def test_texts_are_taken_as_they_are_written():
    cells = [" Zeile\nzwei ", "[laughs]", "nan", 4711, 3.5, "-1"]
    data = read([{"en": f"x {i}", "de": cell} for i, cell in enumerate(cells)])
    assert data.train.references == [" Zeile\nzwei ", "[laughs]", "nan", "4711", "3.5", "-1"]


def test_pairs_of_texts_are_not_answered():
    rows = [{"a": "question", "b": f"page {i}", "answer": f"because {i}"} for i in range(2)]
    message = r"train has pairs of texts \(a and b\), and what is written answers single ones\. Name their column with"
    with pytest.raises(MillisError, match=message):
        read(rows, kind=Written("answer"), columns=Columns("a", "b"))


def test_the_end_of_a_text_that_was_cut_off_is_not_learned():
    """Of 8 tokens at most; that what is read was cut off changes nothing of what is to be written."""
    words = Tokenizer(WordLevel({word: place for place, word in enumerate("abcdefghij|.")}))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(
        single="$A", pair="$A:0 |:0 $B:1 .:1", special_tokens=[("|", 10), (".", 11)]
    )
    words.enable_truncation(8)
    pairs = [("a b", "e f"), ("a b c d a b c d a b", "e f"), ("a b", "e f g h i j e f g h")]
    whole, long, cut = words.encode_batch(pairs)
    (targets,) = Written("de").targets(["x"] * 3, ["y"] * 3, [whole, long, cut])
    assert targets.tolist() == [
        *(IGNORED, IGNORED, 4, 5, 11, IGNORED),
        *(IGNORED, IGNORED, IGNORED, IGNORED, 4, 5, 11, IGNORED),
        *(IGNORED, IGNORED, 4, 5, 6, 7, IGNORED, IGNORED),
    ]


def test_the_column_is_that_of_labels_unless_another_is_named():
    rows = [{"text": "x", "label": "y"}]
    assert read(rows, kind=Written(), columns=Columns()).train.references == ["y"]


def test_where_several_texts_are_right_evaluation_knows_all():
    data = summarised(["one", "two", "one"], ["one"], '["a", "b"]', "['a', \"b's\"]", "plain", [], None, ["", "x"])
    assert data.test.references == [
        ("one", "two"), "one", ("a", "b"), ("a", "b's"), "plain", "s 5", "s 6", "x"
    ]  # fmt: skip
    assert data.train.references == ["t 0", "t 1", "t 2"]
    assert data.validation.references == [("never", "learned")] * 3


def test_where_several_are_known_the_one_may_be_missing():
    test = [{"document": "d", "references": ["one", "two"]}]
    train = [{"document": "e", "summary": "t"}]
    data = read(train, test, test, Written("summary", "references"), Columns(text="document"))
    assert data.test.references == [("one", "two")] and data.train.references == ["t"]


@pytest.mark.parametrize(("cell", "message"), [
    ({"a": 1}, r"train, row 5: column 'de' holds an object \({'a': 1}\); expected a text to write. Name another"),
    (True, r"train, row 5: column 'de' holds a truth value \(True\); expected a text to write"),
    (["a", "b"], r"holds a list .* with task.target=, or where several are right name a column of lists with"),
    (b"\xff", "train, row 5: column 'de' holds bytes that are no UTF-8 text"),
    ("", "train, row 5: column 'de' is empty; 1 such rows. Fill them in, or leave them out with"),
    (" \u200b", "train, row 5: column 'de' is empty"),
    (None, "train, row 5: column 'de' is empty"),
    (float("nan"), "train, row 5: column 'de' is empty"),
])  # fmt: skip
def test_other_cells_are_refused_with_their_place(cell, message):
    with pytest.raises(MillisError, match=message):
        read([*ROWS, {"en": "x", "de": cell}])


def test_lists_of_something_else_are_refused_with_their_place():
    with pytest.raises(MillisError, match=r"test, row 2: column 'references' holds an object"):
        summarised(["a"], [{"text": "a"}])


def test_rows_without_a_text_can_be_left_out():
    data = read([*ROWS, {"en": "x", "de": None}], unseen_labels="drop")
    assert len(data.train) == 4 and "1 rows of train left out: they have no text to write" in data.notes
    with pytest.raises(MillisError, match="column 'de' is empty; 1 such rows"):
        read([{"en": "x", "de": ""}], unseen_labels="drop")


def test_a_split_whose_texts_are_withheld_is_not_used():
    data = read(ROWS * 5, test=[{"en": "x", "de": ""}])
    assert "the test split has no texts to write and was not used" in data.notes
    assert "no test split: validation is the test split" in data.notes
    assert {*data.test.references} == {row["de"] for row in ROWS}


@pytest.mark.parametrize(("kind", "columns", "message"), [
    (Written("fr"), Columns(text="en"), "train has no column 'fr': found en, de. Name it with task.target=..."),
    (Written("dee"), Columns(text="en"), r"found en, de \(did you mean 'de'"),
    (Written("en"), Columns(text="en"), "train: column 'en' is both the text that is read and the one to write. Name"),
    (Written("de"), Columns(), "train has no text column: found en, de. Name it with data.text=..."),
    (Written("de"), Columns(text="fr"), "train has no column 'fr'"),
    (Written("de", "des"), Columns(text="en"), r"validation has no column 'des': found en, de \(did you mean 'de'"),
])  # fmt: skip
def test_columns_that_are_not_there_are_refused(kind, columns, message):
    with pytest.raises(MillisError, match=message):
        read(ROWS, kind=kind, columns=columns)


def test_what_looks_like_no_text_to_write_is_said():
    labels = read([{"en": f"x {i}", "de": "ja" if i % 2 else "nein"} for i in range(50)])
    assert (
        "column 'de' holds 2 different texts in 50 training rows: if they are labels, task=classification answers "
        "them sooner"
    ) in labels.notes
    assert "1 of 5 training rows have the text itself in column 'de'" in read([*ROWS, {"en": "ok", "de": "ok"}]).notes
    assert read(ROWS, [{"en": "a", "de": "b"}], [{"en": "c", "de": "d"}]).notes == []


def test_missing_splits_are_cut_and_limits_kept():
    rows = [{"en": f"parcel {i}", "de": f"Paket {i}"} for i in range(40)]
    tables = {"train": [table(rows, where="train")]}
    data = dataset_from_tables("toy", tables, Columns(text="en"), references=Written("de"), limit=10)
    assert (len(data.train), len(data.validation), len(data.test)) == (10, 4, 4)
    texts = {*data.train.texts, *data.validation.texts, *data.test.texts}
    assert len(texts) == 18
    for split in (data.train, data.validation, data.test):
        assert split.references == [text.replace("parcel", "Paket") for text in split.texts]


def test_files_and_memory_are_read_alike(tmp_path):
    for split in ("train", "validation", "test"):
        lines = [f'{{"en": "{split} {i}", "de": "{split} {i} auf Deutsch"}}\n' for i in range(3)]
        (tmp_path / f"{split}.jsonl").write_text("".join(lines))
    kept = Local(str(tmp_path), text="en")(Written("de"))
    held = {
        split: [{"en": f"{split} {i}", "de": f"{split} {i} auf Deutsch"} for i in range(3)]
        for split in ("train", "validation", "test")
    }
    assert Memory(held, text="en")(Written("de")).test == kept.test
    assert kept.test.references[2] == "test 2 auf Deutsch"


def test_what_cuts_and_stands_in():
    kind = Written("de")
    assert kind.stratum("a") is None and kind.group(("a", "b")) is None and kind.unanswered("a") == ""
    assert not kind.reads_offsets and kind == Written("de") and hash(kind) == hash(Written("de")) != hash(Written("en"))
    assert np.array(kind.unanswered(("a", "b"))).item() == ""
