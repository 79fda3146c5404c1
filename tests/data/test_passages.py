"""Documents cut to passages, and what comes next at each of their tokens."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import table
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from millis.data.assemble import dataset_from_tables
from millis.data.columns import Columns
from millis.data.encode import encode
from millis.data.passages import SHORTEST, Passage, Passages, read_of
from millis.data.references import IGNORED
from millis.errors import MillisError
from millis.types import Output

DOCUMENT = st.text("ab é字\n\u2003", max_size=200) | st.text(max_size=80)
BEGIN, END = 0, 1
LEARNED = SimpleNamespace(outputs=(Output("next", "token", 0, "next"),), references=Passages(SHORTEST))


def read(*documents, length=SHORTEST, columns=None, **settings):
    tables = {
        split: [table([{"text": text} if isinstance(text, str) else text for text in documents], where=f"{split}.csv")]
        for split in ("train", "validation", "test")
    }
    return dataset_from_tables("toy", tables, columns or Columns(), references=Passages(length), **settings)


def pieces(document, length=SHORTEST):
    return [text for text, _ in Passages(length).cut(document)]


@given(DOCUMENT, st.integers(SHORTEST, 40))
def test_passages_together_are_the_document(document, length):
    found = list(Passages(length).cut(document))
    if not document.strip():
        assert found == []
        return
    assert "".join(text for text, _ in found) == document
    assert sum(passage.bytes for _, passage in found) == len(document.encode())
    assert all(0 < len(text) <= length for text, _ in found)
    assert [passage.ends for _, passage in found] == [False] * (len(found) - 1) + [True]


@given(DOCUMENT, st.integers(SHORTEST, 40))
def test_a_cut_is_before_the_last_blank_of_the_second_half_where_there_is_one(document, length):
    found, start = pieces(document, length), 0
    for text in found[:-1]:
        place = start + len(text)
        blanks = [at for at in range(start + length // 2 + 1, start + length + 1) if document[at].isspace()]
        assert place == (blanks[-1] if blanks else start + length)
        start = place


def test_cuts_by_hand():
    # 16 characters a passage: the blank after "quick" is the 10th, that after "brown" the 16th.
    assert pieces("the quick brown fox jumps") == ["the quick brown", " fox jumps"]
    assert pieces("a " + "b" * 20) == ["a " + "b" * 14, "b" * 6], "a blank in the first half is passed over"
    assert pieces("b" * 16 + " c") == ["b" * 16, " c"], "a blank right after a whole passage"
    assert pieces("b" * 32) == ["b" * 16] * 2
    assert pieces("short") == ["short"]


def test_a_split_is_its_documents_passages_one_after_the_other():
    data = read("the quick brown fox jumps", " \n", "größer")
    assert data.train.texts == ["the quick brown", " fox jumps", "größer"]
    assert data.train.references == [Passage(15, ends=False), Passage(10, ends=True), Passage(8, ends=True)]
    assert not data.labels


def encoding(ids, special):
    return SimpleNamespace(ids=ids, special_tokens_mask=special, overflowing=[])


def test_targets_are_the_ids_that_follow_and_an_end_where_the_document_ends():
    # <s> 7 8 </s> twice: the first passage is cut, the second ends its document.
    both = [encoding([BEGIN, 7, 8, END], [1, 0, 0, 1])] * 2
    references = [Passage(2, ends=False), Passage(2, ends=True)]
    (targets,) = Passages(16).targets(["ab", "ab"], references, both)
    assert targets.dtype == np.int64
    assert targets.tolist() == [7, 8, IGNORED, IGNORED, 7, 8, END, IGNORED]


@pytest.mark.parametrize(("ids", "special", "ends", "expected"), [
    ([], [], True, []), ([7], [0], True, [IGNORED]), ([7, 8], [0, 0], False, [8, IGNORED]),
    ([BEGIN, END], [1, 1], False, [IGNORED, IGNORED]), ([BEGIN, END], [1, 1], True, [END, IGNORED]),
    ([BEGIN, 7, END, END], [1, 0, 1, 1], True, [7, END, END, IGNORED]),
    ([BEGIN, 7, END, END], [1, 0, 1, 1], False, [7, IGNORED, IGNORED, IGNORED]),
])  # fmt: skip
def test_targets_of_short_passages(ids, special, ends, expected):
    (targets,) = Passages(16).targets(["x"], [Passage(1, ends)], [encoding(ids, special)])
    assert targets.tolist() == expected


def test_special_tokens_after_a_text_are_not_read():
    assert read_of(encoding([BEGIN, 7, END, 8, END, END], [1, 0, 1, 0, 1, 1])) == [BEGIN, 7, END, 8]
    assert read_of(encoding([BEGIN, END], [1, 1])) == [] == read_of(encoding([], []))


def letters():
    """A token a letter, between <s> and </s>."""
    made = Tokenizer(models.WordLevel({"<s>": BEGIN, "</s>": END, **{c: i for i, c in enumerate("abcdef", 2)}}, "a"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", BEGIN), ("</s>", END)])
    return made


def test_a_passage_that_is_cut_off_does_not_end_its_document(tmp_path):
    """Of five tokens three are the text's: "abc" is followed by "d", which is not read, and not by an end."""
    data = read("abcd", "ab")
    found = encode(data.train, letters(), 5, tmp_path, LEARNED)
    assert found.truncated == 1 and found.ids.tolist() == [BEGIN, 2, 3, 4, END, BEGIN, 2, 3, END]
    assert found.targets["next"].tolist() == [2, 3, 4, IGNORED, IGNORED, 2, 3, END, IGNORED]


def test_an_unlabelled_text_is_a_whole_document():
    kind = Passages(16)
    assert kind.unanswered("größer") == kind.answered("größer", [3, 4], None) == Passage(8, ends=True)
    assert kind.stratum(Passage(8, ends=True)) is None is kind.group(Passage(8, ends=True))


@pytest.mark.parametrize(("rows", "columns", "message"), [
    ([{"other": "x"}], Columns(), "train.csv has no text column: found other. Name it with data.text=..."),
    ([" "], Columns(), "toy: the train split is empty"),
    ([{"text": ["x"]}], Columns(), "train.csv, row 1: column 'text' holds a list (['x']); expected text"),
    ([{"a": "x", "b": "y"}], Columns(text="a", text_pair="b"), "train.csv has pairs of texts (a and b), and a language "
     "model reads single ones. Name their column with data.text=..."),
])  # fmt: skip
def test_what_is_no_document_is_refused(rows, columns, message):
    with pytest.raises(MillisError) as error:
        read(*rows, columns=columns)
    assert message in str(error.value)


def test_hardly_anything_to_predict_from_is_refused():
    with pytest.raises(MillisError) as error:
        Passages(SHORTEST - 1)
    assert str(error.value) == "task.passage=15: expected at least 16 characters"
