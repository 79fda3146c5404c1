"""What an epoch costs, by hand; students' shares of their teachers' are in `tests/pipeline/test_forecast.py`."""

from causal import spec_of
from specs import static

from millis.models.epoch_cost import epoch, fit, steps
from millis.models.ngrams import LONGEST


def test_tokens_go_through_matrices_and_steps_update_all_that_is_trained():
    # A head of 16 * 2 and its biases; 12 rows of 16 numbers and a weight.
    assert epoch(static(), 0, 1, frozen=False) == 5e7 + 50 * (32 + 2 + 12 * 17)
    assert epoch(static(), 0, 1, frozen=True) == 5e7 + 50 * (32 + 2)
    assert epoch(static(), 7, 0, frozen=True) == 7 * 32


def test_a_table_that_is_the_output_matrix_too_is_gone_through():
    # Two layers: 24 * 24 for queries and outputs, half as many for keys and values each, three times 24 * 40.
    expected = 2 * (2 * 24 * 24 + 24 * 24 + 3 * 24 * 40) + 48 * 24
    assert [epoch(spec_of(tied=tied), 1, 0, frozen=True) for tied in (True, False)] == [expected, expected]


def test_ngrams_are_of_the_characters_that_are_read():
    assert fit(["abc", ("d", "e")], classes=4) == 1000 * 4.3 * 5 * 4
    assert fit(["a" * (LONGEST + 9)], classes=1) == fit(["a" * LONGEST], classes=1)


def test_the_last_step_of_an_epoch_may_be_a_short_one():
    assert [steps(rows, 32) for rows in (1, 32, 33)] == [1, 1, 2]
