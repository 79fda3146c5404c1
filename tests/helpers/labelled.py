"""What tests of one label a text share: the outputs of such a task, and encoded rows of it."""

from types import SimpleNamespace

import numpy as np

from millis.data.encode import Encoded
from millis.data.one_label import ONE_LABEL
from millis.distillation.teacher_cache import TeacherLogits
from millis.models.outputs import LOGITS
from millis.types import Output


def outputs(classes):
    """One row of logits a text."""
    return (Output(LOGITS, "text", classes),)


def task(classes=2):
    """What `encode` asks of a task."""
    return SimpleNamespace(outputs=outputs(classes), references=ONE_LABEL)


def encoded(rows, labels, classes=None, token_types=None, truncated=0):
    """Rows of token ids, and of token types, with their labels."""
    labels = np.asarray(labels, np.int64)
    return Encoded(
        ids=flat(rows),
        token_types=None if token_types is None else flat(token_types),
        offsets=np.cumsum([0, *map(len, rows)]),
        targets={LOGITS: labels},
        outputs=outputs(int(labels.max(initial=1)) + 1 if classes is None else classes),
        truncated=truncated,
    )


def flat(rows):
    return np.concatenate([np.zeros(0), *rows]).astype(np.int32)


def counted(counts):
    """Rows of one token, so many of each label."""
    return encoded([[2]] * sum(counts), np.repeat(np.arange(len(counts)), counts), len(counts))


def said(logits):
    """What a teacher says of rows, [N, C]."""
    return TeacherLogits(outputs(logits.shape[1]), (logits,), (np.arange(len(logits) + 1),))
