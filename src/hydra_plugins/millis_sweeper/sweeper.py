"""Hydra sweeper on Optuna: several objectives, constraints, resume, shared studies, any Hydra launcher.

The thin end of `millis.sweep`: turns command line and config into a space, trials into jobs and job results into
tellings. Hydra imports every plugin at each start, so this file imports nothing heavy until a sweep begins.

    defaults: [override /hydra/sweeper: optuna]
    hydra: {mode: MULTIRUN, sweeper: {directions: {accuracy: maximize, latency_p50_ms: minimize}, space: {...}}}

The task function returns `{"metrics": {name: value}, "constraints": {name: value}}`; a constraint is kept when its
value is ≤ 0. Several compare best as relative excess, measured / limit - 1. A trial that violates one may leave
objectives out. Trial 7 runs in folder `7` of `hydra.sweep.dir`.
"""
# No `from __future__ import annotations` here: Hydra loads plugins outside sys.modules, where dataclasses with
# postponed annotations cannot be built.

import inspect
import logging
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.millis_sweeper import _overrides
from millis.errors import MillisError

log = logging.getLogger(__name__)

SPENT = "training_s"  # attribute of a trial: seconds that count against `timeout_s`

LOST_JOBS = 3  # a launcher that loses more, one after the other, loses all
LOOK_S = 1.0  # between looks at what other workers are at
# Spaces here are conditional; `group` models each set of keys that occur together by one joint density, where plain
# multivariate TPE would draw every conditional key on its own.
TPE = {"_target_": "optuna.samplers.TPESampler", "multivariate": True, "group": True}


@dataclass
class OptunaSweeperConf:
    """`hydra/sweeper=optuna`.

    Args:
        directions: Metric → minimize or maximize; one or several.
        space: What is searched: the mapping that `millis.sweep.space` describes.
        sampler: Any sampler of Optuna, by `_target_`, without its seed; null: `TPE` above. (Were it the default
            here, Hydra would merge its options into those of every other sampler.)
        seed: Of the study; trial after trial draws from it.
        study_name: One study a name and storage.
        storage: `sqlite:///<path>`, `journal:///<path>` (for network file systems), a server's URL; null: memory.
        n_trials: In total, over resumes and workers; interrupted trials do not count, nor do those that fail alike and
            stop a sweep.
        n_jobs: Trials handed to the launcher at once.
        timeout_s: No trial is begun once those of this run have taken so many seconds, by their attribute `SPENT`, or,
            where no task returns it, by the clock; null: no limit. A listener may plan what fits in it.
        minimum: Trials that are begun whatever they take.
        retry_failed: How often a trial that its worker's death left unfinished is tried again.
        enqueue: Recipes to try first, each a mapping of searched keys to values; what one leaves out is drawn.
        constant: Keys that have the base config's value in every trial, though they are computed from what trials vary.
        rule: How trials are ended before their time, JSON-able. The task carries it out; a study that began under
            another is refused.
        listener: `_target_` of a `millis.sweep.listener.Listener`.
    """

    _target_: str = "hydra_plugins.millis_sweeper.sweeper.OptunaSweeper"
    _recursive_: bool = False
    directions: dict[str, str] = field(default_factory=dict)
    space: Any = field(default_factory=dict)
    sampler: Any = None
    seed: int = 0
    study_name: str = "study"
    storage: Optional[str] = "sqlite:///outputs/studies/${.study_name}.db"  # noqa: UP045 (OmegaConf reads it)
    n_trials: int = 40
    n_jobs: int = 1
    timeout_s: Optional[float] = None  # noqa: UP045
    minimum: int = 0
    retry_failed: int = 2
    enqueue: Any = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    rule: Any = None
    listener: Any = None


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConf, provider="millis")


