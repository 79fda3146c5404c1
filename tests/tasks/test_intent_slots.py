"""Intent and slots: both answers of one encoder."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from millis import tasks
from millis.data.dataset import Dataset, Split
from millis.errors import MillisError
from millis.serving.reader import TextEncoding
from millis.tasks.intent_slots import IntentSlots
from millis.tasks.judging import judge

LABELS, TAGS = ("book", "weather"), ("O", "B-city", "I-city")
TASK = IntentSlots(labels=LABELS, tags=TAGS)


def test_it_is_the_two_others_in_one(monkeypatch):
    tokenizer = Tokenizer(models.WordLevel({"to": 0, "rome": 1}, unk_token="to"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    outputs = np.array([[0.0, 3.0]], np.float32), np.eye(3, dtype=np.float32)[[0, 1]][None]
    found = TASK.answer(outputs, TextEncoding(tokenizer.encode("to rome"), "to rome"))
    assert found.intent.label == "weather" and found.slots.tags == ("O", "B-city")
    assert found.spans[0] == ("city", 3, 7, "rome")
    assert found.text == "weather (0.95)  [city rome]"
    assert found.value() == (1, (0, 1))


def test_outputs_have_the_weights_of_their_losses():
    intent, slots = IntentSlots(slot_weight=2.5, labels=LABELS, tags=TAGS).outputs
    assert intent == ("intent", "text", 2, "one", 1.0) and slots == ("tags", "token", 3, "one", 2.5)


def test_metrics_judge_each_part_and_both():
    found = judge(TASK, [(0, (0, 1)), (1, (1, 0))], [(0, (0, 1)), (0, (1, 2))])
    assert found.values == {"exact_match": 50.0, "intent_accuracy": 50.0, "slot_f1": 50.0}
    assert found.judged["slot_f1"].settings == {"tags": list(TAGS)}


def test_an_artifact_describes_it():
    described = json.loads(json.dumps(TASK.described()))
    assert tasks.read(described) == TASK
    assert TASK.summary == "2 labels (book, weather) and 3 tags a word (O, B-city, I-city)"
    with pytest.raises(MillisError, match="labels has 'a' twice"):
        tasks.read({"name": "intent_slots", "labels": ["a", "a"], "tags": ["O"]})


def test_it_learns_both_from_data():
    split = Split(["to rome"], [(0, (0, 1))])
    assert IntentSlots().learned(Dataset("toy", {"label": LABELS, "tag": TAGS}, split, split, split)) == TASK


@pytest.mark.parametrize(("settings", "message"), [
    ({"slot_weight": 0}, "task.slot_weight=0: expected above 0"),
    ({"max_length": 2}, "task.max_length=2: expected at least 3"),
    ({"metric": "accuracy", "labels": LABELS, "tags": TAGS}, "task.metric=accuracy judges label, and this task"),
])  # fmt: skip
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(MillisError, match=message):
        IntentSlots(**settings).metrics()
