"""The teacher: fine-tuned once for each fingerprint, then read from its artifact."""

import json
import sys
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from tokenizers import Tokenizer
from torch import nn

from millis import __version__
from millis.backends import eager
from millis.backends.artifact import write_artifact
from millis.cli.pipeline import second_try
from millis.cli.pipeline.inputs import Inputs, load_inputs, plain
from millis.cli.pipeline.tracked import TEACHER, tracked
from millis.cli.targets import instantiate
from millis.data.batches import Rows, model_inputs
from millis.data.dataset import Split
from millis.data.encode import Encoded, encode
from millis.data.positions import answers
from millis.distillation.teacher_cache import TeacherLogits, teacher_logits
from millis.errors import MillisError
from millis.models import max_length
from millis.models.outputs import each
from millis.models.tokenizer import AnyTokenizer, longest
from millis.storage.manifest import Manifest, open_manifest
from millis.store import cached, file_sha256, fingerprint, locked, write_json
from millis.temporaries import discard
from millis.tracking import Model
from millis.training.adapters import merge
from millis.training.fit import Fit, Fitted, seed_everything
from millis.training.module import TextModule

PAD_TOKENS = ("[PAD]", "<pad>")
_opened: dict[str, "Teacher"] = {}  # a sweep asks for its teacher in every trial


@dataclass(frozen=True)
class Teacher:
    """A fine-tuned teacher and the data it was fine-tuned on.

    Args:
        folder: Its artifact (eager fp32): the reference of every measurement.
        fitted: How its training went.
        note: What a reader of its record should know; empty where there is nothing.
    """

    inputs: Inputs
    fingerprint: str
    folder: Path
    fitted: Fitted
    note: str = ""

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
        of = self.fingerprint
        if split is not self.inputs.dataset.train:
            of = fingerprint(self.fingerprint, split.texts)
        path = self.inputs.cache / "teacher_logits" / f"{of}.npz"
        return teacher_logits(self.module, self.encoded(split), self.pad_id, path)


def teacher_fingerprint(cfg: DictConfig, inputs: Inputs) -> str:
    """Of everything that determines the teacher's weights."""
    task = (inputs.task.name, inputs.task.metric, inputs.task.max_length, [list(one) for one in inputs.task.outputs])
    return fingerprint(
        "teacher",
        _local_files(cfg.model),
        __version__,
        plain(cfg.model),
        _trained(cfg),
        cfg.teacher.seed,
        task,
        inputs.data_fingerprint,
    )


def _trained(cfg: DictConfig) -> dict[str, Any]:
    """How it is trained. Without the adapter that is `none`: teachers trained before there were any stay found."""
    settings: dict[str, Any] = plain(cfg.teacher)
    settings.pop("seed")  # a part of the fingerprint by itself
    settings.pop("search")  # its ways are teachers of their own
    if instantiate(cfg.teacher.adapter) is None:
        settings.pop("adapter")
    return settings


def _local_files(model: DictConfig) -> list[str]:
    """Checksums of a model that is a folder: its name says nothing of what lies there today."""
    folder = Path(str(model.get("name", "")))
    return (
        [file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file()]
        if "name" in model and folder.is_dir()
        else []
    )


def ensure_teacher(cfg: DictConfig) -> Teacher:
    """The teacher that `cfg` describes: trained now, continued from its last epoch, or read where it lies already.

    One that learned nothing is trained a second time (`millis.cli.pipeline.second_try`); the better one is returned.
    """
    search = instantiate(cfg.teacher.search)
    if search is not None:
        return ensure_teacher(search(cfg, lambda way: _ensured(way).fitted))
    first = _ensured(cfg)
    again = None if second_try.learned(first.fitted, first.inputs) else second_try.slower(cfg)
    if again is None:
        return first
    second = _ensured(again, second_try.reason(first.fitted, cfg))
    better = second if second.fitted.quality > first.fitted.quality else first
    if not better.note:
        note = second_try.note(first.fitted, second.fitted, cfg)
        better = _opened[_place(cfg, better.folder)] = replace(better, note=note)
    return better


