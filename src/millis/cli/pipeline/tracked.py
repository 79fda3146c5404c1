"""The logger of one training run: made from config, ended even when training fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from millis import tracking
from millis.cli.pipeline.inputs import plain
from millis.cli.targets import instantiate


@contextmanager
def tracked_logger(cfg: DictConfig, name: str) -> Iterator[Any]:
    """A Lightning logger of the run `name` (or `cfg.name`); False where `logger=none`."""
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.name = cfg.name or name
    if tracking.uses_wandb(plain(cfg.logger)):
        tracking.prepare(Path(cfg.paths.outputs))
    logger = instantiate(cfg.logger)
    # Lightning hands W&B an option that W&B warns of in every run, though nobody set it.
    getattr(logger, "_wandb_init", {}).pop("anonymous", None)
    if logger:
        logger.log_hyperparams(plain(cfg))
    try:
        yield logger
    finally:
        tracking.finish()
