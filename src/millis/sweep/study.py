"""A study that survives its workers: ask, tell, resume. Optuna underneath (Akiba et al. 2019), any sampler it has.

Several workers may hold one study at once, and each may be killed at any moment:
- a trial is signed by its worker once it is drawn; one whose worker is gone (`Place.gone`), or gave no sign of life for
  a lease (`millis.sweep.lease`), is failed as interrupted and tried again with the same parameters;
- a worker that was wrongly taken for dead finds its trial ended, and what it tells of it is passed over;
- counting, recovering and asking are one step under the study's lock, so `n_trials` is a total, exact over workers and
  resumes; interrupted trials and those set aside do not count;
- the sampler is made anew for every trial, seeded by the study's seed and the number of recipes begun. What one worker
  draws, one trial at a time, is what it would have drawn had it never been killed, as long as results are the same and
  the sampler's state is the finished trials in their order (random search, TPE, GP; not NSGA-II, which breaks ties by
  the trials' numbers, nor QMC, which counts for itself). Workers that share a study never draw alike; what they draw
  depends on who is told what first.

A finished trial carries exactly one Optuna constraint, `violation`, the largest of the constraints its task reported
(≤ 0 is feasible, Optuna's rule). A trial over its budget may be skipped, never trained: what it reported still teaches
the sampler, and the objectives it lacks get the worst value known, which no front can show since it is infeasible. So
do those of a trial that was ended before its time (`ended` among its attributes), for others are better.
"""

import logging
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from millis.errors import MillisError, nearest
from millis.sweep.lease import Observed, beating
from millis.sweep.result import Result
from millis.sweep.rule import hold_to
from millis.sweep.space import Space
from millis.sweep.storage import Place

log = logging.getLogger(__name__)

DIRECTIONS = ("minimize", "maximize")
ERROR_LENGTH = 2000  # characters kept of a trial's error


