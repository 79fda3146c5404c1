"""What a tracker keeps: a run for each pre-training, teacher, elastic weights, each recipe, study and application.

A recipe's run is opened by the first that has something for it, its training or its outcome, and ends with the recipe.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from millis import tracking

PRETRAINING, TEACHER, GENERAL, ELASTIC = "pretraining", "teacher", "general", "elastic"
TRIAL, SUMMARY, APPLICATION = "trial", "summary", "application"
"""W&B's job types."""


@dataclass(frozen=True)
class Tracked:
    """What is kept of one piece of work.

    Args:
        logger: For Lightning; False where nothing is kept.
        run: W&B's; None where the tracker is another, or W&B cannot be used.
    """

    logger: Any
    run: tracking.Run | None = None


class Tracker(Protocol):
    """Opens runs."""

    @property
    def in_wandb(self) -> bool:
        """Whether runs are W&B's."""
        ...

    def opened(self, name: str, job_type: str, config: Mapping[str, Any]) -> AbstractContextManager[Tracked]:
        """A run that ends with this context, even when the work fails.

        Args:
            config: What the run is of, JSON-able.
        """
        ...


@dataclass(frozen=True)
class NoTracker:
    """Keeps nothing."""

    in_wandb: bool = False

    def opened(self, name: str, job_type: str, config: Mapping[str, Any]) -> AbstractContextManager[Tracked]:
        """Nothing."""
        return nullcontext(Tracked(False))


class Trial:
    """The run of one recipe, opened when it is first wanted."""

    def __init__(self, tracker: Tracker, config: Mapping[str, Any], held: ExitStack) -> None:
        self._tracker, self._config, self._held = tracker, config, held
        self._tracked: Tracked | None = None

    def tracked(self, name: str) -> Tracked:
        """What is kept of the recipe, under `name` if this is the first to want it."""
        if self._tracked is None:
            self._tracked = self._held.enter_context(self._tracker.opened(name, TRIAL, self._config))
        return self._tracked

    def end(self, name: str, numbers: Mapping[str, Any], start: tracking.Model, made: tracking.Model | None) -> None:
        """Say what came of the recipe, and of which weights it was made."""
        if self._tracker.in_wandb and (run := self.tracked(name).run):
            run.summarize(numbers)
            run.uses(start)
            if made is not None:
                run.made(made)


_trial: ContextVar[Trial | None] = ContextVar("trial", default=None)


@contextmanager
def trial(tracker: Tracker, config: Mapping[str, Any]) -> Iterator[Trial]:
    """Within this context, students are trained into the run of one recipe."""
    with ExitStack() as held:
        current = Trial(tracker, config, held)
        held.callback(_trial.reset, _trial.set(current))
        yield current


@contextmanager
def tracked(tracker: Tracker, name: str, job_type: str, config: Mapping[str, Any]) -> Iterator[Tracked]:
    """What is kept of the run `name`; a student's is its recipe's where one is being carried out."""
    current = _trial.get()
    if job_type == TRIAL and current is not None:
        yield current.tracked(name)
    else:
        with tracker.opened(name, job_type, config) as opened:
            yield opened
