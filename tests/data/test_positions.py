"""Categories at positions: logits where targets ask, whatever kind of task they are of."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from millis.data.positions import (
    answers,
    asked_inputs,
    at_targets,
    by_degrees,
    contrast,
    likeliest,
    loss_at,
    summed_loss,
    targets_of,
)
from millis.data.references import IGNORED
from millis.models.static_spec import StaticSpec
from millis.models.transformer_spec import TransformerSpec
from millis.types import Output

LABEL, TAGS = Output("intent", "text", 2), Output("tags", "token", 3)
VECTOR = Output("vector", "text", 2, "vector")
BATCH = {
    "input_ids": torch.zeros(2, 3),
    "target/intent": torch.tensor([1, 0]),
    "target/tags": torch.tensor([[IGNORED, 2, 0], [IGNORED, 1, IGNORED]]),
}


def spec(*outputs):
    return StaticSpec(vocab_size=9, size=2, dropout=0.0, outputs=outputs)


def writer(name):
    return TransformerSpec(
        encoder={"model_type": "llama"}, pooling="mean", dropout=0.0, outputs=(Output(name, "token", 3, "next"),),
        affixes=((), (2,)),
    )  # fmt: skip


def one_hot(values, width):
    return 9.0 * F.one_hot(torch.tensor(values), width).float()


OUTPUTS = (one_hot([1, 1], 2), one_hot([[0, 2, 1], [0, 1, 0]], 3))


def test_targets_come_by_output_in_order():
    assert list(targets_of(BATCH)) == ["intent", "tags"]


def test_rows_at_targets_follow_the_batch():
    logits = torch.arange(18.0).reshape(2, 3, 3)
    rows, wanted = at_targets(logits, BATCH["target/tags"])
    assert rows.tolist() == [[3, 4, 5], [6, 7, 8], [12, 13, 14]] and wanted.tolist() == [2, 0, 1]
    same, labels = at_targets(OUTPUTS[0], BATCH["target/intent"])
    assert same is OUTPUTS[0] and labels is BATCH["target/intent"]


def test_the_loss_is_summed_over_texts_outputs_and_positions():
    # One wrong label and one wrong tag cost 9 + ln(1 + (C - 1) e^-9) each; right ones ln(1 + (C - 1) e^-9).
    slack = {width: np.log1p((width - 1) * np.exp(-9)) for width in (2, 3)}
    expected = 2 * 9 + 2 * slack[2] + 3 * slack[3]
    assert summed_loss(OUTPUTS, BATCH).item() == pytest.approx(expected, rel=1e-5)


def test_answers_hold_a_value_a_text():
    found, right = answers(OUTPUTS, BATCH, spec(LABEL, TAGS))
    assert found == [(1, (2, 1)), (1, (1,))]
    assert right == [(1, (2, 0)), (0, (1,))]
    alone = {name: value for name, value in BATCH.items() if name != "target/intent"}
    assert answers(OUTPUTS[1:], alone, spec(TAGS)) == ([(2, 1), (1,)], [(2, 0), (1,)])
    alone = {name: value for name, value in BATCH.items() if name != "target/tags"}
    assert answers(OUTPUTS[:1], alone, spec(LABEL)) == ([1, 1], [1, 0])


def test_kept_logits_give_the_same_answers():
    rows = [
        at_targets(logits, targets)[0].numpy()
        for logits, targets in zip(OUTPUTS, targets_of(BATCH).values(), strict=True)
    ]
    positions = (np.arange(3), np.array([0, 2, 3]))
    assert likeliest((LABEL, TAGS), rows, positions) == answers(OUTPUTS, BATCH, spec(LABEL, TAGS))[0]
    assert likeliest((LABEL,), rows[:1], positions[:1]) == [1, 1]
    assert likeliest((TAGS,), rows[1:], positions[1:]) == [(2, 1), (1,)]


@given(st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=1, max_size=5))
def test_perfect_logits_give_perfect_answers(tags):
    length = max(map(len, tags)) + 1
    targets = torch.full((len(tags), length), IGNORED)
    for row, values in enumerate(tags):
        targets[row, 1 : 1 + len(values)] = torch.tensor(values, dtype=torch.int64)
    logits = one_hot(targets.clamp(min=0).tolist(), 3)
    found, right = answers((logits,), {"target/tags": targets}, spec(TAGS))
    assert found == right == [tuple(values) for values in tags]


SEVERAL, NUMBER = Output("labels", "text", 3, "each"), Output("number", "text", 1, "value")


def test_several_labels_are_so_many_questions_of_two_categories():
    logits, wanted = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, -3.0]]), torch.tensor([[1, 0, 0], [0, 1, 1]]).bool()
    rows, targets = at_targets(logits, wanted)
    assert rows.tolist() == [[0, 2], [0, -1], [0, 0.5], [0, 0], [0, 0], [0, -3]]
    assert targets.tolist() == [1, 0, 0, 0, 1, 1]
    expected = F.binary_cross_entropy_with_logits(logits, wanted.float())
    assert loss_at(rows, targets).item() == pytest.approx(expected.item(), rel=1e-6)
    found = answers((logits,), {"target/labels": wanted}, spec(SEVERAL))
    assert found == ([(0, 2), ()], [(0,), (1, 2)])
    assert likeliest((SEVERAL,), [rows.numpy()], [np.arange(3) * 3]) == [(0, 2), ()]


def test_a_number_is_compared_by_half_the_squared_error():
    outputs, wanted = torch.tensor([[1.0], [4.0]]), torch.tensor([3.0, 4.5])
    assert loss_at(*at_targets(outputs, wanted)).item() == pytest.approx((4 + 0.25) / 4)
    assert summed_loss((outputs,), {"target/number": wanted}).item() == pytest.approx((4 + 0.25) / 2)
    assert answers((outputs,), {"target/number": wanted}, spec(NUMBER)) == ([1.0, 4.0], [3.0, 4.5])
    assert likeliest((NUMBER,), [outputs.numpy()], [np.arange(3)]) == [1.0, 4.0]


VECTOR = Output("vector", "text", 2, "vector")


def test_a_vector_picks_its_target_among_those_of_all_rows():
    # Both point at the first target, whose cosine is 1, and that of the second 3/5: 20 and 12 over the temperature.
    ours, wanted = torch.tensor([[2.0, 0.0], [0.5, 0.0]]), torch.tensor([[5.0, 0.0], [3.0, 4.0]])
    slack = np.log1p(np.exp(-8))
    assert contrast(ours, wanted).item() == pytest.approx((slack + 8 + slack) / 2, rel=1e-5)
    assert contrast(ours, wanted, "sum").item() == pytest.approx(8 + 2 * slack, rel=1e-5)
    assert contrast(ours, wanted, "none").tolist() == pytest.approx([slack, 8 + slack], rel=1e-3)
    rows, targets = at_targets(ours, wanted)
    assert rows is ours and targets is wanted
    assert loss_at(rows, targets) == contrast(ours, wanted)
    assert loss_at(rows, targets, reduction="sum", label_smoothing=0.1) == contrast(ours, wanted, "sum")
    assert summed_loss((ours,), {"target/vector": wanted}) == contrast(ours, wanted, "sum")


def test_rows_of_one_target_are_no_negatives_of_each_other():
    # The first two share a target; all look at the third's. It alone has negatives that are twice the same.
    wanted, ours = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 1.0]] * 3)
    expected = [20 + np.log1p(np.exp(-20)), 20 + np.log1p(np.exp(-20)), np.log1p(2 * np.exp(-20))]
    assert contrast(ours, wanted, "none").tolist() == pytest.approx(expected, abs=1e-5)
    alike = contrast(ours, torch.tensor([[3.0, 4.0]] * 3), "none")
    assert alike.tolist() == [0.0, 0.0, 0.0], "there is nothing to choose from"
    assert contrast(ours[:1], wanted[:1]).item() == 0


def test_targets_that_differ_a_little_are_negatives():
    angles = torch.tensor([0.0, 0.01])
    wanted = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert contrast(wanted, wanted).item() == pytest.approx(np.log(2), abs=1e-3)


@given(st.integers(1, 6), st.integers(2, 5), st.integers(0, 99), st.booleans())
def test_the_gradient_turns_vectors_and_leaves_their_length(rows, width, seed, twice):
    generator = torch.Generator().manual_seed(seed)
    ours, wanted = torch.randn(2, rows, width, generator=generator)
    wanted = torch.cat([wanted, wanted]) if twice else wanted
    ours = (torch.cat([ours, -ours]) if twice else ours).requires_grad_()
    contrast(ours, wanted, "sum").backward()
    assert torch.isfinite(ours.grad).all()
    assert (ours.grad * ours.detach()).sum(dim=1).abs().max() < 1e-3
    if rows > 1:
        assert ours.grad.abs().max() > 0


def test_a_step_along_the_gradient_makes_it_less():
    ours = torch.tensor([[1.0, 0.2], [0.9, 0.3]], requires_grad=True)
    wanted = torch.eye(2)
    before = contrast(ours, wanted)
    before.backward()
    assert contrast(ours.detach() - 0.01 * ours.grad, wanted) < before


def test_vectors_are_answers():
    outputs, wanted = torch.tensor([[1.0, 2.5], [-4.0, 0.5]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    found, right = answers((outputs,), {"target/vector": wanted}, spec(VECTOR))
    assert found == [(1.0, 2.5), (-4.0, 0.5)] and right == [(0.0, 1.0), (1.0, 0.0)]
    assert likeliest((VECTOR,), [outputs.numpy()], [np.arange(3)]) == found
    assert likeliest((VECTOR,), [outputs.numpy().astype(np.float16)], [np.arange(3)]) == found
    both = {"target/intent": BATCH["target/intent"], "target/vector": wanted}
    beside = answers((OUTPUTS[0], outputs), both, spec(LABEL, VECTOR))
    assert beside[0] == [(1, (1.0, 2.5)), (1, (-4.0, 0.5))]


@pytest.mark.parametrize(("value", "expected"), [
    (0.5, True), ((0.5, -1.0), True), ((0.0,), True), (1, False), ((0, 2), False), ((), False), ((1, (2, 0)), False),
])  # fmt: skip
def test_numbers_and_vectors_are_right_by_degrees(value, expected):
    assert by_degrees(value) is expected


@pytest.mark.parametrize(("name", "first"), [("next", 2), ("reply", 3)])
def test_the_next_token_is_judged_by_its_nats(name, first):
    """Of logits (0, ln 3) the second has probability 3/4; an end token is learned, not judged.

    What stands behind a text that is answered is no end: it may come in the answer.
    """
    logits = torch.tensor([[[0.0, math.log(3), -99.0]] * 3, [[0.0, math.log(3), -99.0]] * 3])
    targets = torch.tensor([[1, 0, 2], [1, IGNORED, IGNORED]])
    found, right = answers((logits,), {"target/next": targets}, writer(name))
    assert answers((logits[targets != IGNORED],), {"target/next": targets}, writer(name)) == (found, right)
    assert right == [(0.0, first), (0.0, 1)]
    assert [tokens for _, tokens in found] == [first, 1]
    unlikely = 99 + math.log(4)
    judged = math.log(4 / 3) + math.log(4) + (unlikely if name == "reply" else 0)
    assert [nats for nats, _ in found] == pytest.approx([judged, math.log(4 / 3)])


def test_what_writes_is_told_where_it_is_asked():
    ids, targets = torch.zeros(2, 3), torch.tensor([[IGNORED, 2, 0], [IGNORED, 1, IGNORED]])
    inputs = asked_inputs({"input_ids": ids, "rows": torch.arange(2), "target/next": targets}, writer("next"))
    assert list(inputs) == ["input_ids", "asked"] and inputs["asked"].sum(dim=1).tolist() == [2, 1]
    assert list(asked_inputs({"input_ids": ids}, writer("next"))) == ["input_ids"]  # texts that nobody answered
    assert list(asked_inputs(BATCH, spec(LABEL, TAGS))) == ["input_ids"]
