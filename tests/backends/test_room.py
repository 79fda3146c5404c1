import pytest

from millis.backends.room import check_room
from millis.errors import MillisError


def test_there_is_room_up_to_the_last_token():
    check_room(0, 8, 8)
    check_room(7, 1, 8)


@pytest.mark.parametrize(("length", "more"), [(0, 9), (8, 1), (3, 0)])
def test_tokens_without_room_are_refused(length, more):
    with pytest.raises(MillisError) as caught:
        check_room(length, more, 8)
    assert str(caught.value) == (
        f"a continuation with room for 8 tokens has read {length} and got {more} more: expected 1 to {8 - length}. "
        "Begin it with more room"
    )
