"""Batches that the student answers itself (`millis.distillation.on_policy`)."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from millis import models
from millis.data.batches import Batch
from millis.data.encode import TARGETS
from millis.data.references import IGNORED
from millis.models.outputs import replies
from millis.models.sampling import sampled


class OwnAnswers(pl.Callback):
    """Puts the student's own answers in the place of the data's, in a share of the batches; what is drawn follows the
    seed of the epoch (`Noise`).

    Args:
        share: Of the batches.
        pad_id: Token id of padding.
    """

    def __init__(self, share: float, pad_id: int) -> None:
        self.share, self.pad_id = share, pad_id

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Batch, *_: Any) -> None:
        """Rewrite token ids, mask, types and targets; what the teacher says of them is added afterwards."""
        if float(torch.rand(())) < self.share:
            batch.update(answered(pl_module.model, batch, self.pad_id))


def answered(model: Any, batch: Batch, pad_id: int) -> Batch:
    """What changes in `batch` where the student `model` answers it.

    Of a text in answer to another the prompt is what is read; of one that goes on it is the first half, as
    `millis.tasks.language_model` has it. No answer is longer than the longest of the data's in the batch. A text whose
    answer was cut off whole is left without targets.
    """
    (name,) = (key for key in batch if key.startswith(TARGETS))
    ids, targets, lengths = batch["input_ids"], batch[name], batch["attention_mask"].sum(dim=1)
    asked = targets != IGNORED
    replied = replies(model.spec.outputs)
    reading = asked.long().argmax(dim=1) + 1 if replied else (lengths + 1) // 2
    reading = torch.where(asked.any(dim=1), reading, lengths)
    longest = int((asked.sum(dim=1) if replied else lengths - reading).max())
    most = min(longest, models.max_length(model.spec) - int(reading.max()))
    if most < 1:
        return {}
    mask = torch.arange(int(reading.max()), device=ids.device) < reading[:, None]
    prompts = ids[:, : mask.shape[1]].masked_fill(~mask, pad_id)
    own, kept = sampled(model, prompts, mask.long(), most)
    kept &= asked.any(dim=1)[:, None]
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    for row, begin in enumerate(reading.tolist()):
        tokens = own[row][kept[row]]
        wanted = ids.new_full((begin + len(tokens),), IGNORED)
        wanted[begin - 1 : begin - 1 + len(tokens)] = tokens
        types = torch.cat([torch.zeros_like(ids[row, :begin]), torch.ones_like(tokens)])
        rows.append((torch.cat([ids[row, :begin], tokens]), wanted, types))
    texts, wanted_of, types_of = ([*column] for column in zip(*rows, strict=True))
    changed = {
        "input_ids": pad_sequence(texts, batch_first=True, padding_value=pad_id),
        "attention_mask": pad_sequence([torch.ones_like(text) for text in texts], batch_first=True),
        name: pad_sequence(wanted_of, batch_first=True, padding_value=IGNORED),
    }
    if "token_type_ids" in batch:
        changed["token_type_ids"] = pad_sequence(types_of, batch_first=True)
    return changed
