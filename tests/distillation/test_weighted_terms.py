"""What training minimises: the sum of terms, by hand."""

import torch

from millis.distillation.term import FeatureLoss, Match
from millis.distillation.weight import Linear
from millis.distillation.weighted_terms import Objective
from millis.models.features import Feature


def test_the_sum_is_weighted_and_its_terms_are_not():
    logits = torch.tensor([[2.0, 5.0]], requires_grad=True)
    objective = Objective({"left": (0.25, lambda z, _: z[0][0, 0]), "right": (2.0, lambda z, _: z[0][0, 1] ** 2)})
    total, terms = objective([logits], {})
    assert total.item() == 0.25 * 2 + 2 * 25
    assert {name: value.item() for name, value in terms.items()} == {"left": 2.0, "right": 25.0}
    assert not any(value.requires_grad for value in terms.values())
    total.backward()
    assert logits.grad.tolist() == [[0.25, 2 * 2 * 5]]


def test_weights_follow_progress():
    objective = Objective({"a": (Linear(1.0, 0.0), lambda z, _: z[0].sum()), "b": (2.0, lambda z, _: z[0].sum() * 10)})
    logits = torch.tensor([[1.0, 2.0]])
    assert [objective([logits], {}, progress)[0].item() for progress in (0.0, 0.25, 1.0)] == [63.0, 62.25, 60.0]
    assert objective([logits], {}, 1.0)[1]["a"].item() == 3.0  # logged before its weight


def test_what_terms_learn_and_read_is_known():
    feature = Feature("hidden", 0)
    bridge = torch.nn.Linear(2, 2, bias=False)
    loss = FeatureLoss([Match((feature,), (Feature("hidden", 1),), lambda *_: torch.zeros(()))], bridge)
    objective = Objective({"values": (1.0, loss), "labels": (1.0, lambda z, _: z[0].sum())})
    assert objective.student_features == {feature}
    assert objective.teacher_features == {Feature("hidden", 1)}
    assert list(objective.state_dict()) == ["learned.term_values.projection.weight"]
