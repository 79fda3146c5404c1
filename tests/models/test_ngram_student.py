"""Linear models of n-grams: tf-idf and its fits against scikit-learn, as the module computes them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import Ridge
from sklearn.svm import LinearSVC
from specs import static

from millis import models
from millis.models.ngram_student import (
    ABSENT,
    Bags,
    LinearBaseline,
    NgramStudent,
    cross_fitted,
    inverse_frequencies,
)

CLASSES = 3


@pytest.fixture(scope="module")
def problem():
    """60 rows of ids 1..39; a row's label decides which third of them it prefers."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, CLASSES, 60)
    rows = [
        np.unique(np.concatenate([generator.integers(1, 40, 6), 1 + 13 * label + generator.integers(0, 13, 4)]))
        for label in labels
    ]
    return bags(rows, labels)


def bags(rows, labels):
    offsets = np.cumsum([0, *map(len, rows)])
    return Bags(np.concatenate(rows).astype(np.int32), offsets, np.asarray(labels))


def counts(found, size=40):
    dense = np.zeros((len(found.labels), size))
    for row, (start, end) in enumerate(zip(found.offsets[:-1], found.offsets[1:], strict=True)):
        dense[row, found.ids[start:end]] = 1
    return dense


def module(student, size=40):
    return models.build(replace(student.spec(static(num_labels=CLASSES)), vocab_size=size)).eval()


def logits(model, found):
    """One row at a time, as a request is."""
    with torch.inference_mode():
        rows = np.split(found.ids.astype(np.int64), found.offsets[1:-1])
        return np.concatenate([model(torch.tensor(row)[None], torch.ones(1, len(row))).numpy() for row in rows])


def test_rows_are_scikit_learns_tf_idf(problem):
    expected = TfidfTransformer().fit_transform(counts(problem)).toarray()
    assert problem.matrix(inverse_frequencies(problem, 40)).toarray() == pytest.approx(expected, abs=1e-6)


def test_a_row_without_ids_is_a_row_of_zeros():
    found = bags([np.array([1, 2]), np.array([], int), np.array([2])], [0, 1, 0])
    matrix = found.matrix(inverse_frequencies(found, 3)).toarray()
    assert np.linalg.norm(matrix, axis=1) == pytest.approx([1, 0, 1])


def test_the_baseline_is_a_support_vector_machine_at_a_temperature(problem):
    student = LinearBaseline()
    model = module(student)
    student.fit(model, problem, problem, np.zeros((60, CLASSES), np.float32), alpha=0.7)
    rows = TfidfTransformer().fit_transform(counts(problem))
    expected = LinearSVC(random_state=0).fit(rows, problem.labels).decision_function(rows)
    found = logits(model, problem)
    factor = model.head.weight[0, 0].item()
    assert found == pytest.approx(factor * expected, abs=1e-2 * factor)
    assert (found.argmax(1) == problem.labels).mean() > 0.9


def test_the_temperature_minimises_the_cross_entropy(problem):
    noisy = Bags(problem.ids, problem.offsets, np.where(np.arange(60) % 5, problem.labels, 0))
    student = LinearBaseline()
    model = module(student)
    student.fit(model, problem, noisy, np.zeros((60, CLASSES), np.float32), alpha=0.7)
    found, labels = torch.from_numpy(logits(model, problem)), torch.from_numpy(noisy.labels)
    losses = [float(torch.nn.functional.cross_entropy(factor * found, labels)) for factor in (0.8, 1.0, 1.25)]
    assert losses[1] == min(losses)


def test_the_student_is_a_ridge_regression_on_labels_and_teacher(problem):
    teacher = np.random.default_rng(1).normal(size=(60, CLASSES)).astype(np.float32)
    student = NgramStudent()
    model = module(student)
    student.fit(model, problem, problem, teacher, alpha=0.25)
    centred = teacher - teacher.mean(1, keepdims=True)
    targets = 0.75 * (2 * np.eye(CLASSES)[problem.labels] - 1) + 0.25 * centred / centred.max(1).mean()
    rows = TfidfTransformer().fit_transform(counts(problem)).toarray()
    found = logits(model, problem) / model.head.weight[0, 0].item()
    fits = [Ridge(alpha=penalty).fit(rows, targets).predict(rows) for penalty in (0.1, 0.3)]
    assert min(np.abs(found - fit).max() for fit in fits) < 0.02


def test_two_labels_and_a_label_without_rows(problem):
    two = Bags(problem.ids, problem.offsets, np.minimum(problem.labels, 1))
    student = LinearBaseline()
    model = module(student)
    student.fit(model, two, two, np.zeros((60, CLASSES), np.float32), alpha=0.7)
    found = logits(model, two)
    assert (found.argmax(1) == two.labels).mean() > 0.9
    assert found[:, 2] == pytest.approx(np.full(60, ABSENT * model.head.weight[0, 0].item()))


def test_its_name_says_how_many_n_grams_it_tells_apart():
    assert NgramStudent().describe(static(vocab_size=51_234)) == "ngrams 51k"
    assert LinearBaseline().describe(static(vocab_size=900)) == "linear 1k"


def test_rows_are_taken_out_of_bags():
    found = bags([np.array([1, 2]), np.array([3]), np.array([4, 5, 6])], [0, 1, 2]).rows(np.array([True, False, True]))
    assert found.ids.tolist() == [1, 2, 4, 5, 6]
    assert found.offsets.tolist() == [0, 2, 5]
    assert found.labels.tolist() == [0, 2]


def test_a_cross_fitted_answer_does_not_know_its_own_label(problem):
    # Labels that say nothing of the rows: a model that has seen them repeats them, one that has not is at chance.
    labels = np.random.default_rng(5).integers(0, CLASSES, 60)
    noise = Bags(problem.ids, problem.offsets, labels)
    student = LinearBaseline(cost=100.0)
    (seen,) = student.scores(noise, problem, (noise,), CLASSES, 40)
    unseen = cross_fitted(student, noise, problem, CLASSES, 40, folds=5)
    assert (seen.argmax(1) == labels).mean() > 0.7
    assert (unseen.argmax(1) == labels).mean() < 0.55