class SharedStudy:
    """One worker's hold on a study.

    Args:
        name: The study's name in its storage.
        directions: Objective → `minimize` or `maximize`, one or several.
        storage: See `Place`.
        sampler: Seed → a fresh sampler.
        seed: Of the whole study.
        retries: How often a trial that its worker's death left unfinished is tried again. One that kills its worker
            (out of memory, say) is given up after that.
        rule: How trials are ended before their time, JSON-able, with a `_target_`; None where nothing says. It is kept
            with the study, for what one rule ended another might not have.

    Raises:
        MillisError: other directions, or another rule, than the study began under.
    """

    def __init__(
        self,
        *,
        name: str,
        directions: Mapping[str, str],
        storage: str | None,
        sampler: Callable[[int], BaseSampler],
        seed: int = 0,
        retries: int = 2,
        rule: Any = None,
    ) -> None:
        _check_directions(directions)
        self._sampler, self._seed, self._retries = sampler, seed, retries
        self._place = Place(storage)
        self._recipes: list[dict[str, Any]] = []
        self._mine: set[int] = set()  # ids of the trials that this worker is at
        self._beats = 0
        self._observed = Observed()
        with self._place.lock(), self._place.guarded(), _quiet():
            self.study = _open(name, directions, self._place.storage)
            self.objectives: list[str] = list(self.study.metric_names)
            begun = self.study.get_trials(deepcopy=False)  # a damaged table shows here, before any work
            hold_to(self.study, rule, begun=bool(begun))

    @contextmanager
    def working(self) -> Iterator[None]:
        """Ask and tell within this context only: it is what shows others that this worker lives."""
        with self._place.working(), beating(self._beat):
            yield

    def check(self, space: Space) -> None:
        """Raise MillisError if trials of this study were drawn from a space that `space` cannot be mixed with."""
        with self._place.reachable():
            trials = self.study.get_trials(deepcopy=False)
        for trial in trials:
            for key, old in trial.distributions.items():
                new = space[key].distribution if key in space else None
                changed = type(old) is not type(new) or (isinstance(old, CategoricalDistribution) and old != new)
                if new is not None and changed:
                    raise MillisError(
                        f"study {self.study.study_name!r} has searched {key} over {old}, now it is {new}; samplers "
                        "cannot mix the two. Choose another hydra.sweeper.study_name, or restore the space"
                    )

    def enqueue(self, recipes: Sequence[Mapping[str, Any]]) -> None:
        """Have `recipes` tried first; those this study was given, and did not set aside, are not given again."""
        self._recipes += map(dict, recipes)

    def begun(self, recipes: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], int]:
        """Those of `recipes` that this study was given before, and how many trials `n_trials` is to leave room for:
        those that count, and those that are to be tried again."""
        with self._place.reachable():
            trials = self.study.get_trials(deepcopy=False)
        aside = _set_aside(self.study)
        given = _given(trials, aside)
        waiting = sum(trial.state == TrialState.WAITING for trial in trials)
        return [one for one in recipes if dict(one) in given], sum(_counts(one, aside) for one in trials) + waiting

    def ask(self, space: Space, n_trials: int, at_most: int = 1) -> list[tuple[Trial, dict[str, Any]]]:
        """Up to `at_most` new trials with their parameters; fewer, or none, once the study has `n_trials`."""
        asked = []
        with self._place.lock(), _quiet():
            self._recover()
            aside = _set_aside(self.study)
            for _ in range(at_most):
                trials = self.study.get_trials(deepcopy=False)
                if sum(_counts(trial, aside) for trial in trials) >= n_trials:
                    break
                self._queue_recipe(trials, aside)
                self.study.sampler = self._sampler(trial_seed(self._seed, _begun(trials, aside)))
                trial = self.study.ask()
                params = space.sample(trial)
                trial.set_user_attr("worker", self._place.worker)  # last: an unsigned trial is not wholly drawn
                self._mine.add(trial._trial_id)
                asked.append((trial, params))
        return asked

    def others(self) -> dict[int, str]:
        """Trials that other workers are at: number → host."""
        with self._place.reachable():
            trials = self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        theirs = (trial for trial in trials if trial._trial_id not in self._mine)
        return {trial.number: trial.user_attrs.get("worker", {}).get("host", "unknown") for trial in theirs}

    def untried(self, n_trials: int) -> list[int]:
        """Numbers of trials that a dead worker left, that are yet to be tried again, and that `n_trials` lacks."""
        with self._place.reachable():
            trials = self.study.get_trials(deepcopy=False)
        if sum(_counts(trial, _set_aside(self.study)) for trial in trials) >= n_trials:
            return []
        waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
        return [trial.user_attrs["retry_of"] for trial in waiting if "retry_of" in trial.user_attrs]

    def tell(self, trial: Trial, returned: Any) -> Result | str | None:
        """Record what a trial's task returned, or the exception it ended by.

        Returns:
            The result; or, of a trial that raised or returned no result, the text it failed with; or None where another
            worker had ended the trial, which is left as it is.
        """
        if isinstance(returned, Exception):
            return self.fail(trial, returned)
        try:
            result = Result.read(returned, self.objectives)
        except MillisError as error:
            return self.fail(trial, error)
        missing = [name for name in self.objectives if name not in result.metrics]
        with self._place.lock():
            if self._ended(trial):
                return None
            trial.set_user_attr("metrics", result.metrics)
            trial.set_user_attr("constraints", result.constraints)
            trial.set_user_attr("attrs", result.attrs)
            if missing:
                trial.set_user_attr("skipped", True)
                trial.set_user_attr("missing", missing)
            trial.set_constraint("violation", result.violation)
            worst = self._worst() if missing else {}
            self.study.tell(trial, [result.metrics.get(name, worst.get(name, 0.0)) for name in self.objectives])
            self._mine.discard(trial._trial_id)
        return result

    def fail(self, trial: Trial, error: Exception) -> str | None:
        """Record that a trial's job raised `error`; the text recorded is returned, None as for `tell`."""
        text = str(error) if isinstance(error, MillisError) else f"{type(error).__name__}: {error}"
        with self._place.lock():
            if self._ended(trial):
                return None
            trial.set_user_attr("error", text[:ERROR_LENGTH])
            self.study.tell(trial, state=TrialState.FAIL)
            self._mine.discard(trial._trial_id)
        return text[:ERROR_LENGTH]

    def set_aside(self, numbers: Iterable[int]) -> None:
        """Have failed trials, and what they are retries of, not count, as if they were never tried: the fault was not
        theirs."""
        with self._place.lock():
            trials = {trial.number: trial for trial in self.study.get_trials(deepcopy=False)}
            aside = {one for number in numbers for one in _lineage(trials, number)}
            self.study.set_user_attr("set_aside", sorted(_set_aside(self.study) | aside))

    def require_a_result(self) -> None:
        """Raise MillisError, with the last error, if trials have failed and none has finished or still runs."""
        with self._place.reachable():
            trials = self.study.get_trials(deepcopy=False)
        errors = [trial.user_attrs["error"] for trial in trials if "error" in trial.user_attrs]
        if errors and all(trial.state in (TrialState.FAIL, TrialState.WAITING) for trial in trials):
            raise MillisError(
                f"all {len(errors)} trials of study {self.study.study_name!r} failed; the last with: {errors[-1]}. "
                "Mend the cause, then raise hydra.sweeper.n_trials or choose another hydra.sweeper.study_name"
            )

    def _ended(self, trial: Trial) -> bool:
        """Whether another worker ended this one's `trial`. The caller holds the lock."""
        ended: bool = self._place.storage.get_trial(trial._trial_id).state.is_finished()
        if ended:
            self._mine.discard(trial._trial_id)
            log.warning(
                "trial %d was ended by another worker, which took this one for dead; what came of it here is dropped",
                trial.number,
            )
        return ended

    def _beat(self) -> None:
        """Show others that this worker is still at its trials."""
        self._beats += 1
        for trial_id in list(self._mine):
            with suppress(optuna.exceptions.UpdateFinishedTrialError):  # told meanwhile
                self._place.storage.set_trial_user_attr(trial_id, "beat", self._beats)

    def _queue_recipe(self, trials: Sequence[FrozenTrial], aside: Collection[int]) -> None:
        """Queue the next of the recipes to try first, unless a trial waits already. The caller holds the lock.

        One at a time: what is tried again comes before it, as it would have without the interruption.
        """
        given = _given(trials, aside)
        left = [recipe for recipe in self._recipes if recipe not in given]
        if left and not any(trial.state == TrialState.WAITING for trial in trials):
            self.study.enqueue_trial(left[0], user_attrs={"enqueued": left[0]})

    def _lost(self, trial: FrozenTrial) -> bool:
        """Whether the worker of a running trial is dead, as far as can be seen from here."""
        worker, beat = trial.user_attrs.get("worker"), trial.user_attrs.get("beat")
        if trial._trial_id in self._mine:
            return False
        return self._place.gone(worker) or self._observed.silent(trial.number, beat)

    def _recover(self) -> None:
        """Fail the trials of dead workers and queue them again. Safe to be killed in: the retry is queued first, and
        a trial that has its retry gets no second one. The caller holds the lock."""
        trials = self.study.get_trials(deepcopy=False)
        retried = _retried(trials)
        for trial in trials:
            if trial.state != TrialState.RUNNING or not self._lost(trial):
                continue
            attempt = trial.user_attrs.get("attempt", 1)
            again = attempt <= self._retries
            if again and trial.number not in retried:
                drawn = trial.params if "worker" in trial.user_attrs else {}
                params = {**trial.system_attrs.get("fixed_params", {}), **drawn}
                self.study.enqueue_trial(params, user_attrs={"retry_of": trial.number, "attempt": attempt + 1})
            attributes: dict[str, Any] = {"interrupted": True}
            if not again:
                attributes["error"] = f"its worker died in all {attempt} attempts (out of memory?)"
            for name, value in attributes.items():
                self._place.storage.set_trial_user_attr(trial._trial_id, name, value)
            self.study.tell(trial.number, state=TrialState.FAIL)
            fate = "it is tried again" if again else "it is given up"
            log.warning("trial %d was interrupted: its worker is dead; %s", trial.number, fate)

    def _worst(self) -> dict[str, float]:
        """Objective → the worst value measured so far; objectives nobody measured are absent."""
        finished = self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        worst = {}
        for i, name in enumerate(self.objectives):
            values = [trial.values[i] for trial in finished if name not in trial.user_attrs.get("missing", ())]
            if values:
                maximised = self.study.directions[i] == optuna.study.StudyDirection.MAXIMIZE
                worst[name] = min(values) if maximised else max(values)
        return worst


