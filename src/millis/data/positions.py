"""Categories at positions: the logits that targets are about, whichever task asks for them.

A text has one row of logits for its label and one for each of its words. Which of several labels it has are so many
questions of two categories: a logit z is the row (0, z), whose softmax is the sigmoid of z. Whatever compares logits
(cross-entropy, divergences, Fisher information) takes the rows at the targets that are not ignored, [M, C], and need
not know of which kind they are. A number is a row of one value, which is no logit: squared errors compare it. A vector
is a row too, and its target another: angles compare them.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from millis.data.batches import Batch, model_inputs
from millis.data.encode import TARGETS
from millis.data.references import IGNORED
from millis.models.outputs import replies, writes
from millis.models.spec import Spec
from millis.types import Output

TEMPERATURE = 0.05  # of cosines, as in SimCSE (Gao et al. 2021, 2104.08821)
ALIKE = 1e-5  # by which the cosine of one target with itself may be off 1


def targets_of(batch: Batch) -> dict[str, Tensor]:
    """Output → its targets, in order: [B] per text, [B, S] per token."""
    return {name.removeprefix(TARGETS): value for name, value in batch.items() if name.startswith(TARGETS)}


def asked_inputs(batch: Batch, spec: Spec) -> Batch:
    """What a model's `forward` takes, so that one that writes gives logits at targets alone, [M, V].

    A vocabulary's logits at every token of a batch are most of what would be computed, kept and forgotten again.

    Args:
        spec: Of the model.
    """
    inputs, targets = model_inputs(batch), targets_of(batch)
    if targets and writes(spec.outputs):
        (of_tokens,) = targets.values()
        inputs["asked"] = of_tokens != IGNORED
    return inputs


def at_targets(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets of the positions that are asked about, row after row of the batch, [M, C] and [M].

    Args:
        logits: [B, C] per text, [B, S, C] per token, or [M, C] where a model was told of them (`asked_inputs`).
        targets: Integers [B] or [B, S]; truth values [B, C]; numbers [B]; vectors [B, C].
    """
    if targets.dtype == torch.bool:
        rows = logits.reshape(-1, 1)
        return torch.cat([torch.zeros_like(rows), rows], dim=1), targets.reshape(-1).long()
    if targets.dim() == 1 or targets.is_floating_point():
        return logits, targets
    asked = targets != IGNORED
    return logits if logits.dim() == 2 else logits[asked], targets[asked]


def loss_at(logits: Tensor, targets: Tensor, **settings: Any) -> Tensor:
    """Cross-entropy of logits [M, C] with targets [M]; of numbers half the squared error, of vectors `contrast`.

    Args:
        settings: As `torch.nn.functional.cross_entropy` takes them; of numbers and vectors `reduction` alone is read.
    """
    if targets.dim() == 2:
        return contrast(logits, targets, settings.get("reduction", "mean"))
    if targets.is_floating_point():
        return F.mse_loss(logits.squeeze(1), targets, reduction=settings.get("reduction", "mean")) / 2
    return F.cross_entropy(logits, targets, **settings)


def contrast(vectors: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of picking a row's own target among those of all rows, by cosines over a temperature.

    InfoNCE with the other rows' targets as negatives (van den Oord et al. 2018, 1807.03748; of texts, Henderson et al.
    2017, 1705.00652). Rows of one target are no negatives of each other.

    Args:
        vectors, targets: [M, C].
    """
    with torch.autocast(vectors.device.type, enabled=False):  # bf16 tells no cosines apart that are near 1
        ours, theirs = F.normalize(vectors.float(), dim=1), F.normalize(targets.float(), dim=1)
        alike = (theirs @ theirs.T > 1 - ALIKE).fill_diagonal_(fill_value=False)
        cosines = (ours @ theirs.T / TEMPERATURE).masked_fill(alike, float("-inf"))
    return F.cross_entropy(cosines, torch.arange(len(ours), device=ours.device), reduction=reduction)


def summed_loss(outputs: Sequence[Tensor], batch: Batch) -> Tensor:
    """Σ over texts, outputs and positions of the loss: each text's gradient is as it is on its own."""
    every = zip(outputs, targets_of(batch).values(), strict=True)
    first, *others = [loss_at(*at_targets(*one), reduction="sum") for one in every]
    return sum(others, start=first)