def _ensured(cfg: DictConfig, reason: str = "") -> Teacher:
    """One try at a teacher; `reason` is printed before it is trained."""
    inputs = load_inputs(cfg)
    key = teacher_fingerprint(cfg, inputs)
    folder = inputs.cache / "teacher" / key
    history = folder.with_suffix(".json")
    with locked(folder, "the teacher, which another process trains"):
        checkpoints = folder.with_suffix(".checkpoints")
        if not (history.is_file() and folder.is_dir()):
            if reason:
                print(reason, file=sys.stderr, flush=True)
            fitted = _train(cfg, inputs, folder, key, checkpoints)
            write_json(history, asdict(fitted))
        discard(checkpoints)  # after the result is there: killed before, a run goes on from them
    place = _place(cfg, folder)
    if place not in _opened:
        with cached(history):
            _opened[place] = Teacher(inputs, key, folder, Fitted(**json.loads(history.read_text())))
    return _opened[place]


def _place(cfg: DictConfig, folder: Path) -> str:
    return fingerprint(str(folder), plain(cfg.task), plain(cfg.data))


def _train(cfg: DictConfig, inputs: Inputs, folder: Path, key: str, checkpoints: Path) -> Fitted:
    dataset, task = inputs.dataset, inputs.task
    seed_everything(cfg.teacher.seed)
    model, tokenizer = instantiate(cfg.model)(task.outputs, dataset.train.texts, dataset.labels)
    length = min(task.max_length, max_length(model.spec))
    train, validation = (
        encode(split, tokenizer, length, inputs.cache / "tokens", task) for split in (dataset.train, dataset.validation)
    )
    supervised = instantiate(cfg.teacher.objective)
    if supervised.needs_logits:
        raise MillisError(f"teacher.objective.alpha={supervised.alpha}: a teacher has no teacher, expected 0")
    objective = supervised.objective(train)
    optimizer = instantiate(cfg.teacher.optimizer).over(dataset.pairs)
    module = TextModule(model, objective, optimizer, inputs.validation_score)
    if cfg.teacher.trainer.max_epochs == 0:
        fitted = _as_it_is(model, Rows(validation, pad_id(tokenizer)), inputs)
        _write(cfg, inputs, folder, key, (model, tokenizer, length))
        return fitted
    fit: Fit = instantiate(cfg.teacher.trainer)
    adapter = instantiate(cfg.teacher.adapter)
    callbacks = [] if adapter is None else adapter.wrap(model)
    with tracked(cfg, f"teacher-{key[:6]}", TEACHER) as kept:
        fitted = fit(
            module, train, validation, pad_id(tokenizer),
            folder=checkpoints, seed=cfg.teacher.seed, title=f"teacher ({dataset.name})", logger=kept.logger,
            callbacks=callbacks,
        )  # fmt: skip
        if adapter is not None:
            merge(model)
        _write(cfg, inputs, folder, key, (model, tokenizer, length))
        if kept.run:
            kept.run.made(tracked_model(folder, key))
    return fitted


@torch.inference_mode()
def _as_it_is(model: Any, rows: Rows, inputs: Inputs) -> Fitted:
    """What a finished classifier is worth without training.

    Raises:
        MillisError: its classifier is a fresh one.
    """
    if "pooler" not in model.spec:
        raise MillisError(
            "teacher.trainer.max_epochs=0 takes the model as it is, but its classifier is fresh: expected one whose "
            f"own classifier has the data's labels ({', '.join(inputs.dataset.labels[:5])}). Train for 1 epoch or more"
        )
    model.eval()
    batches = map(rows.__getitem__, range(len(rows)))
    pairs = [answers(each(model(**model_inputs(batch))), batch) for batch in batches]
    found, right = ([answer for (answer,) in column] for column in zip(*pairs, strict=True))
    return Fitted(inputs.validation_score(found, right), 0, 0.0, [])


def _write(cfg: DictConfig, inputs: Inputs, folder: Path, key: str, parts: tuple[Any, AnyTokenizer, int]) -> None:
    model, tokenizer, length = parts
    dataset, task = inputs.dataset, inputs.task
    manifest = Manifest(
        name=f"teacher {dataset.name}", backend=eager.Eager.name, spec=model.spec, task=task.described(),
        inputs=dataset.inputs, max_length=length, recipe=plain(cfg), fingerprint=key,
    )  # fmt: skip
    write_artifact(folder, model, tokenizer, eager.Eager(), manifest, None)


def tracked_model(folder: Path, key: str) -> Model:
    """The teacher as tracked runs name it."""
    return Model("teacher", f"teacher-{key[:12]}", folder)


def pad_id(tokenizer: AnyTokenizer) -> int:
    """Token id of padding; 0 where the tokenizer names none, for padding is masked."""
    found = (tokenizer.token_to_id(token) for token in PAD_TOKENS)
    return next((token for token in found if token is not None), 0)
