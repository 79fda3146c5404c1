"""Data of a virtual assistant, its threshold, and its folder."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import torch
from specs import transformer
from tokenizers import Tokenizer, models, pre_tokenizers

from millis.applications.manifest import seal
from millis.applications.runner import load
from millis.applications.virtual_assistant import layout
from millis.applications.virtual_assistant.answering import Command, Settings
from millis.applications.virtual_assistant.plan import VirtualAssistant
from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.errors import MillisError
from millis.models import build
from millis.storage.manifest import Manifest
from millis.tasks.classification import Label
from millis.tasks.intent_slots import IntentSlots

PLAN = VirtualAssistant("assistant", {})
ROW = {"text": "wake me at seven", "label": "alarm", "slots": "O O O B-when"}
STRANGE = {"text": "will it rain", "label": "out_of_scope", "slots": "O O O"}
FILES = {
    "train": [ROW], "validation": [ROW], "test": [ROW, STRANGE],
    "commands": [{"intent": "alarm"}, {"intent": "unknown", "asks": "?"}],
    "types": [{"slot": "when", "type": "date"}],
}  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    def make(**changes):
        for name, rows in {**FILES, **changes}.items():
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
        return tmp_path

    return make


def test_the_corpus_that_ships_is_whole_and_the_same_each_time(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        PLAN.write_corpus(tmp_path / name)
    PLAN.check(tmp_path / "one")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    texts = {split: {row.text for row in layout.messages(tmp_path / "one", split)} for split in layout.SPLITS}
    assert not (texts["train"] & texts["test"] or texts["train"] & texts["validation"])
    typed = PLAN.requests(PLAN.rows(tmp_path / "one"))
    first = PLAN.rows(tmp_path / "one")[0]["text"]
    assert [text for text, _ in typed[:3]] == [first[:1], first[:2], first[:3]] and typed[0][1] == {
        "now": "2026-11-30T17:00:00"
    }


@pytest.mark.parametrize(("changes", "message"), [
    ({"test": []}, r"test.jsonl has no rows"),
    ({"train": [{**ROW, "slots": "O"}]}, r"train.jsonl, line 1: 4 words have 1 tags in slots; expected one for each"),
    ({"test": [ROW]}, r"test.jsonl has no row that is out of scope: measures need some"),
    ({"validation": [STRANGE]}, r"validation.jsonl has no row that is a command: thresholds and measures need some"),
    ({"test": [{**ROW, "text": "", "slots": ""}]}, r"test.jsonl, line 1: text is '': expected str that is not blank"),
    ({"commands": [{"intent": "oos"}]}, r"commands.jsonl, line 1: 'oos' is no command, for it is what is out of scope"),
    ({"train": [{**ROW, "label": "x"}]}, r"'wake me at seven' has the label 'x', which commands.jsonl lacks"),
    ({"commands": FILES["commands"][:1]}, r"does not say what is answered for 'unknown': add a line for it"),
    ({"types": [{"slot": "when", "type": "time"}]}, r"types.jsonl, line 1: type is 'time'"),
    ({"train": [{"text": "a", "label": "alarm"}]}, r"train.jsonl, line 1: Object missing required field slots"),
])  # fmt: skip
def test_what_is_wrong_is_named(corpus, changes, message):
    with pytest.raises(MillisError, match=message):
        PLAN.check(corpus(**changes))


def test_the_threshold_accepts_the_share_that_is_asked_for(corpus):
    rows = [{**ROW, "text": f"wake me at {score}"} for score in (90, 80, 70, 60, 50, 40, 30, 20, 10, 5)]
    part = SimpleNamespace(predict=lambda text: SimpleNamespace(intent=Label("alarm", 0, int(text.split()[-1]) / 100)))
    folder = corpus(validation=rows)
    for acceptance, least in ((1.0, 0.05), (0.7, 0.2), (0.1, 0.8)):
        made = VirtualAssistant("assistant", {}, acceptance=acceptance).settle(folder, {"understand": part}, folder)
        assert made["least_confidence"] == least
    assert made["types"] == {"when": "date"} and made["unknown"] == "?" and [*made["commands"]] == ["alarm"]
    with pytest.raises(MillisError, match=r"app.acceptance=98: expected a share above 0, up to 1; 0.98 accepts 98 %"):
        VirtualAssistant("assistant", {}, acceptance=98)


def test_what_is_taken_for_out_of_scope_is_not_accepted_however_sure(corpus):
    rows = [{**ROW, "text": f"wake me at {score}"} for score in (90, 80, 70, 60)]
    heard = {90: Label("oos", 1, 0.9)}
    part = SimpleNamespace(
        predict=lambda text: SimpleNamespace(
            intent=heard.get(score := int(text.split()[-1]), Label("alarm", 0, score / 100))
        )
    )
    folder = corpus(validation=rows)
    made = VirtualAssistant("assistant", {}, acceptance=0.5).settle(folder, {"understand": part}, folder)
    assert made["least_confidence"] == 0.6  # of [0, 0.6, 0.7, 0.8]; were it accepted, 0.7


def test_its_folder_is_loaded_and_answers_every_keystroke(tmp_path):
    task = IntentSlots(labels=("alarm", "out_of_scope"), tags=("O", "B-when", "I-when"))
    outputs = [list(output[:4]) for output in task.outputs]
    words = ["[PAD]", "[UNK]", *["wake", "me", "at", "seven"]]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    model = build(transformer(num_labels=None, outputs=outputs))
    manifest = Manifest(
        name="part", backend="", spec=model.spec, task=task.described(), inputs=("input_ids", "attention_mask"),
        max_length=12,
    )  # fmt: skip
    folder = tmp_path / "app"
    folder.mkdir()
    write_artifact(folder / "understand", model, tokenizer, Eager(), manifest, None, (), None)
    settings = Settings(0.0, {"alarm": Command()}, {"when": "date"}, "pardon?")
    seal(folder, "assistant", "virtual_assistant", {"understand": folder / "understand"}, settings=asdict(settings))
    runner = load(folder)
    text = "wake me at seven"
    for end in range(1, len(text) + 1):
        heard = runner.predict((text[:end], {"now": "2026-11-30T17:00:00"}))
        assert heard.action in ("command", "unknown") and heard.state.now == "2026-11-30T17:00:00"
        assert all(text[one.start : one.end] == one.words for one in heard.arguments)
    assert [name for name, _ in runner.stages] == ["read", "understand", "arguments", "reply"]
    with pytest.raises(MillisError, match=r"state.now is 3: expected str \| null, got int"):
        runner.predict((text, {"now": 3}))
