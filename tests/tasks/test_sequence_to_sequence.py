"""A text in, a text out: what is learned, how it is asked for, how it is judged."""

import json
from math import exp

import numpy as np
import pytest

from millis import tasks
from millis.data.dataset import Dataset, Split
from millis.data.written import Written
from millis.errors import MillisError
from millis.models import byte_pairs
from millis.models.outputs import replies, writes
from millis.tasks.judging import scores
from millis.tasks.sequence_to_sequence import SequenceToSequence

pytest.importorskip("sacrebleu", reason="metrics of texts need the extra text")
TASK = SequenceToSequence(target="de", metric="bleu", also=("chrf",))


def test_it_asks_for_one_text_after_another():
    assert writes(TASK.outputs) and replies(TASK.outputs)
    assert TASK.references == Written("de", None, "")
    assert TASK.prompt("a cat") == "a cat"
    assert SequenceToSequence(instruction="German: ").framed("a cat") == "German: a cat"


def test_an_artifact_knows_what_is_put_before_texts():
    task = SequenceToSequence(target="de", instruction="German: ")
    said = json.loads(json.dumps(task.described()))
    assert tasks.read(said).framed("x") == "German: x"
    assert tasks.read(said).described() == said
    assert task.identity == TASK.identity


def test_written_texts_are_judged_against_one_or_several():
    found = scores(TASK, ["eine Katze sitzt auf der Matte"] * 2, ["eine Katze sitzt auf der Matte", ("x", "nichts")])
    assert 0 < found["bleu"] < 100 and 0 < found["chrf"] < 100
    assert scores(TASK, ["a b c d"], [("e", "a b c d")]) == {"bleu": pytest.approx(100), "chrf": pytest.approx(100)}


def test_perplexity_selects_while_a_model_trains():
    assert TASK.while_training([(2.0, 1), (4.0, 2)]) == pytest.approx(-exp(2))


def test_a_metric_of_something_else_is_refused():
    data = Dataset("toy", {}, *[Split(["a"], ["b"])] * 3)
    assert TASK.learned(data) is TASK
    with pytest.raises(MillisError, match=r"task.metric=accuracy judges label, and this task answers written a text"):
        SequenceToSequence(metric="accuracy").learned(data)
    with pytest.raises(MillisError, match=r"task.max_length=2: expected at least 3"):
        SequenceToSequence(max_length=2)


def test_one_pass_answers_nothing():
    with pytest.raises(
        MillisError, match="this task's answers are written: load the artifact on a backend that writes"
    ):
        TASK.answer((np.zeros((1, 2, 3), np.float32),), None)


def test_what_is_to_be_written_is_learned_and_its_end():
    tokenizer = byte_pairs.train(["ab", "cd"], 270, replies=True)
    kind = Written("de", instruction="a")
    pairs = kind.spelled(["b", "b"], ["cd", ("d", "c")])
    assert pairs == [("ab", "cd"), ("ab", "d")]
    encodings = tokenizer.encode_batch(pairs)
    (targets,) = kind.targets(["b", "b"], ["cd", ("d", "c")], encodings)
    first, second = (encoding.ids for encoding in encodings)
    begin, end, turn = (byte_pairs.SPECIAL_TOKENS.index(token) for token in ("<s>", "</s>", "<turn>"))
    assert first[0] == begin and first[-1] == end and turn in first
    learned = [token for token in targets[: len(first)].tolist() if token != -100]
    assert learned == first[first.index(turn) + 1 :]
    assert targets[: len(first)].tolist().index(learned[0]) == first.index(turn)  # said after the turn
    assert [token for token in targets[len(first) :].tolist() if token != -100] == second[second.index(turn) + 1 :]


def test_a_request_ends_where_the_answer_begins():
    tokenizer = byte_pairs.train(["ab", "cd"], 270, replies=True)
    asked, whole = tokenizer.encode("ab").ids, tokenizer.encode("ab", "cd").ids
    assert whole[: len(asked)] == asked
