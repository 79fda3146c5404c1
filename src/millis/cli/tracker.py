"""The tracker that a config names: W&B, or any logger of Lightning's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from millis import tracking
from millis.cli.plain import plain
from millis.cli.targets import instantiate
from millis.pipeline.tracker import Tracked


class ConfiguredTracker:
    """What `cfg.logger` makes, under `cfg.name` where it has one.

    Args:
        cfg: Of a command that trains.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self._cfg = cfg
        self.in_wandb = tracking.uses_wandb(plain(cfg.logger))

    @contextmanager
    def opened(self, name: str, job_type: str, config: Mapping[str, Any]) -> Iterator[Tracked]:
        """See `millis.pipeline.tracker.Tracker`."""
        cfg = self._cfg.copy()
        with open_dict(cfg):
            cfg.name = cfg.name or name
        said = {**config, "name": cfg.name}
        if not self.in_wandb:
            logger = instantiate(cfg.logger)
            if logger:
                logger.log_hyperparams(said)
            yield Tracked(logger)
            return
        tracking.prepare(Path(cfg.paths.outputs))
        run = tracking.open_run(plain(cfg.logger), name=cfg.name, job_type=job_type, config=said)
        if run is None:
            yield Tracked(False)
            return
        try:
            logger = instantiate(cfg.logger, _partial_=True)(experiment=run.experiment)
            yield Tracked(logger, run)
        finally:
            run.finish()
