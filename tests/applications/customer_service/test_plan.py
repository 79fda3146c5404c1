"""Thresholds on validation rows, and the corpora that ship with the customer service."""

import json

import pytest
from service import LABELS, parts

from millis.applications.customer_service import layout
from millis.applications.customer_service.plan import NEVER_TOO_FAR, CustomerService, least_cosine
from millis.data.corpus.generate import normalised
from millis.errors import MillisError
from millis.serving.runner import load


def test_the_least_cosine_is_where_most_is_right():
    # Below 0.5 both are wrong: declining them is right. 0.6 and 0.9 are right.
    assert least_cosine([0.9, 0.3, 0.6, 0.4], [True, False, True, False]) == 0.6
    assert least_cosine([0.5, 0.2], [True, True]) == NEVER_TOO_FAR
    assert least_cosine([], []) == NEVER_TOO_FAR
    assert 0.5 < least_cosine([0.5, 0.2], [False, False]) < 0.5 + 1e-9, "nothing is answered"
    assert least_cosine([0.1, 0.2, 0.3], [True, False, True]) == NEVER_TOO_FAR, "of equal ones the lowest"


def test_thresholds_are_those_of_the_validation_rows(tmp_path):
    rows = [
        *[{"text": f"parcel {'x ' * i}", "label": "track"} for i in range(19)], {"text": "hm", "label": "track"},
        {"text": "open", "label": "question", "entry": "hours"}, {"text": "weather", "label": "out_of_scope"},
    ]  # fmt: skip
    answers = [{"intent": name, "answer": name} for name in (*LABELS[:2], "out_of_scope", "hand_over")]
    entries = [{"id": name, "text": name, "answer": "x"} for name in ("hours", "costs")]
    for name, content in {"validation": rows, "faq": entries, "answers": answers}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    loaded = {name: load(place) for name, place in parts(tmp_path / "parts").items()}
    plan = CustomerService("service", {}, acceptance=1.0)
    every = plan.settle(tmp_path, loaded, tmp_path)
    # All 21 in scope are accepted: the least sure has e^(8/16) / (e^(8/16) + 3) = 0.355, of "parcel" and 15 unknown
    # words, for no more than 16 are read.
    assert every["least_confidence"] == pytest.approx(0.35466, rel=1e-4)
    some = CustomerService("service", {}, acceptance=0.5).settle(tmp_path, loaded, tmp_path)
    assert some["least_confidence"] > every["least_confidence"]
    assert some["least_cosine"] == NEVER_TOO_FAR and [entry["id"] for entry in some["entries"]] == ["hours", "costs"]


def test_a_share_that_is_none_is_refused():
    with pytest.raises(MillisError, match=r"app.acceptance=95: expected a share above 0, up to 1; 0.95 accepts 95 %"):
        CustomerService("service", {}, acceptance=95)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_corpus_is_whole_the_same_each_time_and_its_splits_share_no_text(tmp_path, language):
    plan = CustomerService("service", {}, language=language)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        plan.write_corpus(tmp_path / name)
    plan.check(tmp_path / "one")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    texts = {
        split: {normalised(row.text) for row in layout.messages(tmp_path / "one", split)} for split in layout.SPLITS
    }
    assert not (texts["train"] & texts["test"] or texts["train"] & texts["validation"])
    assert not texts["validation"] & texts["test"]
    rows = plan.rows(tmp_path / "one")
    assert {row["label"] for row in rows} == {row.label for row in layout.messages(tmp_path / "one", "train")}
    assert plan.requests(rows)[0] == rows[0]["text"]


def test_parts_read_messages_and_questions(tmp_path):
    plan = CustomerService("service", {}, language="zh")
    for name in ("corpus", "parts"):
        (tmp_path / name).mkdir()
    plan.write_corpus(tmp_path / "corpus")
    plan.prepare(tmp_path / "corpus", tmp_path / "parts")
    given = plan.inputs(tmp_path / "corpus", tmp_path / "parts")
    assert given["intent"] == ["task=intent", "data=local", f'data.path="{tmp_path / "parts" / "intent"}"']
    assert given["faq"][:2] == ["task=retrieval", f'task.collection="{tmp_path / "corpus" / "faq.jsonl"}"']
    questions = [json.loads(line) for line in (tmp_path / "parts" / "faq" / "test.jsonl").open(encoding="utf-8")]
    assert {row["label"] for row in questions} <= {entry.id for entry in layout.faq_of(tmp_path / "corpus")}
