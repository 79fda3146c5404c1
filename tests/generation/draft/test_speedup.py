"""The paper's numbers, and a simulation of what they are the mean of."""

import numpy as np
import pytest

from millis.errors import MillisError
from millis.generation.draft.smaller_model import SmallerModel
from millis.generation.draft.speedup import acceptance, expected_speedup, tokens_a_read


@pytest.mark.parametrize(
    ("right", "tokens", "times"), [(0.6, 2, 1.96), (0.7, 3, 2.53), (0.8, 2, 2.44), (0.8, 5, 3.69), (0.9, 10, 6.86)]
)
def test_guesses_that_cost_nothing_are_worth_what_the_paper_says(right, tokens, times):
    assert expected_speedup(right, tokens, cost=0) == pytest.approx(times, abs=0.005)  # its table 1


def test_by_hand():
    # Half of the guesses are right: 1 + 1/2 + 1/4 tokens a read, which takes 2 x 0.1 and 1.2.
    assert tokens_a_read(0.5, 2) == 1.75
    assert expected_speedup(0.5, 2, 0.1, 1.2) == pytest.approx(1.75 / 1.4)
    assert expected_speedup(1, 3, 0.25) == pytest.approx(4 / 1.75)  # where the closed form divides by 0
    assert expected_speedup(0, 4, 0.05) == pytest.approx(1 / 1.2)


def test_as_many_tokens_come_as_in_a_simulation():
    right = np.random.default_rng(0).random((200_000, 4)) < 0.7
    brought = 1 + np.cumprod(right, axis=1).sum(axis=1)
    assert tokens_a_read(0.7, 4) == pytest.approx(brought.mean(), abs=4 * brought.std() / len(brought) ** 0.5)


def test_the_default_is_the_best_where_seven_of_ten_are_right_and_one_costs_a_tenth():
    assert max(range(1, 20), key=lambda tokens: expected_speedup(0.7, tokens, 0.1)) == SmallerModel().tokens


def test_guesses_after_a_wrong_one_do_not_count():
    assert acceptance(accepted=6, refused=2) == 0.75
    with pytest.raises(MillisError) as caught:
        acceptance(0, 0)
    assert str(caught.value) == ("no guess was looked at: expected one or more. Write longer texts, with a draft")
