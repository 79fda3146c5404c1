"""A study killed at any write to its storage, and resumed, draws what it would have drawn unbroken."""

from typing import Any

import optuna
import pytest
import torch
from optuna.storages import InMemoryStorage

from millis.sweep.locks import NoLocks
from millis.sweep.space import Space
from millis.sweep.study import SharedStudy

SPACE = Space.parse(
    {
        "student": {"choice": ["transformer", "static"]},
        "student.layers": {"int": [1, 6], "when": {"student": "transformer"}},
        "temperature": {"float": [1.0, 8.0]},
    },
    {},
)
RECIPES = [{"student": "transformer", "student.layers": 5}, {"student": "static"}]
WRITES = [
    "create_new_trial", "set_trial_param", "set_trial_state_values", "set_trial_user_attr", "set_trial_system_attr",
    "set_study_user_attr", "set_study_system_attr",
]  # fmt: skip


class Killed(BaseException):
    """Nothing catches it."""


class Mortal(InMemoryStorage):
    """Ends its process at the write that comes after so many others. The storage itself survives, as a file would."""

    left = float("inf")
    done = 0


def _mortal(name: str) -> Any:
    def write(self: Mortal, *given: Any, **named: Any) -> Any:
        if self.left == 0:
            raise Killed
        self.left -= 1
        self.done += 1
        return getattr(InMemoryStorage, name)(self, *given, **named)

    return write


for name in WRITES:
    setattr(Mortal, name, _mortal(name))

SAMPLERS = {
    "random": (lambda seed: optuna.samplers.RandomSampler(seed=seed), 5, 1),
    "tpe": (
        lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=3, multivariate=True, group=True),
        6,
        3,
    ),
    "gp": (lambda seed: optuna.samplers.GPSampler(seed=seed, n_startup_trials=3, deterministic_objective=True), 5, 23),
}


def run(storage: Mortal, sampler: Any, n_trials: int) -> None:
    shared = SharedStudy(
        name="s", directions={"accuracy": "maximize", "latency_ms": "minimize"}, storage=None, sampler=sampler, seed=7
    )
    shared.enqueue(RECIPES)
    while asked := shared.ask(SPACE, n_trials):
        [(trial, params)] = asked
        layers = float(params.get("student.layers", 0))
        quality = {"accuracy": 80 + layers + params["temperature"]} if layers <= 4 else {}
        shared.tell(trial, {"metrics": {**quality, "latency_ms": layers}, "constraints": {"budget": layers / 4 - 1}})


def drawn(storage: Mortal) -> list[dict[str, Any]]:
    trials = storage.get_all_trials(0, states=[optuna.trial.TrialState.COMPLETE])
    return [trial.params for trial in trials]


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_killed_anywhere_and_resumed_it_draws_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(NoLocks, "gone", lambda self, worker: True)
    sampler, n_trials, step = SAMPLERS[name]

    def study(*lives: int) -> Mortal:
        storage = Mortal()
        monkeypatch.setattr("millis.sweep.storage.InMemoryStorage", lambda: storage)
        for life in lives:
            storage.left = life
            with pytest.raises(Killed):
                run(storage, sampler, n_trials)
        storage.left = float("inf")
        run(storage, sampler, n_trials)
        return storage

    unbroken = study()
    expected = drawn(unbroken)
    assert len(expected) == n_trials
    for life in range(0, unbroken.done, step):
        assert drawn(study(life)) == expected, f"killed at write {life}"
    middle = unbroken.done // 2
    assert drawn(study(middle, 2)) == expected, "killed again while it recovers"
