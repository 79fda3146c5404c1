"""The sandwich: what each student learns, who is drawn, and what epochs are judged by."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from labelled import counted
from shaped import transformer

from millis.data.encode import TARGETS
from millis.distillation.objective import Distillation
from millis.distillation.term import answer_key
from millis.elastic.policy.uniform import Uniform
from millis.elastic.sandwich import Sandwich
from millis.elastic.setting import Axes, Setting
from millis.models.outputs import LOGITS
from millis.pruning.shrink import shrink

AXES = Axes(layers=(1, 2), hidden=(32,), heads=(2, 4), ffn=(24, 48), head_size=8)
LABELS = f"{TARGETS}{LOGITS}"
IDS = torch.tensor([[2, 5, 9, 3], [2, 7, 3, 1]])


@pytest.fixture
def model():
    return transformer("bert", heads=(4, 4), ffn=(48, 48))


def batch():
    return {
        "rows": torch.tensor([0, 1]), "input_ids": IDS, "attention_mask": (IDS != 1).long(),
        LABELS: torch.tensor([2, 0]),
    }  # fmt: skip


def sandwich(model, method=None, sampled=1, from_largest=0.25):
    taught = Sandwich(method or Distillation(alpha=0.5), AXES, Uniform(), sampled, from_largest, seed=3)
    return taught.objective(counted([1, 1, 1]), SimpleNamespace(student=model))


def term(objective):
    return objective.terms["smaller_students"][1]


def test_the_loss_is_the_mean_over_all_students_of_labels_teacher_and_largest(model):
    objective, given = sandwich(model), batch()
    said = torch.tensor([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0]])
    given[answer_key(LOGITS)] = said
    whole = model(**{name: given[name] for name in ("input_ids", "attention_mask")})
    total, _ = objective([whole], given)

    def divergence(student, teacher):  # T² KL(teacher ‖ student), T = 2
        return 4 * F.kl_div(F.log_softmax(student / 2, 1), F.softmax(teacher / 2, 1), reduction="batchmean")

    def learned(student):
        labels = F.cross_entropy(student, given[LABELS])
        return 0.5 * labels + 0.5 * divergence(student, said)

    drawn = term(objective).drawn()
    assert (len(drawn), drawn[0]) == (2, AXES.smallest)
    expected = learned(whole)
    for setting in drawn:
        student = shrink(model, setting.selection(model.spec))(given["input_ids"], given["attention_mask"])
        expected = expected + 0.75 * learned(student) + 0.25 * divergence(student, whole)
    torch.testing.assert_close(total, expected / 3)


def test_no_gradient_flows_back_through_what_the_largest_says(model):
    objective, given = sandwich(model, Distillation(alpha=0.0), sampled=0, from_largest=1.0), batch()
    whole = model(given["input_ids"], given["attention_mask"])
    term(objective)([whole], given).backward()
    assert model.encoder.encoder.layer[0].output.dense.weight.grad is None  # the smallest has the last layer alone


def test_what_is_drawn_follows_from_seed_and_batch_and_goes_on(model):
    def after(term, batches):
        for _ in range(batches):
            given = batch()
            term([model(given["input_ids"], given["attention_mask"]).detach()], given)
        return term.drawn()

    plain = Distillation(alpha=0.0)
    one, other = (term(sandwich(model, plain, sampled=4)) for _ in range(2))
    assert after(one, 2) == after(other, 2)
    continued = term(sandwich(model, plain, sampled=4))
    continued.load_state_dict(other.state_dict())
    torch.manual_seed(99)
    assert after(one, 1) == after(continued, 1)


def test_a_batch_that_is_computed_twice_is_drawn_for_once(model):
    found, given = term(sandwich(model, Distillation(alpha=0.0))), batch()
    for _ in range(2):
        found([model(given["input_ids"], given["attention_mask"])], given)
    assert int(found.batches) == 1


def test_the_students_weights_are_no_part_of_the_objective(model):
    assert list(sandwich(model).parameters()) == []


def test_epochs_are_judged_by_the_smallest_the_middle_and_the_largest(model):
    settings = [Setting(1, 32, 2, 24), Setting(2, 32, 4, 48)]  # the middle is the largest here
    given = batch()
    with torch.no_grad():
        found = [judged(input_ids=IDS, attention_mask=given["attention_mask"])[0] for judged in sandwich(model).judged]
        for logits, setting in zip(found, settings, strict=True):
            student = shrink(model, setting.selection(model.spec))
            torch.testing.assert_close(logits, student(IDS, given["attention_mask"]))
