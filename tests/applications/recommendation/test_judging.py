"""Places among all items, by hand."""

import numpy as np

from millis.applications.recommendation.interactions import Asked
from millis.applications.recommendation.judging import ndcg, ranked, recall


def test_what_was_taken_is_left_out_and_ties_share_their_places():
    scores = np.array([[9, 5, 7, 5], [1, 1, 1, 1]], np.float32)
    # Of the first, 0 is left out, 7 is before, and both 5s share places 1 and 2; of the second, three share 0 to 2.
    np.testing.assert_allclose(ranked(scores, [Asked((0,), 1), Asked((3,), 0)]), [1.5, 1.0])


def test_the_first_ten_count():
    places = np.array([0, 2, 9, 10.0])
    np.testing.assert_allclose(recall(places), [1, 1, 1, 0])
    np.testing.assert_allclose(ndcg(places), [1, 0.5, 1 / np.log2(11), 0])
