from types import SimpleNamespace

import numpy as np
import pytest

from millis.data.vectors import Vectors
from millis.errors import MillisError
from millis.serving.parity import parity
from millis.tasks.classification import Classification
from millis.tasks.language_model import LanguageModel
from millis.tasks.regression import Regression
from millis.tasks.retrieval import Retrieval
from millis.types import Signature


def runner(task):
    """One of a task, whose texts need no tokens."""
    manifest = SimpleNamespace(answers=task, signature=Signature(("input_ids",), task.outputs))
    return SimpleNamespace(tokenize=lambda text: None, decode=task.answer, manifest=manifest)


RUNNER = runner(Classification(labels=("no", "yes", "perhaps")))


def compared(ours, theirs):
    """Parity of logits, [N, C] each."""
    got, expected = ([(row[None].astype(np.float32),) for row in logits] for logits in (ours, theirs))
    return parity(RUNNER, ["a text"] * len(got), got, expected)


def test_parity_by_hand():
    ours = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [5.0, 4.0]])
    theirs = np.array([[1.0, 2.5], [2.0, 0.0], [1.0, 0.0], [5.0, 4.0]])
    # Labels 1 0 1 0 against 1 0 0 0: three of four; differences 0.5, 1, 1, 0.
    assert compared(ours, theirs) == {"label_agreement": 0.75, "max_abs_logit_difference": 1.0}


def test_what_is_the_same_is_the_tasks_to_say():
    # 0, 10, 20 have a deviation of 8.16: 0.4 off is the same answer, 0.5 off is another.
    theirs = [(np.array([[z]], np.float32),) for z in (-1.0, 0.0, 1.0)]
    for off, agreement in ((0.04, 1.0), (0.05, 0.0)):
        ours = [(array + np.float32(off),) for (array,) in theirs]
        found = parity(runner(Regression(mean=10.0, deviation=10.0)), ["a"] * 3, ours, theirs)
        assert found == {"label_agreement": agreement, "max_abs_logit_difference": pytest.approx(off, abs=1e-6)}


def test_vectors_agree_where_their_nearest_entries_do():
    vectors = Vectors(np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32))
    task = Retrieval("faq.jsonl", entries=("a", "b", "c"), vectors=vectors)
    theirs = [(np.array([vector], np.float32),) for vector in ((1, 0), (0, 1), (3, 4), (1, 1))]
    # Turned a little, or longer; the last is nearest to the first entry instead of the third.
    ours = [(np.array([vector], np.float32),) for vector in ((1, 0.25), (0, 2), (3, 5), (2, 1))]
    found = parity(runner(task), ["a"] * 4, ours, theirs)
    assert found == {"label_agreement": 0.75, "max_abs_logit_difference": 1.0}


def test_where_the_next_token_is_asked_for_each_position_counts_whatever_its_text():
    theirs = [np.array([[[0.0, 2.0, 1.0], [3.0, 0.0, 1.0], [0.0, 1.0, 4.0]]]), np.array([[[5.0, 0.0, 0.0]]])]
    # The second token's likeliest is another; the others' are not, however far off their logits are.
    ours = [theirs[0] + np.array([[[0, 0, 0.5], [-3, 0, 0], [0, 0, 0]]]), theirs[1] * 2]
    got, expected = ([(array.astype(np.float32),) for array in rows] for rows in (ours, theirs))
    found = parity(runner(LanguageModel()), ["a text", "b"], got, expected)
    assert found == {"label_agreement": 0.75, "max_abs_logit_difference": 5.0}


def test_parity_refuses_other_shapes_and_no_texts():
    with pytest.raises(MillisError, match=r"shapes \[\[\(1, 2\)\]\] and \[\[\(1, 3\)\]\]: expected the same for each"):
        compared(np.zeros((1, 2)), np.zeros((1, 3)))
    with pytest.raises(MillisError, match=r"of 2 and 1 texts, .*: expected the same for each of 2 texts"):
        compared(np.zeros((2, 2)), np.zeros((1, 2)))
    with pytest.raises(MillisError, match="for each of 0 texts, at least one"):
        compared(np.zeros((0, 2)), np.zeros((0, 2)))


def test_parity_refuses_nan():
    with pytest.raises(MillisError, match="not finite"):
        compared(np.full((1, 2), np.nan), np.zeros((1, 2)))
