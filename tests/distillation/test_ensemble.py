"""Ensembles: the softmax of the joint logits is the mean of the softmaxes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from millis.distillation.ensemble import ensemble, ensemble_logits
from millis.distillation.teacher_cache import TeacherLogits
from millis.errors import MillisError
from millis.types import Output

# softmax(ln 3, 0) = (3/4, 1/4), softmax(0, ln 3) = (1/4, 3/4), softmax(0, 0) = (1/2, 1/2).
LEFT, RIGHT, FLAT = (np.array([row], dtype=np.float32) for row in ([math.log(3), 0], [0, math.log(3)], [0, 0]))


def test_by_hand():
    joint = ensemble_logits({"a": LEFT, "b": FLAT})
    assert joint.dtype == np.float32
    assert np.exp(joint)[0].tolist() == pytest.approx([5 / 8, 3 / 8])  # ln of the mean: its exponential is that mean
    assert softmax(ensemble_logits({"a": LEFT, "b": RIGHT}))[0].tolist() == pytest.approx([0.5, 0.5])


def test_weights_go_by_name_and_are_scaled():
    # (3 · (3/4, 1/4) + 1 · (1/4, 3/4)) / 4 = (10/16, 6/16); "b" is not named and has 1.
    joint = ensemble_logits({"b": RIGHT, "a": LEFT}, weights={"a": 3})
    assert np.exp(joint)[0].tolist() == pytest.approx([10 / 16, 6 / 16])
    alone = ensemble_logits({"b": RIGHT, "a": LEFT}, weights={"b": 0})
    assert np.exp(alone)[0].tolist() == pytest.approx([3 / 4, 1 / 4])


@given(st.integers(1, 4), st.integers(0, 99), st.floats(0.5, 8))
def test_the_softmax_at_the_temperature_is_the_mean_of_the_softmaxes(teachers, seed, temperature):
    generator = np.random.default_rng(seed)
    logits = {str(name): generator.normal(0, 5, (6, 3)).astype(np.float32) for name in range(teachers)}
    weights = {str(name): float(generator.uniform(0.1, 2)) for name in range(teachers)}
    joint = ensemble_logits(logits, temperature, weights)
    mean = sum(weights[name] * softmax(array / temperature, axis=-1) for name, array in logits.items())
    np.testing.assert_allclose(softmax(joint / temperature, axis=-1), mean / sum(weights.values()), atol=1e-5)


def test_teachers_that_are_certain_stay_finite():
    certain = np.array([[500.0, -500.0]], dtype=np.float32)
    assert np.isfinite(ensemble_logits({"a": certain, "b": -certain})).all()


@pytest.mark.parametrize(
    ("logits", "options", "message"),
    [
        ({}, {}, "an ensemble needs at least one teacher; got none"),
        (
            {"a": LEFT, "b": np.zeros((2, 2), np.float32)}, {},
            "the teachers' logits differ in shape (a (1, 2), b (2, 2)): expected the same rows and labels of all",
        ),
        ({"a": LEFT}, {"temperature": 0}, "temperature=0: expected above 0"),
        (
            {"large": LEFT, "base": LEFT}, {"weights": {"lage": 1}},
            "weight for the teacher 'lage', which is not there; expected one of large, base (did you mean 'large'?)",
        ),
        ({"a": LEFT}, {"weights": {"a": -1}}, "weight -1 of the teacher 'a': expected 0 or more"),
        ({"a": LEFT}, {"weights": {"a": 0}}, "every teacher of the ensemble has weight 0: give one a weight above 0"),
    ],
)  # fmt: skip
def test_ensembles_without_sense(logits, options, message):
    with pytest.raises(MillisError) as error:
        ensemble_logits(logits, **options)
    assert str(error.value) == message


def test_numbers_are_averaged_and_logits_mixed():
    outputs = (Output("number", "text", 1, "value"), Output("labels", "text", 1, "each"))
    ends = (np.arange(4), np.arange(4))
    numbers = [np.array([[1.0], [-2.0], [3.0]], np.float32), np.array([[2.0], [-4.0], [3.0]], np.float32)]
    rows = [np.array([[0.0, z], [0.0, 0.0], [0.0, 1.0]], np.float32) for z in (2.0, -2.0)]
    said = {name: TeacherLogits(outputs, (numbers[i], rows[i]), ends) for i, name in enumerate("ab")}
    mixed = ensemble(said, 1.0)
    assert mixed.logits[0].tolist() == [[1.5], [-3.0], [3.0]]
    probability = np.exp(mixed.logits[1]) / np.exp(mixed.logits[1]).sum(axis=1, keepdims=True)
    assert probability[:, 1] == pytest.approx([0.5, 0.5, 1 / (1 + np.exp(-1))])


def test_vectors_are_averaged():
    output, ends = (Output("vector", "text", 2, "vector"),), (np.arange(3),)
    rows = [np.array([[1.0, 0.0], [0.0, -2.0]], np.float32), np.array([[0.0, 3.0], [4.0, 0.0]], np.float32)]
    mixed = ensemble({name: TeacherLogits(output, (rows[i],), ends) for i, name in enumerate("ab")}, 4.0)
    assert mixed.logits[0].tolist() == [[0.5, 1.5], [2.0, -1.0]] and mixed.logits[0].dtype == np.float32
    assert mixed.outputs == output and mixed.categories == [(0.5, 1.5), (2.0, -1.0)]
