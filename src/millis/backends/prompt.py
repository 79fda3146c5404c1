"""A prompt of an encoder-decoder, taken apart: what the encoder reads, and what the decoder begins with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError


def source_length(tokens: NDArray[np.int64], starts: Sequence[int]) -> int:
    """How many of a prompt's tokens [K] the encoder reads: those before the last place of `starts`.

    Raises:
        MillisError: the decoder's first tokens are not among them, or nothing stands before.
    """
    wanted = np.array(starts, np.int64)
    for place in range(len(tokens) - len(wanted), -1, -1):
        if np.array_equal(tokens[place : place + len(wanted)], wanted):
            break
    else:
        raise MillisError(
            f"a prompt of {len(tokens)} tokens is without the {list(starts)} that the decoder begins with: expected "
            "the text and these behind it, as the artifact's own tokenizer puts them"
        )
    if not place:
        raise MillisError(
            f"a prompt holds no token before the {list(starts)} that the decoder begins with: the encoder has nothing "
            "to read. Give a text"
        )
    return place
