"""A collection and what each query should find in it."""

import json

import numpy as np
import pytest
from tables import table  # type: ignore[import-not-found]

from millis.data.assemble import dataset_from_tables
from millis.data.collection import ENTRY, Collection
from millis.data.columns import Columns
from millis.data.vectors import Vectors
from millis.errors import MillisError

ENTRIES = ({"id": "refund", "text": "money back"}, {"id": "track", "text": "a parcel"}, {"id": 7, "text": "seven"})
SPLITS = ("train", "validation", "test")


@pytest.fixture
def written(tmp_path):
    """Writes a collection; the path."""

    def write(*rows, name="faq.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write


@pytest.fixture
def read(written):
    """The data set of queries whose cells are given; `others` are those of validation and test."""

    def make(*cells, entries=ENTRIES, others=("track",), kind=None, columns=None, classes=None, **settings):
        rows = {
            split: [{"text": f"{split} {row}", "label": cell} for row, cell in enumerate(found)]
            for split, found in (("train", cells), ("validation", others), ("test", others))
        }
        tables = {split: [table(found, where=split, **(classes or {}))] for split, found in rows.items()}
        kind = Collection(written(*entries), **(kind or {}))
        return dataset_from_tables("toy", tables, columns or Columns(), references=kind, **settings)

    return make


def test_a_reference_is_the_places_of_what_a_query_should_find(read):
    data = read("track", "refund", 7)
    assert data.names == {ENTRY: ("money back", "a parcel", "seven")}
    assert data.train.references == [(1,), (0,), (2,)] and data.test.references == [(1,)]
    assert data.train.texts[0] == "train 0" and data.notes == []


@pytest.mark.parametrize("name", [7, 7.0, "7", "7.0", " 7 "])
@pytest.mark.parametrize("entry", [7, 7.0, "7"])
def test_a_number_is_one_name_however_a_format_writes_it(read, name, entry):
    entries = ({"id": "x", "text": "some"}, {"id": entry, "text": "seven"})
    assert read(name, entries=entries, others=("x",)).train.references == [(1,)]


def test_a_number_with_zeros_before_it_is_a_code(read):
    entries = ({"id": "7", "text": "some"}, {"id": "07", "text": "seven"})
    assert read(7, "07", entries=entries, others=("7",)).train.references == [(0,), (1,)]


def test_an_entry_without_a_name_is_refused(read):
    with pytest.raises(MillisError, match=r"row 2: column 'id' is empty; expected a name$"):
        read("a", entries=({"id": "a", "text": "one"}, {"id": "", "text": "two"}), others=("a",))


def test_a_name_is_one_however_its_letters_are_composed(read):
    entries = ({"id": "cafe\u0301 ", "text": "coffee"}, {"id": "tea", "text": "tea"})
    assert read(" caf\u00e9", entries=entries, others=("tea",)).train.references == [(0,)]


@pytest.mark.parametrize(("cell", "expected"), [
    (["track", "refund"], (1, 0)),
    (("refund", 7), (0, 2)),
    ('["track", 7]', (1, 2)),
    ("['refund', 'track']", (0, 1)),
    (' ["track"] ', (1,)),
    (["track", None, "track", ""], (1,)),
    ([7, "7.0"], (2,)),
])  # fmt: skip
def test_a_query_may_have_several_entries(read, cell, expected):
    assert read(cell).train.references == [expected]


def test_the_column_of_the_data_may_be_another(read, written):
    rows = [{"text": "q", "faq": "track", "label": 0}]
    tables = {split: [table(rows, where=split)] for split in SPLITS}
    kind = Collection(written(*ENTRIES), column="faq")
    assert dataset_from_tables("toy", tables, Columns(), references=kind).train.references == [(1,)]
    assert read("track", columns=Columns(label="label")).train.references == [(1,)]


def test_classes_of_a_column_name_entries(read):
    assert read(1, others=(0,), classes={"label": ("refund", "track")}).train.references == [(1,)]


def test_an_unknown_entry_is_named_with_the_nearest(read):
    with pytest.raises(MillisError, match=r"^train, row 2: 'trak' is no entry of \S+faq\.jsonl \(did you mean "
                       r"'track'\?\)$"):  # fmt: skip
        read("track", "trak")
    with pytest.raises(MillisError, match=r"^validation, row 1: '8' is no entry of"):
        read("track", others=(8,))


def test_a_cell_that_holds_no_name_is_refused_with_its_place(read):
    with pytest.raises(MillisError, match=r"^train, row 2: column 'label' holds an object"):
        read("track", {"id": 7})
    with pytest.raises(MillisError, match=r"^train, row 1: column 'label' holds a list"):
        read([["track"]])


@pytest.mark.parametrize("empty", [None, "", " ", [], "[]", [None], float("nan")])
def test_a_row_that_names_nothing_is_refused_or_left_out(read, empty):
    message = r"^train, row 2: column 'label' names no entry of \S+faq\.jsonl; 1 such rows\. Mend them, or leave them "
    with pytest.raises(MillisError, match=rf"{message}out with data\.unseen_labels=drop$"):
        read("track", empty)
    data = read("track", empty, unseen_labels="drop")
    assert data.train.references == [(1,)] and data.train.texts == ["train 0"]
    assert data.notes == ["1 rows of train left out: they name no entry"]


def test_rows_of_another_split_that_name_nothing_are_refused_or_left_out(read):
    with pytest.raises(MillisError, match=r"^validation, row 2: column 'label' names no entry"):
        read("track", others=("track", None))
    assert len(read("track", others=("track", None), unseen_labels="drop").test) == 1


def test_a_split_that_names_nothing_is_not_used(read):
    data = read(*["track", "refund"] * 20, others=(None, ""))
    assert "the test split names no entries and was not used" in data.notes
    assert "the validation split names no entries and was not used" in data.notes
    assert len(data.train) + len(data.validation) + len(data.test) == 40
    for unseen in ("error", "drop"):
        with pytest.raises(MillisError, match=r"^train, row 1: column 'label' names no entry of .*; 2 such rows"):
            read(None, None, unseen_labels=unseen)


@pytest.mark.parametrize(("entries", "message"), [
    ([{"id": 1, "text": "a"}], r"faq\.jsonl has 1 entries: expected at least two to choose from"),
    ([{"id": 1, "text": "a"}, {"id": "b", "text": "c"}, {"id": 1.0, "text": "b"}],
     r"faq\.jsonl has '1' twice in column 'id': expected names that differ"),
    ([{"id": 1, "text": "a"}, {"id": 2, "text": None}], r"faq\.jsonl, row 2: column 'text' is missing or null"),
    ([{"id": 1, "text": "a"}, {"id": 2, "text": [3]}], r"faq\.jsonl, row 2: column 'text' holds a list"),
    ([{"id": ["x"], "text": "a"}, {"id": 2, "text": "b"}], r"faq\.jsonl, row 1: column 'id' holds a list"),
    ([{"name": 1, "text": "a"}] * 2, r"faq\.jsonl has no column 'id': found name, text\. Name it with task\.id=\.\.\."),
    ([{"id": 1, "texts": "a"}] * 2, r"has no column 'text': found id, texts \(did you mean 'texts'\?\)\. Name "
     r"it with task\.text=\.\.\."),
])  # fmt: skip
def test_a_collection_that_is_none_is_refused(written, entries, message):
    with pytest.raises(MillisError, match=message):
        Collection(written(*entries)).entries()


def test_an_empty_file_is_no_collection(written):
    with pytest.raises(MillisError):
        Collection(written()).entries()


def test_a_file_of_another_kind_is_refused(written):
    with pytest.raises(MillisError):
        Collection(written(*ENTRIES, name="faq.txt")).entries()


@pytest.mark.parametrize("path", ["none.jsonl", "."])
def test_a_missing_file_is_said(tmp_path, path):
    place = str(tmp_path / path)
    with pytest.raises(MillisError) as caught:
        Collection(place).entries()
    assert str(caught.value) == f"task.collection={place} is not a file; expected one with an entry a row"


def test_columns_of_the_collection_are_named(written, tmp_path):
    path = written({"name": "a", "question": "what"}, {"name": "b", "question": "where"})
    assert Collection(path, id="name", text="question").entries() == (("a", "b"), ("what", "where"))
    (tmp_path / "faq.csv").write_text("id,text\n1,what\n2,where\n")
    assert Collection(str(tmp_path / "faq.csv")).entries() == (("1", "2"), ("what", "where"))


def test_a_missing_column_of_the_data_is_named(read):
    with pytest.raises(
        MillisError, match=r"^train has no column 'faq': found text, label\. Name it with task\.column="
    ):
        read("track", kind={"column": "faq"})


VECTORS = Vectors(np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32))


def test_models_learn_the_vector_of_the_first_entry():
    (targets,) = Collection("faq", vectors=VECTORS).targets(["x"] * 3, [(2,), (0, 1), (1, 0)], [None] * 3)
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets, VECTORS.values[[2, 0, 1]])


def test_further_texts_are_answered_by_the_nearest_entry():
    kind = Collection("faq", vectors=VECTORS)
    assert [kind.answered("x", vector, None) for vector in ((5.0, 0.1), (0.1, 9.0), (3.0, 4.0))] == [(0,), (1,), (2,)]
    assert kind.unanswered("x") == (0,)


def test_rows_are_cut_at_random_and_apart():
    kind = Collection("faq")
    assert kind.stratum((1,)) is None and kind.group((1,)) is None and not kind.reads_offsets


def test_collections_are_equal_where_their_vectors_are():
    same = Vectors(VECTORS.values.copy())
    assert len({Collection("faq", vectors=VECTORS), Collection("faq", vectors=same), Collection("faq")}) == 2