def trial_seed(seed: int, count: int) -> int:
    """The seed of the sampler that draws when `count` recipes of a study were begun.

    Hashed: with `seed + count`, studies of neighbouring seeds would draw the same recipes one trial apart.
    """
    return int(np.random.SeedSequence((seed, count)).generate_state(1)[0])


def finished(study: optuna.Study) -> list[dict[str, Any]]:
    """One plain row for every trial that ended and counts, in order: none for those interrupted or set aside.

    Keys: `number`, `params`, `metrics` (as the task returned them, {} if failed), `constraints`, `attrs`, `feasible`
    (False for failed ones), `skipped` (never trained), `error` (None unless failed), `seconds`, `on_front`.
    """
    aside = _set_aside(study)
    front = {trial.number for trial in study.best_trials}
    return [
        {
            "number": trial.number,
            "params": dict(trial.params),
            "metrics": trial.user_attrs.get("metrics", {}),
            "constraints": trial.user_attrs.get("constraints", {}),
            "feasible": trial.state == TrialState.COMPLETE and all(v <= 0 for v in trial.constraints.values()),
            "attrs": trial.user_attrs.get("attrs", {}),
            "skipped": trial.user_attrs.get("skipped", False),
            "error": trial.user_attrs.get("error"),
            "seconds": trial.duration.total_seconds() if trial.duration else 0.0,
            "on_front": trial.number in front,
        }
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished() and _counts(trial, aside)
    ]


