"""The teacher: fine-tuned once for each fingerprint, then read from its artifact."""

import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn

from millis.backends import eager
from millis.backends.artifact import write_artifact
from millis.data.batches import Rows
from millis.data.dataset import Split
from millis.data.encode import Encoded, encode
from millis.data.positions import answers, asked_inputs
from millis.described import described
from millis.distillation.teacher_cache import TeacherLogits, teacher_logits
from millis.errors import MillisError
from millis.models import max_length
from millis.models.outputs import each
from millis.models.tokenizer import AnyTokenizer, longest, pad_id
from millis.pipeline import keys, second_try
from millis.pipeline.fine_tuning import FineTuning
from millis.pipeline.inputs import Inputs, read_inputs
from millis.pipeline.place import Place
from millis.pipeline.pretraining import pretrain, pretraining_note, read_texts
from millis.pipeline.tracker import TEACHER, tracked
from millis.pipeline.trained_once import trained_once
from millis.storage.manifest import Manifest, open_manifest
from millis.store import cached, fingerprint
from millis.tracking import Model
from millis.training.adapters import merge
from millis.training.fit import Fitted, seed_everything
from millis.training.module import TextModule

_opened: dict[str, "Teacher"] = {}  # a sweep asks for its teacher in every trial


@dataclass(frozen=True)
class Teacher:
    """A fine-tuned teacher and the data it was fine-tuned on.

    Args:
        folder: Its artifact (eager fp32): the reference of every measurement.
        fitted: How its training went.
        note, read: What a reader of its record should know of its training, and of what its encoder read before; empty
            where there is nothing.
    """

    inputs: Inputs
    fingerprint: str
    folder: Path
    fitted: Fitted
    note: str = ""
    read: str = ""

    @cached_property
    def manifest(self) -> Manifest:
        """Of the artifact; its checksums are verified here, once."""
        with cached(self.folder):
            return open_manifest(self.folder)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Shared by every student."""
        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    @cached_property
    def module(self) -> nn.Module:
        """The model, in evaluation mode."""
        return eager.load(self.folder, self.manifest, torch.get_num_threads()).model

    @property
    def pad_id(self) -> int:
        """Token id of padding."""
        return pad_id(self.tokenizer)

    @property
    def word_table(self) -> NDArray[np.float32]:
        """Its word vectors, [V, D]: what augmentation finds neighbours in."""
        module: Any = self.module
        table: NDArray[np.float32] = module.encoder.get_input_embeddings().weight.detach().numpy()
        return table

    def encoded(self, split: Split, tokenizer: AnyTokenizer | None = None) -> Encoded:
        """A split's token ids, under a student's own `tokenizer` where it has one."""
        chosen = self.tokenizer if tokenizer is None else tokenizer
        length = longest(chosen, self.manifest.max_length)
        return encode(split, chosen, length, self.inputs.cache / "tokens", self.inputs.task)

    def logits(self, split: Split) -> TeacherLogits:
        """Its outputs on every text of a split, computed once."""
        own = split is self.inputs.dataset.train
        asked = [*split.texts, *map(repr, split.references)]  # what is learned at a text's tokens may be its reference
        of = self.fingerprint if own else keys.answers(self.fingerprint, asked)
        path = self.inputs.cache / "teacher_logits" / f"{of}.npz"
        return teacher_logits(self.module, self.encoded(split), self.pad_id, path)


def ensure_teacher(tuning: FineTuning, place: Place) -> Teacher:
    """The teacher that `tuning` asks for: trained now, continued from its last epoch, or read where it lies already.

    One that learned nothing is trained a second time (`millis.pipeline.second_try`); the better one is returned.
    """
    if tuning.search is not None:
        best = tuning.search(tuning, lambda way: _ensured(way, place)[0].fitted)
        return ensure_teacher(best, place)
    first, name = _ensured(tuning, place)
    again = None if second_try.learned(first.fitted, first.inputs) else second_try.slower(tuning)
    if again is None:
        return first
    second, other = _ensured(again, place, second_try.reason(first.fitted, tuning))
    better, name = (second, other) if second.fitted.quality > first.fitted.quality else (first, name)
    if not better.note:
        note = second_try.note(first.fitted, second.fitted, tuning)
        better = _opened[name] = replace(better, note=note)
    return better


def _ensured(tuning: FineTuning, place: Place, reason: str = "") -> tuple[Teacher, str]:
    """One try at a teacher, and what it is opened as; `reason` is printed before it is trained."""
    inputs = read_inputs(tuning.data, tuning.task, place.cache)
    key = keys.teacher(tuning, inputs)
    folder = inputs.cache / "teacher" / key
    checkpoints = folder.with_suffix(".checkpoints")

    def train() -> Fitted:
        if reason:
            print(reason, file=sys.stderr, flush=True)
        return _train(tuning, place, inputs, folder, key, checkpoints)

    fitted = trained_once(folder, "the teacher, which another process trains", checkpoints, train)
    name = fingerprint(str(folder), described(tuning.task), described(tuning.data))
    if name not in _opened:
        teacher = Teacher(inputs, key, folder, fitted)
        length = 0 if tuning.pretraining is None else teacher.manifest.max_length
        _opened[name] = replace(teacher, read=pretraining_note(tuning, inputs, length))
    return _opened[name], name


def _train(tuning: FineTuning, place: Place, inputs: Inputs, folder: Path, key: str, checkpoints: Path) -> Fitted:
    dataset, task = inputs.dataset, inputs.task
    seed_everything(tuning.seed)
    model, tokenizer = tuning.model(task.outputs, read_texts(tuning, inputs), dataset.labels)
    length = min(task.max_length, max_length(model.spec))
    if tuning.pretraining is not None:
        pretrain(tuning, inputs, place, model, tokenizer, length)
    train, validation = (
        encode(split, tokenizer, length, inputs.cache / "tokens", task) for split in (dataset.train, dataset.validation)
    )
    objective = tuning.objective.objective(train)
    module = TextModule(model, objective, tuning.optimizer.over(dataset.pairs), inputs.validation_score)
    said = {**place.said, **tuning.described}
    manifest = Manifest(
        name=f"teacher {dataset.name}", backend=eager.Eager.name, spec=model.spec, task=task.described(),
        inputs=dataset.inputs, max_length=length, recipe=said, fingerprint=key,
    )  # fmt: skip
    if not tuning.trainer.trains:
        fitted = _as_it_is(model, Rows(validation, pad_id(tokenizer)), inputs)
        write_artifact(folder, model, tokenizer, eager.Eager(), manifest, None, carried=task.carried(inputs.cache))
        return fitted
    callbacks = [] if tuning.adapter is None else tuning.adapter.wrap(model)
    with tracked(place.tracker, f"teacher-{key[:6]}", TEACHER, said) as kept:
        fitted = tuning.trainer(
            module, train, validation, pad_id(tokenizer),
            folder=checkpoints, seed=tuning.seed, title=f"teacher ({dataset.name})", logger=kept.logger,
            callbacks=callbacks,
        )  # fmt: skip
        if tuning.adapter is not None:
            merge(model)
        write_artifact(folder, model, tokenizer, eager.Eager(), manifest, None, carried=task.carried(inputs.cache))
        if kept.run:
            kept.run.made(tracked_model(folder, key))
    return fitted


@torch.inference_mode()
def _as_it_is(model: Any, rows: Rows, inputs: Inputs) -> Fitted:
    """What a finished classifier is worth without training.

    Raises:
        MillisError: its classifier is a fresh one.
    """
    fresh = any(output.choice not in ("vector", "next") for output in inputs.task.outputs)
    if fresh and model.spec.pooler is None:
        raise MillisError(
            "teacher.trainer.max_epochs=0 takes the model as it is, but its classifier is fresh: expected one whose "
            f"own classifier has the data's labels ({', '.join(inputs.dataset.labels[:5])}). Train for 1 epoch or more"
        )
    model.eval()
    batches = map(rows.__getitem__, range(len(rows)))
    pairs = [answers(each(model(**asked_inputs(batch, model.spec))), batch, model.spec) for batch in batches]
    found, right = ([answer for (answer,) in column] for column in zip(*pairs, strict=True))
    return Fitted(inputs.validation_score(found, right), 0, 0.0, [])


def tracked_model(folder: Path, key: str) -> Model:
    """The teacher as tracked runs name it."""
    return Model("teacher", f"teacher-{key[:12]}", folder)
