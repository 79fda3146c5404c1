"""What the config's logger keeps: a run for each teacher, each recipe and each study.

A recipe's run is opened by the first that has something for it, its training or its outcome, and ends with the recipe.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from millis import tracking
from millis.cli.pipeline.inputs import plain
from millis.cli.targets import instantiate

TEACHER, TRIAL, SUMMARY = "teacher", "trial", "summary"  # W&B's job types


@dataclass(frozen=True)
class Tracked:
    """What is kept of one piece of work.

    Args:
        logger: For Lightning; False where `logger=none`.
        run: W&B's; None where the logger is another, or W&B cannot be used.
    """

    logger: Any
    run: tracking.Run | None = None


class Trial:
    """The run of one recipe, opened when it is first wanted."""

    def __init__(self, cfg: DictConfig, held: ExitStack) -> None:
        self._cfg, self._held = cfg, held
        self._tracked: Tracked | None = None

    def tracked(self, name: str) -> Tracked:
        """What is kept of the recipe, under `name` if this is the first to want it."""
        if self._tracked is None:
            self._tracked = self._held.enter_context(_opened(self._cfg, name, TRIAL))
        return self._tracked

    def end(self, name: str, numbers: Mapping[str, Any], start: tracking.Model, made: tracking.Model | None) -> None:
        """Say what came of the recipe, and of which weights it was made."""
        if tracking.uses_wandb(plain(self._cfg.logger)) and (run := self.tracked(name).run):
            run.summarize(numbers)
            run.uses(start)
            if made is not None:
                run.made(made)


_trial: ContextVar[Trial | None] = ContextVar("trial", default=None)


@contextmanager
def trial(cfg: DictConfig) -> Iterator[Trial]:
    """Within this context, students are trained into the run of one recipe."""
    with ExitStack() as held:
        current = Trial(cfg, held)
        held.callback(_trial.reset, _trial.set(current))
        yield current


@contextmanager
def tracked(cfg: DictConfig, name: str, job_type: str) -> Iterator[Tracked]:
    """What is kept of the run `name` (or `cfg.name`); a student's is its recipe's where one is being carried out."""
    current = _trial.get()
    if job_type == TRIAL and current is not None:
        yield current.tracked(name)
    else:
        with _opened(cfg, name, job_type) as opened:
            yield opened


@contextmanager
def _opened(cfg: DictConfig, name: str, job_type: str) -> Iterator[Tracked]:
    """A run that ends with this context, even when the work fails."""
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.name = cfg.name or name
    node = plain(cfg.logger)
    if not tracking.uses_wandb(node):
        logger = instantiate(cfg.logger)
        if logger:
            logger.log_hyperparams(plain(cfg))
        yield Tracked(logger)
        return
    tracking.prepare(Path(cfg.paths.outputs))
    run = tracking.open_run(node, name=cfg.name, job_type=job_type, config=plain(cfg))
    if run is None:
        yield Tracked(False)
        return
    try:
        logger = instantiate(cfg.logger, _partial_=True)(experiment=run.experiment)
        yield Tracked(logger, run)
    finally:
        run.finish()
