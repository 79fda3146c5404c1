"""Linear models of hashed n-grams: the baseline that others have to beat, and the student `ngrams`.

Both are a `static` model with one row of C weights and one weight a n-gram (`norm: l2`), which is tf-idf and a linear
layer, and both are fitted in seconds, without an epoch of training:

    logits = T · (b + Σ_s idf_s · v_s / sqrt(Σ_s idf_s²)),  idf = 1 + ln((1 + N) / (1 + texts with the n-gram))

- `LinearBaseline`: v and b are a linear support vector machine's, one class against the rest (scikit-learn; LIBLINEAR,
  Fan et al. 2008), on the labels. Such models are hard to beat on short texts (Wang & Manning 2012).
- `NgramStudent`: v and b are a ridge regression's on the labels and the teacher's logits, which is logit matching (Ba &
  Caruana 2014, 1312.6184) in closed form. With Y the labels as +1 and -1 and Z the teacher's logits, less their mean
  over the classes and scaled so that the largest of a text is 1 on average, it fits (1 - α) · Y + α · Z.

T makes the scores log-probabilities: it is the factor with the smallest cross-entropy on the validation split.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from millis.models.ngrams import NgramTokenizer
from millis.models.outputs import require_one_text
from millis.models.spec import Spec
from millis.models.static_spec import StaticSpec
from millis.traits import FEATURES, IN_TRAINING, RESHAPES, SCHEDULED, TEACHES, Reasons
from millis.types import Output, Text

ABSENT = -20.0  # score of a label without a training text
TEMPERATURES = np.geomspace(0.5, 32, 25)
PENALTY = 0.1  # of the ridge, for rows of length 1
Solution = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weights [V, C] and bias [C]."""


_AT_ONCE = (
    "{other} happens while a student trains, and student=ngrams is fitted at once. Choose another student, or {instead}"
)


@dataclass(frozen=True)
class NgramStudent:
    """A linear model of words and runs of characters, fitted to the labels and the teacher's logits.

    Args:
        bits: log2 of the number of hash buckets.
        least: Training texts that must have an n-gram for it to be seen.
    """

    trains: ClassVar[bool] = False
    fits: ClassVar[bool] = True
    refuses: ClassVar[Reasons] = {
        **dict.fromkeys((IN_TRAINING, TEACHES), _AT_ONCE),
        RESHAPES: "{other} makes a student smaller before it trains, and student=ngrams is one table with a row "
        "an n-gram. Choose student.least or student.bits for fewer rows, and {instead}",
        SCHEDULED: "student=ngrams is fitted at once, and distillation.alpha is a schedule. Choose a number for "
        "distillation.alpha",
        FEATURES: "this distillation compares hidden states or attention, and student=ngrams has none: it is "
        "fitted to labels and the teacher's logits. Choose distillation=logits or none",
    }

    bits: int = 18
    least: int = 2

    @staticmethod
    def check_outputs(outputs: Sequence[Output]) -> None:
        """Refuse outputs that bags of n-grams cannot give.

        Raises:
            MillisError: not one row of logits a text.
        """
        require_one_text(outputs, "student=ngrams", "Choose another student")

    def tokenizer(self, texts: Sequence[Text]) -> NgramTokenizer:
        """Learned from the training texts."""
        return NgramTokenizer.learn(texts, self.bits, self.least)

    def spec(self, teacher_spec: Spec) -> StaticSpec:
        """The architecture, over an empty vocabulary: the size of its own the tokenizer knows.

        Raises:
            MillisError: as `check_outputs`.
        """
        self.check_outputs(teacher_spec.outputs)
        [output] = teacher_spec.outputs
        return StaticSpec(vocab_size=0, size=output.width, norm="l2", dropout=0.0, outputs=(output,))

    def describe(self, spec: StaticSpec) -> str:
        """`ngrams 51k`: how many are told apart."""
        return f"ngrams {round(spec.vocab_size / 1000)}k"

    def fit(
        self, model: Any, train: "Bags", validation: "Bags", teacher: NDArray[np.float32] | None, alpha: float
    ) -> None:
        """Set the weights.

        Args:
            teacher: Its logits on the training rows, [N, C]; None where labels alone are learned.
            alpha: The teacher's share.
        """
        targets = 2 * np.eye(model.spec.outputs[0].width, dtype=np.float32)[train.labels] - 1
        if teacher is not None:
            centred = teacher - teacher.mean(axis=1, keepdims=True)
            targets = (1 - alpha) * targets + alpha * centred / max(float(centred.max(axis=1).mean()), 1e-6)
        idf = inverse_frequencies(train, model.spec.vocab_size)
        rows, held_out = train.matrix(idf), validation.matrix(idf)
        _install(model, idf, _ridge(rows, targets, PENALTY), held_out, validation.labels)


