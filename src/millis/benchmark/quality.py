"""Quality on the path that is deployed: every text goes through the runner's own stages.

An int8 model is asked one text at a time, for its activations get their range from whatever is computed together. In
fp32 rows do not touch each other, so texts of equal length share a pass: no padding, the same answer to the last few
bits, and a third of the time.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from millis.serving.one_pass import Runner
from millis.serving.reader import stack
from millis.serving.writer import Writer
from millis.types import Features, Output, Outputs, Text

TOGETHER = 32  # texts a pass: enough to fill the arithmetic units, little memory
KEPT = 256  # texts whose outputs are kept, to compare them: label agreement in steps of 0.4 %
BYTES = 2**28  # that outputs kept, or of one pass, may take: over a vocabulary each token has thousands


class Answers(NamedTuple):
    """What a runner says to N texts.

    Args:
        predictions: Values of the answers (`millis.tasks.contract.Answer.value`), [N].
        outputs: The model's on the first texts, `KEPT` or as many as fit in `BYTES`, at least one; none where what is
            written is judged.
        truncated: How many texts were longer than the model takes.
        steps: How many of the model's steps each text took, [N]; all 1 where it answers in one piece.
    """

    predictions: list[Any]
    outputs: list[Outputs]
    truncated: int
    steps: NDArray[np.int64]


def answer(runner: Runner, texts: Sequence[Text]) -> Answers:
    """Put N `texts` through `runner`."""
    if runner.judged_as_written:
        writer = cast(Writer, runner)
        written = [writer.replied(text).value() for text in texts]
        return Answers(written, [], sum(map(bool, map(writer.cut, texts))), np.ones(len(texts), np.int64))
    encodings = [runner.tokenize(text) for text in texts]
    features = [runner.feed(encoding) for encoding in encodings]
    sizes = np.array([_output_bytes(one, runner.manifest.signature.outputs) for one in features], np.int64)
    kept = max(1, min(KEPT, int(np.searchsorted(sizes.cumsum(), BYTES, side="right"))))
    outputs: list[Outputs] = [()] * min(kept, len(texts))
    predictions: list[Any] = [None] * len(texts)
    steps = np.empty(len(texts), np.int64)
    together = TOGETHER if runner.manifest.quantization is None else 1
    for rows in _equally_long(features, sizes, together):
        given, steps[rows] = runner.answer(stack([features[row] for row in rows]))
        for place, row in enumerate(rows):
            own = tuple(array[place : place + 1] for array in given)
            predictions[row] = runner.decode(own, encodings[row]).value()
            if row < kept:
                outputs[row] = own
    truncated = sum(bool(encoding.overflowing) for encoding in encodings)
    return Answers(predictions, outputs, truncated, steps)


def _output_bytes(features: Features, outputs: Sequence[Output]) -> int:
    """What the outputs of a text take."""
    tokens = features.ids.shape[1]
    return sum(4 * output.width * (tokens if output.per == "token" else 1) for output in outputs)


def _equally_long(features: Sequence[Features], sizes: NDArray[np.int64], together: int) -> Iterator[list[int]]:
    """Rows of one length and one mask, at most `together` of them, and no more than whose outputs fit."""
    groups: dict[tuple[int, bool], list[int]] = {}
    for row, one in enumerate(features):
        groups.setdefault((one.ids.shape[1], bool(one.mask.all())), []).append(row)
    for rows in groups.values():
        most = max(1, min(together, BYTES // max(1, int(sizes[rows[0]]))))
        yield from (rows[i : i + most] for i in range(0, len(rows), most))
