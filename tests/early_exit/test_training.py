"""Stages: what is trained when, by which terms."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from labelled import counted
from rounded import spec

from millis.distillation.contract import Stage
from millis.distillation.hidden import Hidden
from millis.distillation.objective import Distillation
from millis.distillation.stages import TwoStage as FeaturesFirst
from millis.early_exit.loss import EveryOther, ExitLoss, FromLast
from millis.early_exit.training import Alternating, Joint, SelfDistillation, TwoStage
from millis.errors import MillisError

PAIR = SimpleNamespace(student=SimpleNamespace(spec=replace(spec(), exits=(0,))))
PLAIN = Distillation(alpha=0.5)


def objective(training, method=PLAIN):
    return training.stages(method.stages())[-1].distillation.objective(counted([1, 1, 1]), PAIR)


def test_joint_training_adds_each_exit_at_the_weight_of_its_depth():
    terms = objective(Joint()).terms
    assert [(name, weight) for name, (weight, _) in terms.items()] == [
        ("cross_entropy", 0.5), ("softened_kl", 0.5), ("exit_0", 0.5)  # one of two layers
    ]  # fmt: skip
    assert isinstance(terms["exit_0"][1], ExitLoss)


def test_alternating_training_adds_them_to_every_other_batch():
    weight, term = objective(Alternating()).terms["exit_0"]
    assert weight == 1
    assert isinstance(term, EveryOther)


def test_features_come_first_and_exits_join_the_answers():
    method = FeaturesFirst(terms={"hidden": Hidden(1.0, "mse", "uniform")})
    first, second = Joint().stages(method.stages())
    assert first == method.stages()[0]
    assert second.name == "answers"
    assert second.distillation.needs_logits


@pytest.mark.parametrize(("training", "term"), [(TwoStage(), ExitLoss), (SelfDistillation(), FromLast)])
def test_exits_alone_come_last_with_all_else_frozen(training, term):
    first, last = training.stages(PLAIN.stages())
    assert first == Stage("distillation", 0.7, PLAIN)
    assert (last.name, last.share, last.trains) == ("exits", 0.3, "exits.")
    found = objective(training)
    assert not found.answers  # the last exit stays as it is, so its quality cannot select epochs
    assert {name: type(t) for name, (_, t) in found.terms.items()} == {"exit_0": term}


def test_self_distillation_reads_no_teacher():
    assert not SelfDistillation().stages(PLAIN.stages())[-1].distillation.needs_logits
    assert TwoStage().stages(PLAIN.stages())[-1].distillation.needs_logits


@pytest.mark.parametrize("training", [TwoStage, SelfDistillation])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_that_leaves_no_epochs_is_refused(training, share):
    with pytest.raises(MillisError, match=f"early_exit.training.share={share}: expected the share of the epochs"):
        training(share=share)


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(MillisError, match=r"early_exit\.training\.temperature=0: expected above 0"):
        SelfDistillation(temperature=0)
