"""What exits learn: the loss of the last exit on other logits; gradients go where they should."""

import pytest
import torch
import torch.nn.functional as F
from labelled import counted

from millis.distillation.logits import softened_kl
from millis.distillation.objective import Distillation
from millis.early_exit.loss import EveryOther, ExitLoss, FromLast, depth_weights

LABELS = torch.tensor([0, 2, 1])


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    own, teacher = (torch.randn(3, 3, generator=generator) for _ in range(2))
    taught = {"target/logits": LABELS, "teacher_logits/logits": teacher}
    return {"rows": torch.arange(3), **taught, "student/exit/1": own.requires_grad_()}


def test_an_exit_learns_what_the_last_one_does(batch):
    loss = ExitLoss(1, Distillation(alpha=0.7, temperature=2.0).answer_terms(counted([1, 1, 1])))
    own = batch["student/exit/1"]
    expected = 0.3 * F.cross_entropy(own, LABELS) + 0.7 * softened_kl(own, batch["teacher_logits/logits"], 2.0)
    assert loss([torch.zeros(3, 3)], batch).item() == pytest.approx(expected.item(), abs=1e-6)


def test_the_last_exit_teaches_and_does_not_learn(batch):
    last = torch.randn(3, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    loss = FromLast(1, temperature=1.0)([last], batch)
    loss.backward()
    assert loss.item() == pytest.approx(softened_kl(batch["student/exit/1"], last, 1.0).item())
    assert last.grad is None
    assert batch["student/exit/1"].grad.abs().sum() > 0


def test_every_other_batch_has_a_gradient_and_all_have_a_value(batch):
    loss = EveryOther(ExitLoss(1, Distillation(alpha=0.0).answer_terms(counted([1, 1, 1]))))
    batches = [{**batch, "rows": batch["rows"].clone()} for _ in range(4)]
    values = [loss([torch.zeros(3, 3)], one) for one in batches for _ in range(2)]  # adversarial training asks twice
    assert [value.requires_grad for value in values] == [False, False, True, True] * 2
    assert len({round(value.item(), 6) for value in values}) == 1


def test_a_continued_run_alternates_on(batch):
    loss = EveryOther(ExitLoss(1, Distillation(alpha=0.0).answer_terms(counted([1, 1, 1]))))
    loss([torch.zeros(3, 3)], batch)
    resumed = EveryOther(loss.term)
    resumed.load_state_dict(loss.state_dict())
    batch["rows"] = batch["rows"].clone()
    assert resumed([torch.zeros(3, 3)], batch).requires_grad


def test_weights_grow_with_depth():
    assert depth_weights([1, 3], 6) == pytest.approx([2 / 6, 4 / 6])