def answers(outputs: Sequence[Tensor], batch: Batch, spec: Spec) -> tuple[list[Any], list[Any]]:
    """What each text is answered and what is right, both as `likeliest` has it.

    Where the next token is asked for, the answer is (nats, tokens), and right is what has no nats.

    Args:
        spec: Of the model that gave `outputs`.
    """
    found: list[list[Any]] = []
    right: list[list[Any]] = []
    for logits, targets, output in zip(outputs, targets_of(batch).values(), spec.outputs, strict=True):
        if output.choice == "next":
            # What stands behind a text ends it; behind one that is answered it begins the answer.
            likely = _likelihoods(logits, targets, () if replies(spec.outputs) else spec.around[1])
            found.append(likely)
            right.append([(0.0, tokens) for _, tokens in likely])
            continue
        chosen = (logits[..., 0] if targets.is_floating_point() else logits.argmax(-1)).cpu()
        if targets.dtype == torch.bool:
            found.append(_sets((logits > 0).cpu()))
            right.append(_sets(targets.cpu()))
        elif targets.is_floating_point() and targets.dim() == 2:
            found.append(list(map(tuple, logits.float().tolist())))
            right.append(list(map(tuple, targets.tolist())))
        elif targets.dim() == 1:
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
    """The likeliest answer to each text: the index of a category, a tuple with one for each word, a tuple of the
    categories that it has, a number, or a vector as a tuple; of several outputs a tuple of these.

    Args:
        logits: Of each output, at its targets that are not ignored, [M, C].
        positions: Of each output, where each text's lie among these (`Encoded.positions`), [N + 1].
    """
    columns: list[list[Any]] = []
    for output, rows, ends in zip(outputs, logits, positions, strict=True):
        if output.choice == "value":
            columns.append(rows[:, 0].tolist())
            continue
        if output.choice == "vector":
            columns.append(list(map(tuple, rows.astype(np.float32).tolist())))
            continue
        found = rows.argmax(axis=1)
        if output.choice == "each":
            columns.append(_sets(found.reshape(-1, output.width).astype(bool)))
        elif output.per == "text":
            columns.append(found.tolist())
        else:
            columns.append([tuple(found[start:end].tolist()) for start, end in pairwise(ends.tolist())])
    return joined(columns)


def by_degrees(value: Any) -> bool:
    """Whether a target is right or wrong by degrees alone: a number, or a vector."""
    return isinstance(value[0] if isinstance(value, tuple) and value else value, float)


def joined(columns: Sequence[list[Any]]) -> list[Any]:
    """A list for each output to one value a text: of one output its own, of several a tuple."""
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def _likelihoods(logits: Tensor, targets: Tensor, ends: Sequence[int]) -> list[tuple[float, int]]:
    """Nats and number of each text's tokens, but for those in `ends`, [B]."""
    judged = targets != IGNORED
    nats = torch.zeros(targets.shape, device=logits.device)
    nats[judged] = F.cross_entropy(at_targets(logits, targets)[0].float(), targets[judged], reduction="none")
    for token in ends:
        judged &= targets != token
    nats[~judged] = 0.0
    return list(zip(nats.sum(dim=1).tolist(), judged.sum(dim=1).tolist(), strict=True))


def _sets(chosen: Any) -> list[tuple[int, ...]]:
    """Truth values [N, C] to the indices of those that are true."""
    return [tuple(np.flatnonzero(row).tolist()) for row in np.asarray(chosen)]
