"""The room of a continuation: how many tokens may be read."""

from millis.errors import MillisError


def check_room(length: int, more: int, room: int) -> None:
    """Refuse tokens that there is no room for.

    Raises:
        MillisError: says how many there are.
    """
    if not 1 <= more <= room - length:
        raise MillisError(
            f"a continuation with room for {room} tokens has read {length} and got {more} more: expected 1 to "
            f"{room - length}. Begin it with more room"
        )
