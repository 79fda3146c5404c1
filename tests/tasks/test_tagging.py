"""Tagging: from logits at tokens to the tags and spans of words."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from millis import tasks
from millis.data.dataset import Dataset, Split
from millis.errors import MillisError
from millis.serving.reader import TextEncoding
from millis.tasks.judging import judge, scores
from millis.tasks.tagging import Found, Tagging

TAGS = ("O", "B-city", "I-city", "B-day")
TASK = Tagging(tags=TAGS)


@pytest.fixture(scope="module")
def tokenizer():
    pieces = ["[UNK]", "[CLS]", "[SEP]", "to", "new", "york", "##er", "a", "b", "##a", "##b"]
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return made


def answer(task, tokenizer, text, at_tokens):
    logits = np.eye(len(task.tags), dtype=np.float32)[at_tokens][None]
    return task.answer((logits,), TextEncoding(tokenizer.encode(text), text))


def test_spans_have_the_characters_of_their_words(tokenizer):
    # [CLS] to new york ##er [SEP]: a tag is read at a word's first token; what the others say does not count.
    found = answer(TASK, tokenizer, "to  new yorker", [3, 0, 1, 2, 3, 3])
    assert found.tags == ("O", "B-city", "I-city")
    assert found.spans == (Found("city", 4, 14, "new yorker"),)
    assert found.value() == (0, 1, 2)
    assert found.text == "[city new yorker]"
    assert answer(TASK, tokenizer, "to new", [0, 0, 0, 0]).text == "no spans"


def test_words_past_the_longest_sequence_are_outside(tokenizer):
    cut = Tokenizer.from_str(tokenizer.to_str())
    cut.enable_truncation(3)
    assert answer(TASK, cut, "new york to", [0, 1, 0]).tags == ("B-city", "O", "O")


def test_a_text_without_words_has_no_tags(tokenizer):
    assert answer(TASK, tokenizer, " ", [0, 0]).value() == ()


def test_plain_tags_are_shown_beside_their_words(tokenizer):
    task = Tagging(metric="token_accuracy", also=(), tags=("PREP", "NOUN"))
    found = answer(task, tokenizer, "to york", [0, 0, 1, 0])
    assert found.text == "to/PREP york/NOUN" and found.spans == ()


@given(words=st.lists(st.tuples(st.sampled_from(["ab", "a", "to", "yorker"]), st.integers(0, 3)), max_size=6))
def test_perfect_logits_give_the_reference_and_the_best_of_every_metric(tokenizer, words):
    text, reference = " ".join(word for word, _ in words), tuple(tag for _, tag in words)
    encoding = tokenizer.encode(text)
    (targets,) = TASK.references.targets([text], [reference], [encoding])
    found = answer(TASK, tokenizer, text, np.maximum(targets, 0))
    assert found.value() == reference
    if any(reference):
        assert set(scores(TASK, [found.value()], [reference]).values()) == {100.0}


def test_an_artifact_describes_it():
    described = json.loads(json.dumps(TASK.described()))
    assert tasks.read(described) == TASK and tasks.read(described).outputs == TASK.outputs
    assert TASK.outputs[0][:3] == ("tags", "token", 4)
    assert TASK.summary == "4 tags a word (O, B-city, I-city, ...)"
    with pytest.raises(MillisError, match="tags has 'O' twice"):
        tasks.read({"name": "tagging", "tags": ["O", "O"]})


def test_it_learns_tags_from_data():
    split = Split(["to york"], [(0, 1)])
    learned = Tagging().learned(Dataset("toy", {"tag": TAGS}, split, split, split))
    assert learned == TASK
    plain = Dataset("toy", {"tag": ("NOUN",)}, split, split, split)
    with pytest.raises(MillisError, match="tag 'NOUN' is no part of a span"):
        Tagging().learned(plain)
    assert Tagging(metric="token_accuracy", also=()).learned(plain).tags == ("NOUN",)


def test_a_judgement_holds_every_metric():
    found = judge(TASK, [(0, 1), (1, 0)], [(0, 1), (1, 2)])
    assert found.values == {"span_f1": 50.0, "token_accuracy": 75.0, "exact_match": 50.0}
    assert set(found.intervals) == set(found.judged) == set(found.values)


@pytest.mark.parametrize(("settings", "message"), [
    ({"max_length": 2}, "task.max_length=2: expected at least 3"),
    ({"tags": ("O", "O")}, "tags has 'O' twice"),
])  # fmt: skip
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(MillisError, match=message):
        Tagging(**settings)


@pytest.mark.parametrize("name", ["tagging", "intent_slots"])
def test_answering_needs_no_torch(name):
    code = f"import sys, millis.tasks.{name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
