"""Early exits in the pipeline: the threshold, chosen on the artifact that answers, and what a record says of exits."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from millis import backends
from millis.data.dataset import Split
from millis.early_exit.recipe import EarlyExit
from millis.early_exit.saving import depths
from millis.early_exit.threshold import Chosen, choose
from millis.models import tokenizer as tokenizers
from millis.models.tokenizer import AnyTokenizer
from millis.pipeline.teacher import Teacher
from millis.serving import stepwise
from millis.serving.one_pass import Runner
from millis.serving.reader import Reader
from millis.storage.manifest import Manifest, seal


def settle(recipe: EarlyExit, teacher: Teacher, folder: Path, manifest: Manifest, tokenizer: AnyTokenizer) -> Manifest:
    """Choose the policy's threshold for the artifact in `folder`, on the validation split, as it answers there.

    Returns:
        `manifest` with `early_exit`.

    Raises:
        MillisError: no threshold keeps `recipe.quality_drop`.
    """
    validation = teacher.inputs.dataset.validation
    chosen = choose(
        recipe.policy,
        _every_exit(folder, manifest, tokenizer, validation),
        validation.references,
        depths(manifest.spec),
        teacher.inputs.score,
        recipe.quality_drop,
        recipe.confidence,
    )
    settings = {"policy": recipe.policy, "confidence": recipe.confidence, **asdict(chosen)}
    return seal(folder, replace(manifest, early_exit=settings))


def _every_exit(folder: Path, manifest: Manifest, tokenizer: AnyTokenizer, split: Split) -> NDArray[np.float32]:
    """Logits of every exit on every text, one at a time as requests come, [E, N, C]."""
    session = stepwise.load(backends.module(manifest.backend), folder, manifest, torch.get_num_threads())
    reader = Reader(manifest, tokenizers.read(tokenizer.to_str()))  # a reader sets truncation in its own
    runner = Runner(manifest, reader, session)
    return np.concatenate([session.every(runner.feed(runner.tokenize(text))) for text in split.texts], axis=1)


def notes_of(manifest: Manifest, metrics: Mapping[str, float]) -> list[str]:
    """What a reader of the record should know: what was risked on validation, and what was saved on the test split.

    Args:
        manifest: Of an artifact with exits.
        metrics: The record's.
    """
    assert manifest.early_exit is not None, "an artifact with exits has been settled"
    chosen = Chosen(**{name: manifest.early_exit[name] for name in Chosen.__dataclass_fields__})
    settings = manifest.early_exit
    shares = ", ".join(
        f"{metrics[f'exit_after_{depth}_layers_share']:.0%} after {depth}" for depth in depths(manifest.spec)
    )
    return [
        f"early exit by {settings['policy']} at {chosen.threshold:g}: the {chosen.texts} validation texts lose "
        f"{chosen.quality_drop:.2f} points and {chosen.saving_share:.0%} of their layers; with "
        f"{settings['confidence']:.0%} confidence accuracy drops by at most {chosen.accuracy_drop_bound:.2f} "
        "points (exact binomial limits that hold for every threshold tried)",
        f"test texts leave {shares} layers, {metrics['exit_layer_mean']:.2f} on average: "
        f"{metrics['expected_saving_share']:.0%} of the layers saved, and {metrics['measured_saving_share']:.0%} of "
        "the time of the same model in one piece, one request at a time",
    ]
