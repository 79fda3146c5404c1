"""Distillation by logits, its terms by hand; the texts of what it refuses."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from labelled import counted, outputs
from sklearn.utils.class_weight import compute_class_weight

from millis.data.positions import contrast
from millis.distillation import logits as logits_module
from millis.distillation.logit_distillation import LogitDistillation
from millis.distillation.logits import softened_kl
from millis.distillation.objective import Distillation, _angle, balanced_weights
from millis.distillation.weight import Linear
from millis.errors import MillisError
from millis.types import Output

LN2, LN3 = math.log(2), math.log(3)
# softmax(0, 0) = (1/2, 1/2) and softmax(ln 3, 0) = (3/4, 1/4).
LOGITS = torch.tensor([[0.0, 0.0], [LN3, 0.0]])
LABELS = torch.tensor([0, 1])
BATCH = {"target/logits": LABELS, "teacher_logits/logits": LOGITS.flip(-1)}
ROWS = counted([1, 1])


def test_logits_and_labels_teach_nothing_but_the_student():
    plain = Distillation(alpha=0.5).objective(ROWS)
    assert list(plain.parameters()) == []
    assert plain.state_dict() == {}  # checkpoints of logit distillation hold the student alone
    assert plain.student_features == plain.teacher_features == frozenset()


def test_one_stage_is_the_whole():
    distillation = Distillation(alpha=0.3)
    assert list(distillation.stages()) == [("distillation", 1.0, distillation, None)]
    assert distillation.needs_logits
    assert not Distillation(alpha=0.0).needs_logits


def test_teacher_annealing_hands_over_from_the_teacher_to_the_labels():
    # 1907.04829: λ goes from 0 to 1, λ · labels + (1 - λ) · teacher. At T = 1 the teacher's term is the plain KL.
    annealed = Distillation(alpha=Linear(1.0, 0.0), temperature=1.0)
    objective = annealed.objective(ROWS)
    assert annealed.needs_logits
    terms = objective([LOGITS], BATCH)[1]
    labels, teacher = terms["cross_entropy"].item(), terms["softened_kl"].item()
    totals = [objective([LOGITS], BATCH, progress)[0].item() for progress in (0.0, 0.25, 1.0)]
    assert totals == pytest.approx([teacher, 0.75 * teacher + 0.25 * labels, labels])


@pytest.mark.parametrize(
    "name", ["softened_kl", "reverse_kl", "jensen_shannon", "skewed_kl", "skewed_reverse_kl", "logit_mse"]
)
def test_other_losses_take_the_place_of_forward_kl(name):
    objective = LogitDistillation(alpha=0.25, temperature=3.0, logit_loss=name).objective(ROWS)
    total, terms = objective([LOGITS], BATCH)
    assert list(terms) == ["cross_entropy", name]
    assert terms[name] == getattr(logits_module, name)(LOGITS, LOGITS.flip(-1), 3.0)
    assert total.item() == pytest.approx(0.75 * terms["cross_entropy"].item() + 0.25 * terms[name].item(), rel=1e-6)


def test_an_unknown_loss_of_logits():
    with pytest.raises(MillisError) as caught:
        LogitDistillation(logit_loss="reversed_kl")
    assert str(caught.value) == (
        "distillation: logit_loss='reversed_kl' is unknown; expected one of jensen_shannon, logit_mse, reverse_kl, "
        "skewed_kl, skewed_reverse_kl, softened_kl (did you mean 'reverse_kl'?)"
    )
    with pytest.raises(MillisError, match=r"distillation.alpha=2"):
        LogitDistillation(alpha=2)


def test_distillation_weighs_labels_and_teacher():
    teacher = torch.tensor([[LN3, 0.0], [LN3, 0.0]])
    objective = Distillation(alpha=0.7, temperature=1.0).objective(ROWS)
    total, terms = objective([LOGITS], {"target/logits": LABELS, "teacher_logits/logits": teacher})
    cross_entropy = (LN2 + 2 * LN2) / 2  # -ln 1/2 and -ln 1/4
    divergence = (0.75 * LN3 - LN2) / 2  # see test_logits; the second row agrees with the teacher
    assert terms["cross_entropy"].item() == pytest.approx(cross_entropy, abs=1e-6)
    assert terms["softened_kl"].item() == pytest.approx(divergence, abs=1e-6)
    assert total.item() == pytest.approx(0.3 * cross_entropy + 0.7 * divergence, abs=1e-6)


def test_the_temperature_reaches_the_loss():
    total, _ = Distillation(alpha=1.0, temperature=3.0).objective(ROWS)([LOGITS], BATCH)
    assert total == softened_kl(LOGITS, LOGITS.flip(-1), 3.0)


def test_without_a_teachers_share_no_teacher_is_needed():
    total, terms = Distillation(alpha=0.0).objective(ROWS)([LOGITS], {"target/logits": LABELS})
    assert list(terms) == ["cross_entropy"]
    assert total.item() == pytest.approx(1.5 * LN2, abs=1e-6)


def test_with_the_teachers_share_alone_labels_are_not_read():
    batch = {"target/logits": torch.tensor([8, 9]), "teacher_logits/logits": LOGITS}  # there are but two labels
    total, terms = Distillation(alpha=1.0).objective(ROWS)([LOGITS], batch)
    assert list(terms) == ["softened_kl"]
    assert total.item() == pytest.approx(0, abs=1e-7)


def test_label_smoothing_by_hand():
    # 0.2 is spread evenly over 2 labels: targets 0.9 and 0.1. Row 1: ln 2. Row 2 (label 1): -0.1 ln 3/4 - 0.9 ln 1/4.
    total, _ = Distillation(alpha=0.0, label_smoothing=0.2).objective(ROWS)([LOGITS], {"target/logits": LABELS})
    assert total.item() == pytest.approx((LN2 - 0.1 * math.log(0.75) - 0.9 * math.log(0.25)) / 2, abs=1e-6)


def targets(*counts):
    """So many of each label."""
    return np.repeat(np.arange(len(counts)), counts)


def test_balanced_weights_by_hand():
    assert balanced_weights(targets(1, 3), *outputs(2)).tolist() == pytest.approx(
        [2.0, 2 / 3]
    )  # 4 / (2 · 1) and 4 / (2 · 3)
    assert balanced_weights(targets(2, 0, 2), *outputs(3)).tolist() == pytest.approx(
        [2 / 3, 0.0, 2 / 3]
    )  # 4 / (3 · 2), and none


def test_balanced_weights_against_scikit_learn():
    labels = targets(5, 1, 17, 40)
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    assert balanced_weights(labels, *outputs(4)).tolist() == pytest.approx(expected.tolist())


def test_balanced_cross_entropy_by_hand():
    # Weights 2 and 2/3, losses ln 2 and 2 ln 2: (2 ln 2 + 4/3 ln 2) / (2 + 2/3) = 5/4 ln 2.
    total, _ = Distillation(alpha=0.0, balanced=True).objective(counted([1, 3]))([LOGITS], {"target/logits": LABELS})
    assert total.item() == pytest.approx(1.25 * LN2, abs=1e-6)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"alpha": 1.1}, "distillation.alpha=1.1: expected 0 (labels only) to 1 (teacher only)"),
        ({"alpha": -0.1}, "distillation.alpha=-0.1: expected 0 (labels only) to 1 (teacher only)"),
        (
            {"alpha": Linear(2.0, 0.0)},
            "distillation.alpha=Linear(start=2.0, end=0.0): expected 0 (labels only) to 1 (teacher only)",
        ),
        ({"temperature": 0.0}, "distillation.temperature=0.0: expected above 0; 1 to 8 is usual"),
        ({"label_smoothing": 1.0}, "distillation.label_smoothing=1.0: expected 0 up to 1, 1 excluded"),
        ({"label_smoothing": -0.1}, "distillation.label_smoothing=-0.1: expected 0 up to 1, 1 excluded"),
    ],
)
def test_settings_without_sense(setting, message):
    with pytest.raises(MillisError) as caught:
        Distillation(**setting)
    assert str(caught.value) == message


VECTOR = Output("vector", "text", 2, "vector")
WANTED = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
# Cosines of student and teacher by hand: 3/5 and 1.
STUDENT, TEACHER = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]])
OF_VECTORS = {"target/vector": WANTED, "teacher_logits/vector": TEACHER}


def vectors(*others):
    return replace(
        ROWS,
        outputs=(VECTOR, *others),
        targets={"vector": WANTED.numpy()} | {one.name: LABELS.numpy() for one in others},
    )


def test_an_angle_by_hand():
    # 1 - the mean of 3/5 and 1 is 1/5, over 0.05.
    assert _angle(STUDENT, TEACHER, 2.0).item() == pytest.approx(4, rel=1e-5)
    assert _angle(7 * STUDENT, TEACHER / 3, 1.0).item() == pytest.approx(4, rel=1e-5), "lengths are not compared"
    assert _angle(TEACHER, TEACHER, 2.0).item() == pytest.approx(0, abs=1e-5)
    assert _angle(-TEACHER, TEACHER, 2.0).item() == pytest.approx(40, rel=1e-5)


@pytest.mark.parametrize("made", [Distillation, LogitDistillation], ids=["softened_kl", "others"])
def test_vectors_are_contrasted_with_labels_and_turned_to_the_teachers(made):
    settings = {} if made is Distillation else {"logit_loss": "reverse_kl"}
    total, terms = made(alpha=0.25, **settings).objective(vectors())([STUDENT], OF_VECTORS)
    assert list(terms) == ["contrast", "teacher_error"]
    assert terms["contrast"] == contrast(STUDENT, WANTED)
    assert terms["teacher_error"].item() == pytest.approx(4, rel=1e-5)
    assert total.item() == pytest.approx(0.75 * terms["contrast"].item() + 0.25 * 4, rel=1e-5)


def test_each_side_can_teach_vectors_alone():
    labels, terms = Distillation(alpha=0.0).objective(vectors())([STUDENT], {"target/vector": WANTED})
    assert list(terms) == ["contrast"] and labels.item() == pytest.approx(math.log1p(math.exp(-20)), abs=1e-7)
    teacher, terms = Distillation(alpha=1.0).objective(vectors())([STUDENT], OF_VECTORS)
    assert list(terms) == ["teacher_error"] and teacher.item() == pytest.approx(4, rel=1e-5)


def test_terms_of_vectors_beside_labels_have_their_names():
    beside = vectors(Output("intent", "text", 2))
    batch = {**OF_VECTORS, "target/intent": LABELS, "teacher_logits/intent": LOGITS}
    _, terms = Distillation(alpha=0.5).objective(beside)([STUDENT, LOGITS], batch)
    assert list(terms) == ["contrast_vector", "teacher_error_vector", "cross_entropy_intent", "softened_kl_intent"]


def test_vectors_are_not_balanced():
    with pytest.raises(MillisError) as caught:
        Distillation(balanced=True).objective(vectors())
    assert str(caught.value) == (
        "distillation.balanced=true weighs labels, and the task asks for a vector: expected false"
    )
