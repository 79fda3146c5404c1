"""Two sets of answers, by hand."""

import numpy as np
import pytest

from millis.metrics.paired import standard_error


def test_the_standard_error_counts_texts_that_only_one_answers_rightly():
    before = np.array([1, 1, 1, 1, 0, 0, 0, 0, 1, 1], bool)
    after = np.array([1, 1, 1, 0, 1, 1, 1, 0, 1, 1], bool)
    # Three gained, one lost, of ten: the difference is 20 points, its standard error 100 · √4 / 10.
    assert standard_error(after, before) == 20.0
    assert standard_error(before, before) == 0.0


def test_of_several_models_the_share_that_is_right_counts():
    before, after = np.array([1.0, 0.5, 0.0, 0.0]), np.array([1.0, 1.0, 0.5, 1.0])
    # Squared differences 0, 1/4, 1/4 and 1 of four texts.
    assert standard_error(after, before) == pytest.approx(100 * 1.5**0.5 / 4)