class OptunaSweeper(Sweeper):  # type: ignore[misc]
    """See `OptunaSweeperConf`."""

    def __init__(self, **options: Any) -> None:
        # Raising here would reach the user as Hydra's "error instantiating"; everything is checked in `sweep`.
        self.options = OptunaSweeperConf(**{name: _plain(value) for name, value in options.items()})
        self.options.sampler = self.options.sampler or TPE
        self.lost = 0  # jobs that the launcher lost, one after the other
        self.awaited: set[int] = set()  # trials of other workers whose wait was said

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's hook: called once, before `sweep`."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Search until `n_trials` or `timeout_s`; return the `optuna.Study`.

        Raises:
            MillisError: a fault in the config, a study that cannot be used, trials that fail alike in a row, or no
                trial that ever succeeded.
        """
        import optuna

        from millis.sweep.space import Space
        from millis.sweep.study import SharedStudy

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        options = self.options
        for name, least in (("n_trials", 1), ("n_jobs", 1), ("retry_failed", 0), ("minimum", 0)):
            if getattr(options, name) < least:
                raise MillisError(f"hydra.sweeper.{name} is {getattr(options, name)}; expected at least {least}")
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides(arguments)
        self.prefixes = _overrides.prefixes([*options.space, *(override.get_key_element() for override in overrides)])
        entries = {key.lstrip("+"): entry for key, entry in options.space.items()}
        written = Space.parse(entries, _overrides.fixed_values(self.config))
        space, self.fixed, self.deletions = _overrides.narrow(written, overrides)
        listener = instantiate(options.listener) if options.listener else None
        if listener:
            space = listener.possible(self.config, space)
        for recipe in options.enqueue:
            written.check(recipe)
        self._sampler(options.seed)  # a fault in its config shows before any work
        if not _takes_seed(options.sampler):
            log.warning("%s takes no seed: another run will draw other trials", options.sampler["_target_"])

        self.constant = _overrides.constants(self.config, ["hydra.sweep.dir", *options.constant])
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        shared = SharedStudy(
            name=options.study_name,
            directions=options.directions,
            storage=options.storage,
            sampler=self._sampler,
            seed=options.seed,
            retries=options.retry_failed,
            rule=options.rule,
        )
        shared.check(space)
        recipes = [recipe for recipe in options.enqueue if space.admits(recipe)]
        with shared.working():
            shared.enqueue(self._planned(listener, recipes, space, shared) if listener else recipes)
            self._search(shared, space, listener)
        shared.require_a_result()
        if listener:
            listener.end(shared.study)
        if lost := shared.untried(options.n_trials):
            raise MillisError(
                f"the time was up before what a dead worker had begun could be tried again (trials {lost} of study "
                f"{options.study_name!r}): run the same command again, with a longer hydra.sweeper.timeout_s if need be"
            )
        return shared.study

    def _search(self, shared: Any, space: Any, listener: Any) -> None:
        from millis.sweep.failures import Failures

        began, failures = time.monotonic(), Failures()
        spent: list[float] = []  # by trials of this run that say so
        while True:
            used = sum(spent) if spent else time.monotonic() - began
            over = self.options.timeout_s is not None and used >= self.options.timeout_s
            asked = shared.ask(space, self.options.minimum if over else self.options.n_trials, self.options.n_jobs)
            if not asked and over:
                break
            if not asked:
                if not (others := shared.others()):
                    return
                self._await(others)
            for trial, params, returned in self._run(asked, space):
                told = shared.tell(trial, returned)
                if told is None:
                    continue
                metrics, error = (None, told) if isinstance(told, str) else (told.metrics, None)
                if not isinstance(told, str) and SPENT in told.attrs:
                    spent.append(float(told.attrs[SPENT]))
                log.info("trial %d: %s", trial.number, error or metrics)
                if error is None:
                    failures.passed()
                else:
                    failures.failed(trial.number, returned, error)
                if listener:
                    self._notify(listener, trial.number, self.options.n_trials, params, metrics, error)
            if (reason := failures.verdict()) is not None:
                shared.set_aside(failures.numbers)
                raise MillisError(reason)
        log.info("no trial is begun after timeout_s=%s", self.options.timeout_s)
        late = set(shared.others())
        while others := {number: host for number, host in shared.others().items() if number in late}:
            self._await(others)
            shared.ask(space, 0)  # what a dead worker left is noticed

    def _await(self, others: dict[int, str]) -> None:
        """Wait a little for results of other workers' trials; those of a worker that dies are for this one."""
        from millis.sweep.lease import LEASE_S

        if new := {number: host for number, host in others.items() if number not in self.awaited}:
            self.awaited |= new.keys()
            log.warning(
                "waiting for %s, until it has ended or nothing was heard of its worker for %g s",
                _at(new), LEASE_S,
            )  # fmt: skip
        time.sleep(LOOK_S)

    def _run(self, asked: list[Any], space: Any) -> list[tuple[Any, dict[str, Any], Any]]:
        """Run trials as jobs; what each returned, or the exception it ended by."""
        done, jobs, legal = [], [], []
        for trial, params in asked:
            # Numbers of one batch may have gaps.
            job = [*self._overridden(params, space), f"hydra.sweep.subdir={trial.number}"]
            try:
                self.validate_batch_is_legal([job])
            except (HydraException, OmegaConfBaseException) as error:
                done.append((trial, params, error))
            else:
                jobs.append(job)
                legal.append((trial, params))
        if jobs:
            returned = self._launch(jobs, [trial.number for trial, _ in legal])
            done += [(trial, params, value) for (trial, params), value in zip(legal, returned, strict=True)]
        return done

    def _planned(self, listener: Any, recipes: list[dict[str, Any]], space: Any, shared: Any) -> list[dict[str, Any]]:
        """The recipes that are tried first: the listener may leave some out, and lower `n_trials`."""
        from millis.sweep.listener import Begun

        before, trials = shared.begun(recipes)
        configured = [(one, self._configured(one, space)) for one in recipes]
        left, done = ([pair for pair in configured if (pair[0] in before) is begun] for begun in (False, True))
        agenda = listener.start(self.config, left, Begun(done, trials))
        if not agenda:
            return recipes
        self.options.n_trials = agenda.n_trials
        return list(agenda.recipes)

    def _overridden(self, params: dict[str, Any], space: Any) -> list[str]:
        """The overrides of a trial."""
        texts = {key: text for key, text in self.fixed.items() if key not in space}
        texts |= {key: self.fixed.get(key) or _overrides.text_of(value) for key, value in params.items()}
        changed = (f"{self.prefixes.get(key, '')}{key}={text}" for key, text in texts.items())
        return [*self.deletions, *changed, *self.constant]

    def _configured(self, params: dict[str, Any], space: Any) -> DictConfig | None:
        """The config of a trial that was not drawn yet; None where there cannot be one, as the trial will say."""
        loader = self.hydra_context.config_loader
        found: DictConfig | None = None
        with suppress(HydraException, OmegaConfBaseException):
            found = loader.load_sweep_config(self.config, self._overridden(params, space))
        return found

    def _launch(self, jobs: list[list[str]], numbers: list[int]) -> list[Any]:
        """What each job returned, or the exception it ended by.

        A launcher that loses a job (its process was killed, its node went away) tells nothing of the others. They are
        launched again one by one: what they had finished is found in the caches, those that still run hold the locks of
        what they make, and only a job that is lost again fails. A launcher that loses all ends the sweep.
        """
        try:
            results = self.launcher.launch(jobs, initial_job_idx=numbers[0])
            self.lost = 0
        except Exception as error:  # each launcher has its own
            self.lost += len(jobs) == 1
            if self.lost > LOST_JOBS:
                raise
            if len(jobs) == 1:
                return [error]
            log.warning("the launcher lost a job of trials %s, launched again one by one: %s", numbers, error)
            return [self._launch([job], [number])[0] for job, number in zip(jobs, numbers, strict=True)]
        # The value or the exception; `return_value` would print the overrides before raising it.
        return [result._return_value for result in results]

    def _sampler(self, seed: int) -> Any:
        """A fresh sampler. Raises MillisError if its config does not make one."""
        config = self.options.sampler
        from optuna.exceptions import ExperimentalWarning

        if "_target_" not in config:
            raise MillisError(
                f"hydra.sweeper.sampler needs a _target_ such as optuna.samplers.TPESampler, got {config!r}"
            )
        if "seed" in config:
            raise MillisError("hydra.sweeper.sampler has its own seed; set hydra.sweeper.seed, which seeds each trial")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return instantiate(config, **({"seed": seed} if _takes_seed(config) else {}))
        except Exception as error:  # Hydra wraps whatever the constructor raised
            reason = error.__cause__ or error
            raise MillisError(f"hydra.sweeper.sampler cannot be made from {config}: {reason}") from error

    @staticmethod
    def _notify(listener: Any, *told: Any) -> None:
        try:
            listener.told(*told)
        except Exception:
            log.exception("the listener failed on trial %d; the sweep goes on", told[0])


def _at(others: dict[int, str]) -> str:
    return ", ".join(f"trial {number} on host {host}" for number, host in others.items())


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _takes_seed(sampler: dict[str, Any]) -> bool:
    return "seed" in inspect.signature(get_class(sampler["_target_"])).parameters
