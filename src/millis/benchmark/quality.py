"""Quality on the path that is deployed: every text goes through the runner's own stages.

An int8 model is asked one text at a time, for its activations get their range from whatever is computed together. In
fp32 rows do not touch each other, so texts of equal length share a pass: no padding, the same answer to the last few
bits, and a third of the time.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from millis.serving.reader import stack
from millis.serving.runner import Runner
from millis.types import Features, Outputs, Text

TOGETHER = 32  # texts a pass: enough to fill the arithmetic units, little memory


class Answers(NamedTuple):
    """What a runner says to N texts.

    Args:
        predictions: Values of the answers (`millis.tasks.contract.Answer.value`), [N].
        outputs: The model's, [N].
        truncated: How many texts were longer than the model takes.
        steps: How many of the model's steps each text took, [N]; all 1 where it answers in one piece.
    """

    predictions: list[Any]
    outputs: list[Outputs]
    truncated: int
    steps: NDArray[np.int64]


def answer(runner: Runner, texts: Sequence[Text]) -> Answers:
    """Put N `texts` through `runner`."""
    encodings = [runner.tokenize(text) for text in texts]
    features = [runner.feed(encoding) for encoding in encodings]
    outputs: list[Outputs] = [()] * len(texts)
    steps = np.empty(len(texts), np.int64)
    together = TOGETHER if runner.manifest.quantization is None else 1
    for rows in _equally_long(features, together):
        given, steps[rows] = runner.answer(stack([features[row] for row in rows]))
        for place, row in enumerate(rows):
            outputs[row] = tuple(array[place : place + 1] for array in given)
    truncated = sum(bool(encoding.overflowing) for encoding in encodings)
    predictions = [runner.decode(*pair).value() for pair in zip(outputs, encodings, strict=True)]
    return Answers(predictions, outputs, truncated, steps)


def _equally_long(features: Sequence[Features], together: int) -> Iterator[list[int]]:
    """Rows of one length and one mask, at most `together` of them."""
    groups: dict[tuple[int, bool], list[int]] = {}
    for row, one in enumerate(features):
        groups.setdefault((one.ids.shape[1], bool(one.mask.all())), []).append(row)
    for rows in groups.values():
        yield from (rows[i : i + together] for i in range(0, len(rows), together))
