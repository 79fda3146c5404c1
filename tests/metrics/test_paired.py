"""Two sets of answers, by hand."""

import numpy as np

from millis.metrics.paired import standard_error


def test_the_standard_error_counts_texts_that_only_one_answers_rightly():
    before = np.array([1, 1, 1, 1, 0, 0, 0, 0, 1, 1], bool)
    after = np.array([1, 1, 1, 0, 1, 1, 1, 0, 1, 1], bool)
    # Three gained, one lost, of ten: the difference is 20 points, its standard error 100 · √4 / 10.
    assert standard_error(after, before) == 20.0
    assert standard_error(before, before) == 0.0
