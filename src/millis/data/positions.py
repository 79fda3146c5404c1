"""Categories at positions: the logits that targets are about, whichever task asks for them.

A text has one row of logits for its label and one for each of its words. Whatever compares logits (cross-entropy,
divergences, Fisher information) takes the rows at the targets that are not ignored, [M, C], and need not know of which
kind they are.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from millis.data.batches import Batch
from millis.data.encode import TARGETS
from millis.data.references import IGNORED
from millis.types import Output


def targets_of(batch: Batch) -> dict[str, Tensor]:
    """Output → its targets, in order: [B] per text, [B, S] per token."""
    return {name.removeprefix(TARGETS): value for name, value in batch.items() if name.startswith(TARGETS)}


def at_targets(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets of the positions that are asked about, row after row of the batch, [M, C] and [M]."""
    if targets.dim() == 1:
        return logits, targets
    asked = targets != IGNORED
    return logits[asked], targets[asked]


def summed_loss(outputs: Sequence[Tensor], batch: Batch) -> Tensor:
    """Σ over texts, outputs and positions of the cross-entropy: each text's gradient is as it is on its own."""
    every = zip(outputs, targets_of(batch).values(), strict=True)
    first, *others = [F.cross_entropy(*at_targets(*one), reduction="sum") for one in every]
    return sum(others, start=first)


def answers(outputs: Sequence[Tensor], batch: Batch) -> tuple[list[Any], list[Any]]:
    """Of each text the likeliest categories and the right ones, both as `likeliest` has them."""
    found, right = [], []
    for logits, targets in zip(outputs, targets_of(batch).values(), strict=True):
        chosen = logits.argmax(-1).cpu()
        if targets.dim() == 1:
            found.append(chosen.tolist())
            right.append(targets.tolist())
        else:
            asked = (targets != IGNORED).cpu()
            found.append([tuple(row[at].tolist()) for row, at in zip(chosen, asked, strict=True)])
            right.append([tuple(row[at].tolist()) for row, at in zip(targets.cpu(), asked, strict=True)])
    return joined(found), joined(right)


def likeliest(
    outputs: Sequence[Output], logits: Sequence[NDArray[np.float32]], positions: Sequence[NDArray[np.int64]]
) -> list[Any]:
    """The likeliest categories of each text: an index per text, or a tuple with one for each word; of several outputs a
    tuple of these.

    Args:
        logits: Of each output, at its targets that are not ignored, [M, C].
        positions: Of each output, where each text's lie among these (`Encoded.positions`), [N + 1].
    """
    columns: list[list[Any]] = []
    for output, rows, ends in zip(outputs, logits, positions, strict=True):
        found = rows.argmax(axis=1).tolist()
        words = [tuple(found[start:end]) for start, end in pairwise(ends.tolist())]
        columns.append(found if output.per == "text" else words)
    return joined(columns)


def joined(columns: Sequence[list[Any]]) -> list[Any]:
    """A list for each output to one value a text: of one output its own, of several a tuple."""
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
