"""Data of a customer service: read, or refused with the place and what is wrong."""

import json

import pytest

from millis.applications.customer_service import layout
from millis.errors import MillisError

MESSAGES = [
    {"text": "where is it", "label": "track"}, {"text": "open?", "label": "question", "entry": "hours"},
    {"text": "rain?", "label": "out_of_scope"},
]  # fmt: skip
FILES = {
    "train": MESSAGES, "validation": MESSAGES, "test": MESSAGES,
    "faq": [{"id": "hours", "text": "when?", "answer": "nine"}, {"id": "costs", "text": "how much?", "answer": "none"}],
    "answers": [{"intent": name, "answer": name} for name in ("track", "out_of_scope", "hand_over")],
}  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    def make(**changes):
        for name, rows in {**FILES, **changes}.items():
            if rows is not None:
                text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n\n" for row in rows)
                (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
        return tmp_path

    return make


def test_a_corpus_is_read(corpus):
    folder = corpus(turns=[{"text": "1", "label": "track", "conversation": "a", "slots": {"order_number": "12345"}}])
    layout.check(folder)
    replies, outside, over = layout.replies_of(folder)
    assert ([*replies], outside, over) == (["track"], "out_of_scope", "hand_over")
    assert [entry.id for entry in layout.faq_of(folder)] == ["hours", "costs"]
    assert layout.messages(folder, "turns")[0].row["slots"] == {"order_number": "12345"}
    assert layout.messages(folder, "test")[1].row == {"text": "open?", "label": "question", "entry": "hours"}


def test_both_names_of_what_is_out_of_scope_are_no_wish(corpus):
    strange = [*MESSAGES, {"text": "snow?", "label": "oos"}]
    folder = corpus(train=strange, answers=[*FILES["answers"], {"intent": "oos", "answer": "no"}])
    layout.check(folder)
    assert [*layout.replies_of(folder)[0]] == ["track"]


def test_conversations_may_be_missing(corpus):
    layout.check(corpus())
    assert layout.messages(corpus(), "turns") == []


@pytest.mark.parametrize(("changes", "message"), [
    ({"train": None}, "train.jsonl cannot be read .*: expected lines of JSON; see docs/applications.md"),
    ({"test": [*MESSAGES, {"text": " ", "label": "track"}]}, "test.jsonl, line 7: text is ' ': expected str"),
    ({"turns": [{"text": "", "label": "track"}]}, "turns.jsonl, line 1: text is '': expected str that is not blank"),
    ({"faq": [*FILES["faq"], FILES["faq"][0]]}, "faq.jsonl, line 5: the id 'hours' is that of an entry before"),
    ({"train": "{"}, "train.jsonl, line 1: no JSON"),
    ({"test": '{"text": "a"}'}, "test.jsonl, line 1: Object missing required field label"),
    ({"test": '{"text": 3, "label": "track"}'}, "test.jsonl, line 1: text is 3: expected str, got int"),
    ({"validation": []}, "validation.jsonl has no rows"),
    ({"faq": FILES["faq"][:1]}, "faq.jsonl has 1 entries: expected two or more"),
    ({"train": [*MESSAGES, {"text": "x", "label": "refund"}]}, "'x' has the label 'refund', for which answers.jsonl"),
    ({"train": [{"text": "x", "label": "question"}]}, "'x' names entry None, which faq.jsonl does not have"),
    ({"validation": MESSAGES[:2]}, "validation.jsonl has no row that is out of scope"),
    ({"validation": MESSAGES[::2]}, "validation.jsonl has no row that is a question"),
    ({"answers": FILES["answers"][:2]}, "answers.jsonl does not say what is answered for 'hand_over': add a line"),
    ({"answers": [{"intent": "track", "answer": "{name}"}]}, r"answers.jsonl, line 1: an answer names \{name\}"),
    ({"turns": [{"text": "x", "label": "track", "action": "dance"}]}, "turns.jsonl, line 1: action is 'dance'"),
])  # fmt: skip
def test_what_is_wrong_is_named(corpus, tmp_path, changes, message):
    folder = corpus(**changes)
    with pytest.raises(MillisError, match=message):
        layout.check(folder)
