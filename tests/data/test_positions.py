"""Categories at positions: logits where targets ask, whatever kind of task they are of."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from millis.data.positions import answers, at_targets, likeliest, loss_at, summed_loss, targets_of
from millis.data.references import IGNORED
from millis.types import Output

LABEL, TAGS = Output("intent", "text", 2), Output("tags", "token", 3)
BATCH = {
    "input_ids": torch.zeros(2, 3),
    "target/intent": torch.tensor([1, 0]),
    "target/tags": torch.tensor([[IGNORED, 2, 0], [IGNORED, 1, IGNORED]]),
}


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
    found, right = answers(OUTPUTS, BATCH)
    assert found == [(1, (2, 1)), (1, (1,))]
    assert right == [(1, (2, 0)), (0, (1,))]
    alone = {name: value for name, value in BATCH.items() if name != "target/intent"}
    assert answers(OUTPUTS[1:], alone) == ([(2, 1), (1,)], [(2, 0), (1,)])
    alone = {name: value for name, value in BATCH.items() if name != "target/tags"}
    assert answers(OUTPUTS[:1], alone) == ([1, 1], [1, 0])


def test_kept_logits_give_the_same_answers():
    rows = [
        at_targets(logits, targets)[0].numpy()
        for logits, targets in zip(OUTPUTS, targets_of(BATCH).values(), strict=True)
    ]
    positions = (np.arange(3), np.array([0, 2, 3]))
    assert likeliest((LABEL, TAGS), rows, positions) == answers(OUTPUTS, BATCH)[0]
    assert likeliest((LABEL,), rows[:1], positions[:1]) == [1, 1]
    assert likeliest((TAGS,), rows[1:], positions[1:]) == [(2, 1), (1,)]


@given(st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=1, max_size=5))
def test_perfect_logits_give_perfect_answers(tags):
    length = max(map(len, tags)) + 1
    targets = torch.full((len(tags), length), IGNORED)
    for row, values in enumerate(tags):
        targets[row, 1 : 1 + len(values)] = torch.tensor(values, dtype=torch.int64)
    logits = one_hot(targets.clamp(min=0).tolist(), 3)
    found, right = answers((logits,), {"target/tags": targets})
    assert found == right == [tuple(values) for values in tags]


SEVERAL, NUMBER = Output("labels", "text", 3, "each"), Output("number", "text", 1, "value")


def test_several_labels_are_so_many_questions_of_two_categories():
    logits, wanted = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, -3.0]]), torch.tensor([[1, 0, 0], [0, 1, 1]]).bool()
    rows, targets = at_targets(logits, wanted)
    assert rows.tolist() == [[0, 2], [0, -1], [0, 0.5], [0, 0], [0, 0], [0, -3]]
    assert targets.tolist() == [1, 0, 0, 0, 1, 1]
    expected = F.binary_cross_entropy_with_logits(logits, wanted.float())
    assert loss_at(rows, targets).item() == pytest.approx(expected.item(), rel=1e-6)
    assert answers((logits,), {"target/labels": wanted}) == ([(0, 2), ()], [(0,), (1, 2)])
    assert likeliest((SEVERAL,), [rows.numpy()], [np.arange(3) * 3]) == [(0, 2), ()]


def test_a_number_is_compared_by_half_the_squared_error():
    outputs, wanted = torch.tensor([[1.0], [4.0]]), torch.tensor([3.0, 4.5])
    assert loss_at(*at_targets(outputs, wanted)).item() == pytest.approx((4 + 0.25) / 4)
    assert summed_loss((outputs,), {"target/number": wanted}).item() == pytest.approx((4 + 0.25) / 2)
    assert answers((outputs,), {"target/number": wanted}) == ([1.0, 4.0], [3.0, 4.5])
    assert likeliest((NUMBER,), [outputs.numpy()], [np.arange(3)]) == [1.0, 4.0]
