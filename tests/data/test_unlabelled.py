"""Texts without labels: what is read, and what must not be learned."""

import gzip
import json

import pytest

from millis.data.dataset import Split
from millis.data.local import Local
from millis.data.unlabelled import unlabelled
from millis.errors import MillisError

SPLITS = {
    "train": Split(["where is it", "send it back"], [0, 1]),
    "validation": Split(["is it here"], [0]),
    "test": Split(["take it back"], [1]),
}
PAIRS = {split: Split([(text, "yes") for text in found.texts], found.references) for split, found in SPLITS.items()}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_what_is_judged_known_empty_or_twice_is_left_out_and_counted(tmp_path):
    texts = ["Is  it here", "TAKE it back", "where is IT", "new", "New ", " ", "newer"]
    notes = []
    path = write(tmp_path / "more.jsonl", [{"text": text, "label": "ignored"} for text in texts])
    assert unlabelled(path, ("text",), SPLITS, notes) == ["new", "newer"]
    assert notes == [
        "2 texts without labels, which the teacher answers (2 left out: they also occur in validation or test; 1 left "
        "out: they have no words; 2 left out: they occur in train, or more than once)"
    ]


def test_a_folder_is_read_file_by_file_and_text_line_by_line(tmp_path):
    write(tmp_path / "a.jsonl", [{"text": "one"}])
    (tmp_path / "b.txt").write_text("two\nthree\r\n\n", newline="")
    with gzip.open(tmp_path / "c.txt.gz", "wt") as file:
        file.write("four")
    (tmp_path / "read.me").write_text("not this")
    notes = []
    assert unlabelled(tmp_path, ("text",), SPLITS, notes) == ["one", "two", "three", "four"]
    assert notes == ["4 texts without labels, which the teacher answers (1 left out: they have no words)"]


def test_pairs_are_read_by_both_columns(tmp_path):
    path = write(tmp_path / "more.jsonl", [{"a": "is it here", "b": "yes"}, {"a": "is it here", "b": "no"}])
    assert unlabelled(path, ("a", "b"), PAIRS, []) == [("is it here", "no")]


@pytest.mark.parametrize(
    ("name", "content", "columns", "message"),
    [
        (
            "more.pdf",
            "x",
            ("text",),
            r"data.unlabelled=.*more.pdf: expected a file, or a folder with files",
        ),
        ("more.txt", "x", ("a", "b"), r"more.txt has one text a line, and the data set has pairs \(a and b\). Give"),
        ("more.jsonl", '{"body": "x"}', ("text",), r"more.jsonl has no column 'text': found body"),
        (
            "more.jsonl",
            '{"text": "x"}\n{"text": null}',
            ("text",),
            r"more.jsonl, row 2: column 'text' is missing",
        ),
        ("more.txt", "take it back\n", ("text",), r"has no text to learn from \(1 left out: they also occur in valid"),
        ("more.txt", "", ("text",), r"more.txt has no text to learn from \(it is empty\)"),
    ],
)
def test_bad_input_is_refused(tmp_path, name, content, columns, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(MillisError, match=message):
        unlabelled(tmp_path / name, columns, SPLITS, [])


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(MillisError, match=r"data.unlabelled=.*nowhere: expected a file"):
        unlabelled(tmp_path / "nowhere", ("text",), SPLITS, [])


def test_a_source_reads_them_by_the_columns_of_its_texts_and_stays_the_same_data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for split in SPLITS:
        rows = [{"sentence": f"{split} {i}", "label": i % 2} for i in range(4)]
        write(folder / f"{split}.jsonl", rows)
    more = write(tmp_path / "more.jsonl", [{"sentence": "something else"}, {"sentence": "test 1"}])
    plain, further = Local(str(folder))(), Local(str(folder), unlabelled=str(more))()
    assert (plain.unlabelled, further.unlabelled) == ([], ["something else"])
    assert plain.fingerprint == further.fingerprint, "the teacher learns from neither"
    assert further.notes[-1].startswith("1 texts without labels")
