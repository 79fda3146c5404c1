"""Scores of a query's candidates."""

import json

import numpy as np
import pytest

from millis import tasks
from millis.data.candidates import Graded
from millis.data.dataset import Dataset, Split
from millis.errors import MillisError
from millis.tasks.judging import judge, scores
from millis.tasks.ranking import Ranking, Score

TASK = Ranking(deviation=0.5)
# Two queries, their candidates in turn: relevances (2, 0) and (0, 1, 0).
REFERENCES = [Graded(0, 2, 1), Graded(1, 0, 1 / 3), Graded(0, 0, 1), Graded(1, 1, 1 / 3), Graded(1, 0, 1 / 3)]


def dataset(*references):
    split = Split(list("abcdefgh"[: len(references)]), list(references))
    return Dataset("toy", {}, split, split, split)


def test_the_output_is_answered_in_the_datas_unit():
    found = TASK.answer((np.array([[1.5]], np.float32),), None)
    assert found == Score(0.75) and found.value() == 0.75 and found.text == "0.75"


def test_perfect_outputs_give_the_perfect_order():
    (targets,) = TASK.references.targets(list("abcde"), REFERENCES, [None] * 5)
    answers = [TASK.answer((np.array([[target]]),), None).value() for target in targets]
    assert scores(TASK, answers, REFERENCES) == {"ndcg_at_10": 100, "mrr": 100, "recall_at_1": 100}


def test_an_item_is_a_query():
    answers, right = TASK.items([0.1, 0.2, 0.3, 0.4, 0.5], [], REFERENCES)
    assert answers == [(0.1, 0.3), (0.2, 0.4, 0.5)] and right == [(2, 0), (0, 1, 0)]


def test_every_candidate_is_answered():
    with pytest.raises(MillisError, match="got 4 scores for 5 candidates: expected one each, in order"):
        scores(TASK, [0.0] * 4, REFERENCES)


def test_a_judgement_by_hand():
    # The first query's best candidate is second, of the second query's three the best is first.
    found = judge(TASK, [0.1, 0.2, 0.3, 0.4, 0.3], REFERENCES)
    assert found.values == {
        "ndcg_at_10": pytest.approx(100 * (1 / np.log2(3) + 1) / 2), "mrr": 75.0, "recall_at_1": 50.0,
    }  # fmt: skip
    assert found.answers == [(0.1, 0.3), (0.2, 0.4, 0.3)] and found.references == [(2, 0), (0, 1, 0)]
    assert found.intervals["recall_at_1"] == (0.0, 100.0), "two queries are drawn, not five rows"


def test_it_learns_how_far_relevance_is_from_its_querys_mean():
    # 1, -1 of the first query; -1/3, 2/3, -1/3 of the second: (1 + 1 + 6/9) / 5 is the mean square.
    learned = Ranking().learned(dataset(*REFERENCES))
    assert learned.deviation == pytest.approx(np.sqrt(8 / 15))
    with pytest.raises(MillisError, match="toy: the candidates of every query are equally relevant: expected several"):
        Ranking().learned(dataset(Graded(0, 1, 1), Graded(0, 1, 1)))


def test_a_metric_that_cannot_judge_the_relevances_is_refused_before_training():
    rates = dataset(Graded(0, 0.02, 0.03), Graded(0, 0.04, 0.03))
    with pytest.raises(MillisError, match=r"exponential_ndcg_at_10 takes grades.*and got 0.02: choose ndcg_at_10"):
        Ranking(also=["exponential_ndcg_at_10"]).learned(rates)


def test_an_artifact_describes_it():
    described = json.loads(json.dumps(TASK.described()))
    assert tasks.read(described) == TASK
    assert TASK.outputs[0][:4] == ("score", "text", 1, "value")
    assert TASK.summary == "a score of a query's candidate (± 0.5)"
    with pytest.raises(MillisError, match="deviation is 0"):
        tasks.read({"name": "ranking", "deviation": 0.0})


def test_models_of_other_rows_answer_the_same_question():
    assert TASK.identity == Ranking(deviation=3.0).identity != TASK.described()


@pytest.mark.parametrize(("settings", "message"), [
    ({"max_length": 1}, "task.max_length=1: expected at least 3"),
    ({"metric": "accuracy"}, "task.metric=accuracy judges label, and this task answers scores a text. Choose one of "
     "exponential_ndcg_at_10, mrr, mrr_at_10, ndcg_at_10, recall_at_1, recall_at_5"),
    ({"metric": "ndcg"}, "task.metric=ndcg is unknown to tasks that answer scores a text"),
])  # fmt: skip
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(MillisError, match=message):
        Ranking(**settings).metrics()
