"""Who is told how a sweep goes, and may say what it does."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from millis.sweep.space import Space


class Agenda(NamedTuple):
    """What a sweep does.

    Args:
        recipes: That are tried first.
        n_trials: In all.
    """

    recipes: Sequence[Mapping[str, Any]]
    n_trials: int


class Begun(NamedTuple):
    """What a study that is resumed has begun.

    Args:
        recipes: Of those to be tried first, each with the config of its trial; None where there cannot be one.
        trials: In all, with those that are to be tried again; they are part of an agenda's `n_trials`.
    """

    recipes: Sequence[tuple[Mapping[str, Any], Any]]
    trials: int


class Listener(Protocol):
    """Who is told how a sweep goes: `listener: {_target_: ...}` of the sweeper. Reports and trackers implement it.

    All run in the sweep's own process, never in a launched job. A sweep that ends by an error calls no `end`.
    """

    def possible(self, config: Any, space: Space) -> Space:
        """What is searched of `space`: without what cannot be under the base config. Called before anything else."""
        ...

    def start(self, config: Any, recipes: Sequence[tuple[Mapping[str, Any], Any]], begun: Begun) -> Agenda | None:
        """The study is open and no trial of this worker has begun: measure references. An exception ends the sweep.

        Args:
            config: The base config, a DictConfig with its `hydra` node.
            recipes: Those to be tried first that were not begun, like those of `begun`.

        Returns:
            What is done of it; None is all.
        """
        ...

    def told(
        self,
        trial_number: int,
        n_trials: int,
        params: dict[str, Any],
        metrics: dict[str, float] | None,
        error: str | None,
    ) -> None:
        """A trial of this worker ended: with `metrics`, as its task returned them, or with `error`. `n_trials` is the
        total asked for; numbers may exceed it, since a trial tried again gets a new one. An exception is logged and
        the sweep goes on."""
        ...

    def end(self, study: Any) -> None:
        """This worker is done (others may still work). `study` is the `optuna.Study`. An exception ends the sweep."""
        ...