def _open(name: str, directions: Mapping[str, str], storage: Any) -> optuna.Study:
    if name not in optuna.get_all_study_names(storage):
        optuna.create_study(study_name=name, storage=storage, directions=list(directions.values()))
    study = optuna.load_study(study_name=name, storage=storage)
    stored = [direction.name.lower() for direction in study.directions]
    if study.metric_names is None and not study.get_trials(deepcopy=False) and stored == list(directions.values()):
        study.set_metric_names(list(directions))  # new, or its maker was killed right here
    names = study.metric_names or ["an unnamed metric"] * len(stored)
    if study.metric_names is None or dict(zip(names, stored, strict=True)) != dict(directions):
        raise MillisError(
            f"study {name!r} exists and aims to {_aims(names, stored)}; asked was to "
            f"{_aims(list(directions), list(directions.values()))}. "
            "Choose another hydra.sweeper.study_name, or restore the directions"
        )
    return study


def _aims(metrics: Sequence[str], directions: Sequence[str]) -> str:
    return ", ".join(f"{direction} {metric}" for metric, direction in zip(metrics, directions, strict=True))


def _check_directions(directions: Mapping[str, str]) -> None:
    if not directions:
        raise MillisError("hydra.sweeper.directions is empty; name at least one metric, as in {accuracy: maximize}")
    for metric, direction in directions.items():
        if direction not in DIRECTIONS:
            raise MillisError(
                f"hydra.sweeper.directions: {metric} has {direction!r}{nearest(str(direction), DIRECTIONS)}; "
                "expected minimize or maximize"
            )


def _counts(trial: FrozenTrial, aside: Collection[int]) -> bool:
    waits = trial.state == TrialState.WAITING
    return not (waits or trial.user_attrs.get("interrupted") or trial.number in aside)


def _given(trials: Sequence[FrozenTrial], aside: Collection[int]) -> list[dict[str, Any] | None]:
    """The recipes that were to be tried first and were; None for a trial that was drawn."""
    return [trial.user_attrs.get("enqueued") for trial in trials if trial.number not in aside]


def _begun(trials: Sequence[FrozenTrial], aside: Collection[int]) -> int:
    """How many recipes were begun: one that was tried again counts once."""
    passed_over = {*aside, *_retried(trials)}
    return sum(trial.state != TrialState.WAITING and trial.number not in passed_over for trial in trials)


def _retried(trials: Sequence[FrozenTrial]) -> set[int]:
    """Numbers of the trials that are tried again."""
    return {trial.user_attrs["retry_of"] for trial in trials if "retry_of" in trial.user_attrs}


def _lineage(trials: Mapping[int, FrozenTrial], number: int | None) -> Iterator[int]:
    """Trial `number`, the one that it is a retry of, and so on back."""
    while number is not None:
        yield number
        number = trials[number].user_attrs.get("retry_of")


def _set_aside(study: optuna.Study) -> set[int]:
    """Numbers of the trials that `SharedStudy.set_aside` was given."""
    return set(study.user_attrs.get("set_aside", ()))


@contextmanager
def _quiet() -> Iterator[None]:
    # Named metrics, constraints in GP and multivariate TPE are marked experimental; said once in the docs is enough.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
