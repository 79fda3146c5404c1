"""What a continuation may be asked: how many tokens, and which. Every runtime that writes asks here."""

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError


def check_begun(room: int, longest: int | None = None) -> None:
    """Refuse a text without room for a token, or with more than a model has positions for.

    Args:
        longest: Most tokens that the model reads; None where that is not limited.

    Raises:
        MillisError: says how many may be.
    """
    if room < 1 or (longest is not None and room > longest):
        most = "at least 1" if longest is None else f"1 to {longest}, which the model reads"
        raise MillisError(f"a text is begun with room for {room} tokens; expected {most}")


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


def check_ids(tokens: NDArray[np.int64], vocabulary: int) -> None:
    """Refuse ids that are none of the vocabulary.

    Args:
        tokens: [K], K at least 1.

    Raises:
        MillisError: names one.
    """
    wrong = tokens[(tokens < 0) | (tokens >= vocabulary)]
    if len(wrong):
        raise MillisError(
            f"token id {wrong[0]} is outside of the model's vocabulary of {vocabulary}: use the artifact's own "
            "tokenizer"
        )


def check_rewind(length: int, read: int) -> None:
    """Refuse to forget down to more tokens than were read.

    Raises:
        MillisError: says how many there are.
    """
    if not 0 <= length <= read:
        raise MillisError(f"cannot rewind to {length} tokens; expected 0 to {read}, which were read")
