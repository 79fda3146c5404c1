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


def trained_once(result: Path, who: str, checkpoints: Path, train: Callable[[], Fitted]) -> Fitted:
    """How a training went, whose result then lies at `result`.

    Args:
        result: A file or a folder.
        who: Whom others wait for, such as "the teacher, which another process trains".
        checkpoints: Of the training, which goes on from them; removed once the result is there.
        train: Trains, and writes `result`.
    """
    history = _history(result)
    with locked(result, who):
        if not (history.is_file() and result.exists()):
            write_json(history, asdict(train()))
        discard(checkpoints)  # after the result is there: killed before, a run goes on from them
    return training_of(result)


def model_once(
    weights: Path, who: str, checkpoints: Path, train: Callable[[], tuple[Any, Fitted]]
) -> tuple[Any, Fitted]:
    """As `trained_once`, of a model that is kept as a `.safetensors` file: the model too, read from it."""

    def trained() -> Fitted:
        model, fitted = train()
        keep(weights, model)
        return fitted

    fitted = trained_once(weights, who, checkpoints, trained)
    return restore(weights), fitted


def training_of(result: Path) -> Fitted:
    """How the training of a result that is kept went."""
    history = _history(result)
    with cached(history):
        return Fitted(**json.loads(history.read_text()))


def _history(result: Path) -> Path:
    return result.with_suffix(".json")
