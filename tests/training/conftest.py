"""A toy problem that a bag of tokens can learn: even tokens are label 0, odd tokens label 1."""

import numpy as np
import pytest
from labelled import counted

from millis.distillation.objective import Distillation
from millis.training.module import TextModule
from millis.training.optim import AdamW


@pytest.fixture
def separable(encoded):
    """`separable(n, seed)`: n ragged rows of tokens 2..11, all of one parity, which is the label."""

    def make(count, seed=0):
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, 2, count)
        rows = [2 * generator.integers(1, 6, generator.integers(1, 6)) + label for label in labels]
        return encoded(rows, labels)

    return make


def percent(predictions, references):
    return 100 * float(np.mean(np.asarray(predictions) == np.asarray(references)))


@pytest.fixture
def module(bag):
    """A bag of tokens to be trained on labels, or with `alpha` on a teacher too."""

    def make(alpha=0.0, lr=0.05, score=percent, **settings):
        objective = Distillation(alpha=alpha, **settings).objective(counted([1, 1]))
        return TextModule(bag(), objective, AdamW(lr=lr, head_lr=lr), score)

    return make
