import numpy as np
import pytest

from millis.backends.room import check_begun, check_ids, check_rewind, check_room
from millis.errors import MillisError


def refusal(check, *asked):
    with pytest.raises(MillisError) as caught:
        check(*asked)
    return str(caught.value)


def test_what_there_is_room_for():
    check_begun(1)
    check_begun(8, 8)
    check_room(0, 8, 8)
    check_room(7, 1, 8)
    check_ids(np.array([0, 4]), 5)
    check_rewind(0, 0)
    check_rewind(3, 3)


@pytest.mark.parametrize(("length", "more"), [(0, 9), (8, 1), (3, 0)])
def test_tokens_without_room_are_refused(length, more):
    assert refusal(check_room, length, more, 8) == (
        f"a continuation with room for 8 tokens has read {length} and got {more} more: expected 1 to {8 - length}. "
        "Begin it with more room"
    )


def test_a_text_begins_with_room_for_a_token_and_no_more_than_the_model_reads():
    assert refusal(check_begun, 0) == "a text is begun with room for 0 tokens; expected at least 1"
    for room in (0, 9):
        assert refusal(check_begun, room, 8) == (
            f"a text is begun with room for {room} tokens; expected 1 to 8, which the model reads"
        )


@pytest.mark.parametrize("wrong", [-1, 5])
def test_an_id_of_no_token_is_refused(wrong):
    assert refusal(check_ids, np.array([4, wrong, 0]), 5) == (
        f"token id {wrong} is outside of the model's vocabulary of 5: use the artifact's own tokenizer"
    )


@pytest.mark.parametrize("length", [-1, 4])
def test_more_than_was_read_is_not_kept(length):
    assert refusal(check_rewind, length, 3) == (f"cannot rewind to {length} tokens; expected 0 to 3, which were read")
