"""Documents as they lie in a folder, and what sentences share with summaries."""

import json

import pytest

from millis.applications.summarisation.documents import (
    Document,
    documents,
    shared,
    write_collection,
    write_sentences,
)
from millis.errors import MillisError


def write(folder, rows, name="train"):
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_several_summaries_take_the_place_of_the_one(tmp_path):
    write(tmp_path, [{"document": "a", "summary": "b", "references": ["c", "d"]}, {"document": "e", "summary": "f"}])
    assert documents(tmp_path, "train") == [Document("a", ("c", "d")), Document("e", ("f",))]


@pytest.mark.parametrize(("rows", "message"), [
    (None, "has no file train with one of .jsonl"),
    ([{"text": "a"}], "has no column 'document': found text"),
    ([{"document": "a"}], "has no column 'summary': found document"),
    ([{"document": None, "summary": "b"}], "train.jsonl, row 1: column 'document' is missing or null"),
    ([{"document": "a", "summary": "b"}, {"document": " \n", "summary": "b"}],
     "train.jsonl, row 2: column 'document' has nothing but blanks; expected words"),
    ([{"document": "a", "summary": "\u200b"}], "train.jsonl, row 1: column 'summary' has nothing but blanks"),
    ([{"document": "a", "summary": "b"}, {"document": "a", "summary": ["b"]}], "row 2: column 'summary' holds a list"),
])  # fmt: skip
def test_what_are_no_documents_is_refused(tmp_path, rows, message):
    if rows is not None:
        write(tmp_path, rows)
    with pytest.raises(MillisError) as error:
        documents(tmp_path, "train")
    assert message in str(error.value)


def test_shared_words_by_hand():
    # Three words of four each are shared, "the" twice: 2 * 3 / 8.
    assert shared("The cat, the dog", ["a the dog THE"]) == pytest.approx(6 / 8)
    assert shared("the cat", ["a dog", "cat"]) == pytest.approx(2 / 3)
    assert shared("我在家", ["我回家"]) == pytest.approx(2 / 3)
    assert shared("...", ["a"]) == shared("a", ["b"]) == 0


def test_sentences_as_the_parts_read_them(tmp_path):
    told = [Document("A cat sat. Dogs ran.", ("a cat", "dogs")), Document("Alone.", ("alone",))]
    write_sentences(told, "en", tmp_path / "train.jsonl")
    assert lines(tmp_path / "train.jsonl") == [
        {"text": "A cat sat.", "label": "0"}, {"text": "Dogs ran.", "label": "0"}, {"text": "Alone.", "label": "1"}
    ]  # fmt: skip
    write_collection(told, tmp_path / "collection.jsonl")
    assert lines(tmp_path / "collection.jsonl") == [{"id": "0", "text": "a cat"}, {"id": "1", "text": "alone"}]
