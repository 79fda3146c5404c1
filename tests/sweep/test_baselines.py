"""Which models beat the majority class and the linear model, on numbers that can be checked with a pencil."""

import numpy as np

from millis.metrics.accuracy import Accuracy
from millis.record import Record
from millis.sweep.baselines import majority, unbeaten

REFERENCES = [0] * 60 + [1] * 40


def record(name, right, ms, kind="student"):
    """Right on the texts of the range or index array `right`, of 60 with label 0 and 40 with label 1."""
    answers = 1 - np.array(REFERENCES)
    answers[right] = np.array(REFERENCES)[right]
    return Record(
        id=name, name=name, kind=kind, metrics={"accuracy": float(len(right)), "latency_p50_ms": ms}, intervals={},
        quality="accuracy", config={}, seed=0, artifact="", predictions=answers.tolist(), references=REFERENCES,
        latency_ms=[], reference_latency_ms=[], stages_ms={}, parity={}, environment={},
    )  # fmt: skip


LINEAR = record("linear", np.arange(15, 95), 0.1, "linear")  # 80 right


def judged(*records):
    return unbeaten([LINEAR, *records], Accuracy())


def test_the_constant_answer_is_the_most_frequent_label():
    assert majority(REFERENCES, ("label",)).tolist() == [0] * 100
    assert majority([(0, 1), (1,), (0, 1)], ("labels",)).tolist() == [(0, 1)] * 3
    assert majority([1.0, 3.0], ("number",)).tolist() == [2.0, 2.0]
    assert majority([(0, 1, 0), (2,)], ("tags", "labels")).tolist() == [(0, 0, 0), (0,)]
    assert majority([(0, 1, 2), (3, 0)], ("scores",)).tolist() == [(0, 0, 0), (0, 0)]  # no order at all
    assert majority(["no", "yes", ("yes", "aye")], ("written",)).tolist() == ["yes"] * 3
    both = majority([(4, (1,)), (4, (1, 0)), (3, ())], ("label and tags",))
    assert both.tolist() == [(4, (1,)), (4, (1, 1)), (4, ())]
    constant = record("constant", np.arange(60), 0.01)
    # Two more right than the constant: ± 2.8 points, which reaches zero.
    near = record("near", np.arange(62), 0.01)
    assert judged(constant, near) == dict.fromkeys(("constant", "near"), "the most frequent answer to every text")


def test_a_slower_model_has_to_be_better_beyond_the_interval():
    # Right where the linear model is, and on 2 or on 15 texts more: 2 ± 2.7 points reach zero, 15 ± 7 do not.
    little, much = record("little", np.arange(13, 95), 5.0), record("much", np.arange(0, 95), 5.0)
    assert judged(little, much) == {"little": "linear"}


def test_a_faster_model_only_has_to_be_as_good():
    as_good, worse = record("as good", np.arange(16, 95), 0.05), record("worse", np.arange(35, 100), 0.05)
    # One text less cannot be told apart; twenty lost and five gained can.
    assert set(judged(as_good, worse)) == {"worse"}


def test_the_teacher_is_judged_and_its_int8_and_the_linear_model_are_not():
    same = np.arange(15, 95)
    teacher, int8 = record("teacher", same, 9.0, "teacher"), record("int8", same, 2.0, "baseline")
    assert judged(teacher, int8) == {"teacher": "linear"}


def test_without_a_linear_model_the_majority_is_what_is_left():
    assert unbeaten([record("any", np.arange(15, 95), 5.0)], Accuracy()) == {}
