"""Slots are used again where nothing reads them any more, and never before."""

from millis.backends.plan.slots import reused
from millis.backends.plan.steps import AddNorm, Linear, Matrix, Norm, Slot

MATRIX, NORM = Matrix(4, 4, "fp32", 0), Norm(0, 0, 1e-5)


def test_a_chain_of_products_takes_two_places():
    slots = [Slot("token", width) for width in (4, 8, 2, 16)]
    found, steps = reused(slots, [Linear(0, 1, MATRIX), Linear(1, 2, MATRIX), Linear(2, 3, MATRIX)])
    # 0 is free once 1 is written and read into it as 2; 3 takes the place of 1, which becomes 16 wide.
    assert [(step.source, step.out) for step in steps] == [(0, 1), (1, 0), (0, 1)]
    assert found == [Slot("token", 4), Slot("token", 16)]


def test_a_residual_is_kept_until_it_is_added():
    slots = [Slot("token", 4)] * 4
    _, steps = reused(slots, [Linear(0, 1, MATRIX), Linear(1, 2, MATRIX), AddNorm(0, 3, 4, NORM, source=2)])
    assert (steps[1].source, steps[1].out) == (1, 2)  # not 0, which the sum reads
    assert (steps[2].residual, steps[2].source, steps[2].out) == (0, 2, 1)


def test_tokens_and_texts_share_no_place():
    slots = [Slot("token", 4), Slot("token", 4), Slot("text", 4), Slot("text", 4)]
    found, _ = reused(slots, [Linear(0, 1, MATRIX), Linear(2, 3, MATRIX)])
    assert [slot.per for slot in found] == ["token", "token", "text", "text"]