@dataclass(frozen=True)
class LinearBaseline(NgramStudent):
    """The same features, fitted to the labels alone: what a user has without millis.

    Args:
        cost: C of the support vector machine: smaller is a larger margin.
    """

    cost: float = 1.0

    def describe(self, spec: StaticSpec) -> str:
        """`linear 51k`."""
        return f"linear {round(spec.vocab_size / 1000)}k"

    def fit(
        self, model: Any, train: "Bags", validation: "Bags", teacher: NDArray[np.float32] | None, alpha: float
    ) -> None:
        """Set the weights; `teacher` and `alpha` are not read."""
        idf, found = self._fitted(train, model.spec.outputs[0].width, model.spec.vocab_size)
        _install(model, idf, found, validation.matrix(idf), validation.labels)

    def scores(
        self, train: "Bags", validation: "Bags", others: Sequence["Bags"], classes: int, vocabulary: int
    ) -> list[NDArray[np.float32]]:
        """Logits of a model fitted to `train`, [N, C], on the rows of each of `others`."""
        idf, (weights, bias) = self._fitted(train, classes, vocabulary)
        temperature = _temperature(np.asarray(validation.matrix(idf) @ weights + bias), validation.labels)
        return [(temperature * (other.matrix(idf) @ weights + bias)).astype(np.float32) for other in others]

    def _fitted(self, train: "Bags", classes: int, vocabulary: int) -> tuple[NDArray[np.float32], Solution]:
        idf = inverse_frequencies(train, vocabulary)
        return idf, _machine(train.matrix(idf), train.labels, classes, self.cost)


def cross_fitted(
    student: LinearBaseline, train: "Bags", validation: "Bags", classes: int, vocabulary: int, folds: int
) -> NDArray[np.float32]:
    """Logits on the training rows, [N, C], each of a model that was fitted without the row."""
    found = np.empty((len(train.labels), classes), np.float32)
    fold = np.random.default_rng(0).permutation(len(train.labels)) % folds
    for number in range(folds):
        rest, held_out = train.rows(fold != number), train.rows(fold == number)
        (found[fold == number],) = student.scores(rest, validation, (held_out,), classes, vocabulary)
    return found


@dataclass(frozen=True)
class Bags:
    """Encoded rows as sparse rows: row i has the ids `ids[offsets[i]:offsets[i + 1]]`.

    Args:
        ids: [total]; offsets: [N + 1]; labels: [N].
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int64]

    def rows(self, chosen: NDArray[np.bool_]) -> "Bags":
        """Those rows alone."""
        lengths = np.diff(self.offsets)
        offsets = np.concatenate([[0], np.cumsum(lengths[chosen])]).astype(np.int64)
        return Bags(self.ids[np.repeat(chosen, lengths)], offsets, self.labels[chosen])

    def matrix(self, idf: NDArray[np.float32]) -> Any:
        """tf-idf with rows of length 1, a SciPy matrix [N, V]."""
        from scipy.sparse import csr_matrix

        values = idf[self.ids]
        lengths = np.sqrt(np.add.reduceat(np.append(values**2, 0), self.offsets[:-1])) * (np.diff(self.offsets) > 0)
        scale = np.repeat(1 / np.maximum(lengths, 1e-6), np.diff(self.offsets))
        return csr_matrix(((values * scale).astype(np.float32), self.ids, self.offsets), (len(self.labels), len(idf)))


def inverse_frequencies(bags: Bags, size: int) -> NDArray[np.float32]:
    """1 + ln((1 + N) / (1 + texts with the n-gram)) for every id, [V]."""
    counts = np.bincount(bags.ids, minlength=size)
    return (1 + np.log((1 + len(bags.labels)) / (1 + counts))).astype(np.float32)


@torch.no_grad()
def _install(model: Any, idf: NDArray[np.float32], found: Solution, held_out: Any, labels: NDArray[np.int64]) -> None:
    weights, bias = found
    temperature = _temperature(np.asarray(held_out @ weights + bias), labels)
    model.vectors.weight.copy_(torch.from_numpy(weights))
    model.log_weights.weight.copy_(torch.from_numpy(np.log(idf))[:, None])
    model.head.weight.copy_(temperature * torch.eye(len(bias)))
    model.head.bias.copy_(torch.from_numpy(temperature * bias))


def _ridge(rows: Any, targets: NDArray[np.float32], penalty: float) -> Solution:
    """Least squares on `targets` [N, C], with `penalty` on the weights."""
    from sklearn.linear_model import Ridge

    fitted = Ridge(alpha=penalty, solver="sparse_cg", tol=1e-3, max_iter=200).fit(rows, targets)
    return np.ascontiguousarray(fitted.coef_.T, np.float32), fitted.intercept_.astype(np.float32)


def _machine(rows: Any, labels: NDArray[np.int64], classes: int, cost: float) -> Solution:
    """The linear support vector machine's."""
    from sklearn.svm import LinearSVC

    weights = np.zeros((rows.shape[1], classes), np.float32)
    bias = np.full(classes, ABSENT, np.float32)
    present = np.unique(labels)
    if len(present) == 1:
        bias[present] = 0
        return weights, bias
    with warnings.catch_warnings():  # few rows a label are no sign that labels are amounts
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        machine = LinearSVC(C=cost, random_state=0).fit(rows, labels)
    slopes, distances = machine.coef_, machine.intercept_
    if len(present) == 2:  # one distance, to the second
        slopes, distances = np.concatenate([-slopes, slopes]) / 2, np.concatenate([-distances, distances]) / 2
    weights[:, present], bias[present] = slopes.T, distances
    return weights, bias


def _temperature(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The factor that makes the cross-entropy of `scores` [N, C] smallest."""

    def loss(factor: float) -> float:
        scaled = factor * scores
        peaks = scaled.max(axis=1)
        totals = np.log(np.exp(scaled - peaks[:, None]).sum(axis=1)) + peaks
        return float(np.mean(totals - scaled[np.arange(len(labels)), labels]))

    return float(min(TEMPERATURES, key=loss))
