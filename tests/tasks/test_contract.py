"""Which answers are the same, by what tasks share."""

import pytest

from millis.tasks.classification import Classification
from millis.tasks.contract import EachText, Numeric
from millis.tasks.multi_label import MultiLabel
from millis.tasks.ranking import Ranking
from millis.tasks.regression import Regression


def test_labels_and_the_like_are_the_same_where_they_are_equal():
    assert EachText().same([1, (0, 2), ("a", "b")], [1, (0, 1), ("a", "b")]) == [True, False, True]
    for task in (Classification(), MultiLabel()):
        assert task.same([1, 2], [1, 0]) == [True, False]


@pytest.mark.parametrize("task", [Numeric(), Regression(), Ranking()], ids=lambda one: type(one).__name__)
def test_numbers_are_the_same_within_a_twentieth_of_their_deviation(task):
    # 0, 10, 20 have a deviation of 8.16, a twentieth of which is 0.408, wherever zero lies.
    for zero in (0.0, 1000.0):
        theirs = [zero + value for value in (0.0, 10.0, 20.0)]
        ours = [zero + value for value in (0.4, 9.6, 20.5)]
        assert task.same(ours, theirs) == [True, True, False]
    assert task.same([5.0, 5.1], [5.0, 5.0]) == [True, False], "numbers without a deviation are equal or not"


def test_as_many_answers_are_compared():
    for task in (EachText(), Numeric()):
        with pytest.raises(ValueError, match="argument"):
            task.same([1.0], [1.0, 2.0])
