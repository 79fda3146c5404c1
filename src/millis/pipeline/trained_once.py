"""A training whose result is kept: carried out once for each fingerprint, by one process at a time, then read."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from millis.pipeline.models_on_disk import keep, restore
from millis.store import cached, locked, write_json
from millis.temporaries import discard
from millis.training.fit import Fitted


def trained_once(
    weights: Path, who: str, checkpoints: Path, train: Callable[[], tuple[Any, Fitted]]
) -> tuple[Any, Fitted]:
    """A model and how its training went.

    Args:
        weights: Where the model is kept, a `.safetensors` file.
        who: Whom others wait for, such as "this student, which another process trains".
        checkpoints: Of its training, which goes on from them; removed once the model is kept.
        train: Trains it.
    """
    history = weights.with_suffix(".json")
    with locked(weights, who):
        if not (history.is_file() and weights.is_file()):
            model, fitted = train()
            keep(weights, model)
            write_json(history, asdict(fitted))
        discard(checkpoints)  # after the result is there: killed before, a run goes on from them
    return restore(weights), training_of(weights)


def training_of(weights: Path) -> Fitted:
    """How the training of a model that is kept went."""
    history = weights.with_suffix(".json")
    with cached(history):
        return Fitted(**json.loads(history.read_text()))
