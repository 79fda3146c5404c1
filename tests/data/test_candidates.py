"""How relevant candidates are to their query."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import table  # type: ignore[import-not-found]

from millis.data.assemble import dataset_from_tables
from millis.data.candidates import NO_QUERY, Candidates, Graded
from millis.data.columns import Columns
from millis.errors import MillisError

SPLITS = ("train", "validation", "test")
NAMES = ("different", "same")


def rows_of(split, *queries):
    """A row for each relevance in `queries`: the query is named by its place."""
    return [
        {"text": f"{split} {query} {place}", "query": f"{split} {query}", "label": relevance}
        for query, found in enumerate(queries)
        for place, relevance in enumerate(found)
    ]


def read(*train, kind=None, columns=None, names=None, others=((0, 1),), **settings):
    """The data set of some rows in train, and few elsewhere."""
    rows = {split: train if split == "train" else rows_of(split, *others) for split in SPLITS}
    tables = {split: [table(found, where=split)] for split, found in rows.items()}
    kind = kind or Candidates(query="query")
    return dataset_from_tables("toy", tables, columns or Columns(), names, references=kind, **settings)


def relevances(*cells, **settings):
    return [found.relevance for found in read(*rows_of("train", cells), **settings).train.references]


def test_a_reference_is_a_query_a_relevance_and_its_querys_mean():
    data = read(*rows_of("train", (0.25, 0.75), (3, 0, 0)))
    assert data.train.references == [(0, 0.25, 0.5), (0, 0.75, 0.5), (1, 3, 1), (1, 0, 1), (1, 0, 1)]
    assert data.test.references == [(3, 0, 0.5), (3, 1, 0.5)]  # validation has the third query
    assert data.notes == [] and data.train.texts[0] == "train 0 0"


@pytest.mark.parametrize(("cells", "names", "expected"), [
    ((0, 1, 2.5), None, [0, 1, 2.5]),
    (("0,5", " 2 ", "1e1"), None, [0.5, 2, 10]),
    ((True, False), None, [1, 0]),
    (("same", " different"), NAMES, [1, 0]),
    ((1, "0"), NAMES, [1, 0]),
])  # fmt: skip
def test_relevance_is_read_however_it_is_written(cells, names, expected):
    assert relevances(*cells, names=names) == expected


def test_the_order_of_names_is_said():
    # Where "yes" is index 0, as in QNLI, the most relevant would otherwise be last without a word.
    said = "relevance is the place among the names of column 'label': yes is 0, no is 1"
    for cells in (("no", "yes"), (0, 1)):
        assert read(*rows_of("train", cells), names=("yes", "no")).notes == [said]
    assert read(*rows_of("train", (0.5, 7)), names=("yes", "no")).notes == []  # of another column
    tables = {split: [table(rows_of(split, (0, 1)), where=split, label=("yes", "no"))] for split in SPLITS}
    assert dataset_from_tables("toy", tables, Columns(), references=Candidates(query="query")).notes == [said]


@pytest.mark.parametrize(("cell", "names", "message"), [
    ("same", None, r"column 'label' holds 'same'; expected a number, or one of the names in labels.txt, from the "
     r"least relevant to the most \(there is no such file\)"),
    ("some", NAMES, r"column 'label' holds 'some'; .* to the most \(different, same\)"),
    ([1], None, r"column 'label' holds \[1\]; expected a number"),
    ("1,000", None, "column 'label' holds '1,000', which may be a thousand"),
    (-1, None, "column 'label' holds -1; expected a relevance of 0 or more"),
    (None, None, "column 'label' is empty; 1 such rows. Fill them in, or leave them out"),
    (float("inf"), None, "column 'label' is empty"),
])  # fmt: skip
def test_other_cells_are_refused_with_their_place(cell, names, message):
    with pytest.raises(MillisError, match=f"train, row 2: {message}"):
        relevances(0, cell, names=names)


def test_rows_without_relevance_can_be_left_out():
    data = read(*rows_of("train", (0, 1, None)), unseen_labels="drop", others=((0, 1),))
    assert [reference.relevance for reference in data.train.references] == [0, 1]
    assert data.notes == ["1 rows of train left out: they have no number"]
    assert (
        "the test split has no numbers and was not used"
        in read(*rows_of("train", *[(0, 1)] * 20), others=((None, None),)).notes
    )


def test_queries_that_tell_no_order_are_left_out_and_counted():
    rows = rows_of("train", (0, 1), (1,), (0, 0), (2, 2, 2), (0, 1))
    for row in rows[-2:]:
        row["text"] = "one text"
    data = read(*rows)
    assert data.train.texts == ["train 0 0", "train 0 1"]
    assert data.notes == [
        "3 of 5 queries of train left out: all candidates are equally relevant",
        "1 of 5 queries of train left out: all candidates are one text",
    ]


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_without_an_order_is_refused(split):
    rows = {name: rows_of(name, (0, 1)) if name != split else rows_of(name, (1, 1), (0,)) for name in SPLITS}
    message = (
        rf"{split}, row 1: none of the 2 queries of this split has two texts of .*Name the column of queries with "
    )
    with pytest.raises(MillisError, match=rf"{message}task\.query=\.\.\. and that of relevance with task\.column="):
        dataset_from_tables(
            "toy", {name: [table(found, where=name)] for name, found in rows.items()}, Columns(),
            references=Candidates(query="query"),
        )  # fmt: skip


def test_the_first_of_a_pair_is_the_query_unless_a_column_names_it():
    pairs = [{"sentence1": "q", "sentence2": text, "n": n, "label": n % 2} for n, text in enumerate("abcd")]
    for row in pairs:
        row["n"] //= 2
    tables = {split: [table(pairs, where=split)] for split in SPLITS}
    for kind, expected in ((Candidates(), [0, 0, 0, 0]), (Candidates(query="n"), [0, 0, 1, 1])):
        data = dataset_from_tables("toy", tables, Columns(), references=kind)
        assert [found.query for found in data.train.references] == expected and data.train.texts[0] == ("q", "a")
    assert "2 of 2 test queries also occur in train" in data.notes


def test_single_texts_have_to_say_their_query():
    message = r"train, row 1: which query the text is a candidate of is not said\. Name the column that says it with "
    with pytest.raises(MillisError, match=rf"{message}task\.query=\.\.\., or give pairs"):
        read(*rows_of("train", (0, 1)), kind=Candidates())


@pytest.mark.parametrize(("query", "message"), [
    (None, "train, row 2: column 'query' holds None; expected the name or number of a query"),
    (" ", "train, row 2: column 'query' holds ' '"),
    ([1], r"train, row 2: column 'query' holds \[1\]"),
])  # fmt: skip
def test_a_row_without_a_query_is_refused(query, message):
    rows = rows_of("train", (0, 1))
    rows[1]["query"] = query
    with pytest.raises(MillisError, match=message):
        read(*rows)


def test_a_missing_column_is_named_with_its_parameter():
    with pytest.raises(MillisError, match=r"train has no column 'quer': found .*did you mean 'query'\?\)\. Name the "
                       r"column of queries with task.query="):  # fmt: skip
        read(*rows_of("train", (0, 1)), kind=Candidates(query="quer"))
    with pytest.raises(MillisError, match=r"train has no column 'relevance': found .*Name it with task.column="):
        read(*rows_of("train", (0, 1)), kind=Candidates("relevance", "query"))


def test_one_query_is_one_however_a_format_writes_its_number():
    rows = rows_of("train", (0, 1, 2))
    for row, name in zip(rows, (7, 7.0, "7"), strict=True):
        row["query"] = name
    assert {found.query for found in read(*rows).train.references} == {0}


def test_a_querys_candidates_stay_together_wherever_rows_are_cut():
    rows = rows_of("train", *[(0, 1, 2)] * 40)
    chance = np.random.default_rng(0)
    shuffled = [rows[i] for i in chance.permutation(len(rows))]
    tables = {"train": [table(shuffled, where="train")]}
    data = dataset_from_tables("toy", tables, Columns(), references=Candidates(query="query"), limit=20)
    splits = [{found.query for found in split.references} for split in (data.train, data.validation, data.test)]
    assert [len(queries) for queries in splits] == [6, 4, 4]  # 18 of 20 rows; a tenth of 40 queries, and of 36
    assert not splits[0] & splits[1] and not splits[0] & splits[2] and not splits[1] & splits[2]
    for split in (data.train, data.validation, data.test):
        assert len(split) == 3 * len({found.query for found in split.references})


@given(st.lists(st.floats(0, 1e3), min_size=2, max_size=6), st.floats(0.1, 10))
def test_models_learn_relevance_less_their_querys_mean(values, deviation):
    mean = float(np.mean(values))
    kind = Candidates(deviation=deviation)
    (targets,) = kind.targets([""] * len(values), [Graded(0, value, mean) for value in values], [])
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets, (np.array(values) - mean) / deviation, rtol=1e-5, atol=1e-5)


def test_what_a_teacher_says_of_further_texts_is_learned_as_it_is():
    kind = Candidates(deviation=0.5)
    assert kind.unanswered("x") == Graded(NO_QUERY, 0, 0)
    (targets,) = kind.targets(["x"], [kind.answered("x", -1.75, None)], [])
    assert targets.tolist() == [-1.75]
