"""Features of sentences by hand, and a regression whose answer is known."""

import numpy as np

from millis.applications.sentences import Sentence
from millis.applications.summarisation.worth import FEATURES, centroid, features, fitted, known


def sentence(text, section=0):
    return Sentence(text, 0, len(text), section)


def test_the_middle_of_vectors():
    np.testing.assert_allclose(centroid(np.array([[1, 0], [0, 1]], "f4")), [0.5**0.5] * 2, rtol=1e-6)
    np.testing.assert_array_equal(centroid(np.array([[1, 0], [-1, 0]], "f4")), [0, 0])


def test_features_of_every_sentence():
    found = [sentence("one two three four five six"), sentence("short one"), sentence("a b c d e f", 1)]
    rows = features(found, np.array([[1, 0], [0, 1], [1, 0]], "f4"), range(3))
    assert rows.shape == (3, len(FEATURES))
    centred, early, early_in_section, length, short = rows.T
    assert centred[0] == centred[2] > centred[1]
    assert early[0] > early[1] > early[2]
    assert early_in_section[0] == early_in_section[2] > early_in_section[1]
    assert length[0] == length[2] > length[1]
    np.testing.assert_array_equal(short, [0, 1, 0])
    np.testing.assert_allclose(rows[:, :4].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(rows[:, :4].std(axis=0), 1, rtol=1e-5)


def test_a_chinese_sentence_is_as_long_as_half_of_its_characters():
    rows = features([sentence("今天天气很好我们去公园"), sentence("你好。")], np.eye(2, dtype="f4"), range(2))
    np.testing.assert_array_equal(rows[:, 4], [0, 1])


def test_a_vectors_numbers_are_as_large_as_features():
    np.testing.assert_allclose(known(np.array([[7]], "f4"), np.array([[0.5] * 4], "f4")), [[7, 1, 1, 1, 1]])


def test_weights_are_found_whatever_the_level_of_a_text():
    rng = np.random.default_rng(0)
    weights = np.arange(6) - 2.0
    rows = [rng.normal(size=(300, 6)).astype("f4") for _ in range(2)]
    worths = [(one @ weights + level).astype("f4") for one, level in zip(rows, (0, 50), strict=True)]
    np.testing.assert_allclose(fitted(rows, worths, 1e-3), weights, atol=1e-4)


def test_a_penalty_shrinks_them():
    # Two sentences at -1 and 1 of worth -1 and 1: 2 / (2 + penalty).
    found = fitted([np.array([[0], [2]], "f4")], [np.array([4, 6], "f4")], 2.0)
    np.testing.assert_allclose(found, [0.5])
