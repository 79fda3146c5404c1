"""Quality on the very path that is deployed: every text goes through the runner, one at a time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from millis.backends.runner import Runner
from millis.types import Text


class Answers(NamedTuple):
    """What a runner says to N texts.

    Args:
        predictions: Label indices, [N].
        logits: [N, C].
        truncated: How many texts were longer than the model takes.
    """

    predictions: list[int]
    logits: NDArray[np.float32]
    truncated: int


def answer(runner: Runner, texts: Sequence[Text], progress: Callable[[int], object] | None = None) -> Answers:
    """Put `texts` through `runner`.

    Args:
        runner: The artifact as deployed.
        texts: N texts.
        progress: Called with the number of texts answered so far, after each.
    """
    logits = np.empty((len(texts), len(runner.labels)), np.float32)
    truncated = 0
    for row, text in enumerate(texts):
        encoding = runner.tokenize(text)
        truncated += bool(encoding.overflowing)
        logits[row] = runner.compute(runner.feed(encoding))[0]
        if progress is not None:
            progress(row + 1)
    return Answers(logits.argmax(axis=1).tolist(), logits, truncated)
