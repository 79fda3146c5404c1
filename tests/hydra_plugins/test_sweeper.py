"""The sweeper under Hydra: a tiny app whose task needs no model, run as users run it."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import optuna
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from hydra_plugins.millis_sweeper import _overrides
from millis.errors import MillisError, Unavailable
from millis.store import atomic_file
from millis.sweep.listener import Agenda
from millis.sweep.space import Space
from millis.sweep.study import finished

SOURCE = Path(__file__).parents[2] / "src"

CONFIG = """
defaults: [{student: transformer}, {backend: eager}, {override hydra/sweeper: optuna}, _self_]
quantization: none
alpha: 0.5
hydra:
  mode: MULTIRUN
  sweep: {dir: out}
  sweeper:
    directions: {accuracy: maximize, latency_ms: minimize}
    storage: journal:///study.log  # SQLite waits for the disk ten times a trial
    sampler: {_target_: optuna.samplers.RandomSampler}
    n_trials: 4
    space:
      student: {choice: [transformer, static]}
      student.layers: {int: [1, 6], when: {student: transformer}}
      alpha: {float: [0.1, 0.9], when: {backend: eager}}
      quantization: {choice: [none, null, true, "a b, c='d'", "1"]}
"""

APP = """
import os, sys, time
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig

here = Path(__file__).parent

@hydra.main(version_base=None, config_path=str(here / "conf"), config_name="config")
def main(config):
    (here / f"begun-{os.getpid()}").touch()
    number = int(Path(HydraConfig.get().runtime.output_dir).name)
    if os.environ.get("HANG_IN") == str(number):
        (here / "hanging").touch()
        time.sleep(600)
    while len(list(here.glob("begun-*"))) < int(os.environ.get("WORKERS", 1)):
        time.sleep(0.02)
    layers = config.student.get("layers", 0)
    return {"metrics": {"accuracy": 80.0 + layers, "latency_ms": 1.0 + layers}, "constraints": {"b": layers / 9 - 1}}

main()
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "app.py": APP,
        "conf/config.yaml": CONFIG,
        "conf/student/transformer.yaml": "layers: 2",
        "conf/student/static.yaml": "width: 64",
        "conf/student/convolution.yaml": "kernel: 3",
        "conf/backend/eager.yaml": "threads: 1",
        "conf/backend/onnxruntime.yaml": "threads: 1",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(app: Path, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=app,
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def benign(config: Any) -> dict[str, Any]:
    layers = config.student.get("layers", 0)
    return {"metrics": {"accuracy": 80.0 + layers, "latency_ms": 1.0 + layers}}


@pytest.fixture
def sweep(app: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., optuna.Study]:
    """Run the app's config with a task in this process; the study afterwards."""

    def run(*arguments: str, task: Callable[[Any], Any] = benign) -> optuna.Study:
        GlobalHydra.instance().clear()
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # lets exceptions through
        monkeypatch.setattr(sys, "argv", ["app.py", *arguments])
        hydra.main(version_base=None, config_path=str(app / "conf"), config_name="config")(task)()
        return load(app)

    return run


def load(app: Path, file: str = "study.log") -> optuna.Study | None:
    if not (app / file).exists():
        return None
    backend = optuna.storages.journal.JournalFileBackend(str(app / file))
    return optuna.load_study(study_name="study", storage=optuna.storages.JournalStorage(backend))


def append(app: Path, **options: Any) -> None:
    config = OmegaConf.load(app / "conf/config.yaml")
    for name, value in options.items():
        OmegaConf.update(config, f"hydra.sweeper.{name}", value, force_add=True)
    OmegaConf.save(config, app / "conf/config.yaml")


# Whole sweeps


def test_a_sweep_gives_jobs_their_values_and_folders(sweep: Callable[..., optuna.Study], app: Path) -> None:
    seen: list[tuple[str, Any]] = []

    def task(config: Any) -> dict[str, Any]:
        seen.append((hydra.core.hydra_config.HydraConfig.get().runtime.output_dir, config.quantization))
        return benign(config)

    values = ["none", None, True, "a b, c='d'", "1"]
    append(app, enqueue=[{"quantization": value} for value in values])
    rows = finished(sweep("hydra.sweeper.n_jobs=3", "hydra.sweeper.n_trials=5", task=task))
    assert [Path(folder).name for folder, _ in seen] == ["0", "1", "2", "3", "4"]
    # Every value arrives as the YAML has it: null is not 'null', '1' is not 1.
    assert [repr(quantization) for _, quantization in seen] == list(map(repr, values))
    for row in rows:
        assert ("student.layers" in row["params"]) == (row["params"]["student"] == "transformer")
    assert (app / "out" / "multirun.yaml").exists()


def test_killed_during_trial_2_it_resumes(app: Path, sweep: Callable[..., optuna.Study]) -> None:
    append(app, storage="sqlite:///study.db")
    worker = start(app, HANG_IN="2")
    deadline = time.monotonic() + 60
    while not (app / "hanging").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    sqlite = optuna.load_study(study_name="study", storage=f"sqlite:///{app}/study.db")
    before = sqlite.trials
    assert [trial.state.name for trial in before] == ["COMPLETE"] * 2 + ["RUNNING"]

    sweep()
    trials = sqlite.trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 2 + ["FAIL"] + ["COMPLETE"] * 2
    assert trials[:2] == before[:2]
    assert trials[3].params == before[2].params
    assert len({str(trial.params) for trial in trials}) == 4  # nothing else was drawn twice
    sweep()
    assert sqlite.trials == trials  # once more changes nothing


def test_two_workers_share_a_study(app: Path) -> None:
    append(app, n_trials=6, storage="sqlite:///study.db")
    workers = [start(app, WORKERS="2") for _ in range(2)]  # no trial ends before both have begun one
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
    trials = optuna.load_study(study_name="study", storage=f"sqlite:///{app}/study.db").trials
    assert [trial.number for trial in trials] == list(range(6))
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert len({trial.user_attrs["worker"]["id"] for trial in trials}) == 2
    assert len({str(trial.params) for trial in trials}) == 6  # they never draw alike


# The command line


def test_command_line_sweeps_replace_and_add(sweep: Callable[..., optuna.Study]) -> None:
    study = sweep("student=static,convolution", "alpha=interval(0,1)", "+note=range(1,4)")
    params = [trial.params for trial in study.trials]
    assert {one["student"] for one in params} <= {"static", "convolution"}
    assert all(0 < one["alpha"] < 1 and "student.layers" not in one for one in params)
    assert {one["note"] for one in params} <= {1, 2, 3}


def test_a_fixed_override_removes_a_key_from_the_search(sweep: Callable[..., optuna.Study], app: Path) -> None:
    layers: list[Any] = []

    def task(config: Any) -> dict[str, Any]:
        layers.append(config.student.get("layers"))
        return benign(config)

    append(app, enqueue=[{"student": "transformer"}, {"student": "static"}], n_trials=2)
    study = sweep("student.layers=3", "quantization='a b'", task=task)
    assert all(set(trial.params) == {"student", "alpha"} for trial in study.trials)
    assert layers == [3, None]  # its condition is kept: a static student has no layers to set


def test_deletions_additions_and_empty_texts_reach_every_job(sweep: Callable[..., optuna.Study]) -> None:
    seen: list[Any] = []

    def task(config: Any) -> dict[str, Any]:
        seen.append(config)
        return benign(config)

    sweep("~quantization", "~hydra.sweeper.space.quantization", "+note=''", "hydra.sweeper.n_trials=2", task=task)
    assert [("quantization" in config, config.note) for config in seen] == [(False, "")] * 2


def test_a_fixed_group_settles_conditions(sweep: Callable[..., optuna.Study]) -> None:
    study = sweep("backend=onnxruntime", "student=transformer", "hydra.sweeper.n_trials=2")
    assert all(set(trial.params) == {"student.layers", "quantization"} for trial in study.trials)


@pytest.mark.parametrize(
    ("override", "kind", "entry"),
    [
        ("k=a,b", None, {"choice": ["a", "b"]}),
        ("k=null,true,'1',2,0.5", None, {"choice": [None, True, "1", 2, 0.5]}),
        ("k=range(1,5)", None, {"int": [1, 4], "step": 1}),
        ("k=range(1,10,4)", None, {"int": [1, 9], "step": 4}),
        ("k=range(5,1,-2)", None, {"int": [3, 5], "step": 2}),
        ("k=range(0,1,0.25)", None, {"float": [0.0, 0.75], "step": 0.25}),
        ("k=range(1,2)", None, {"int": [1, 1]}),
        ("k=interval(0,1)", None, {"float": [0.0, 1.0], "log": False}),
        ("k=interval(1,5)", "int", {"int": [1, 5], "log": False}),
        ("k=int(interval(1,5))", None, {"int": [1, 5], "log": False}),
        ("k=interval(1.5,5)", "int", {"float": [1.5, 5.0], "log": False}),
        ("k=tag(log,interval(1e-4,1))", None, {"float": [1e-4, 1.0], "log": True}),
    ],
)
def test_hydra_sweeps_as_entries(override: str, kind: str | None, entry: dict[str, Any]) -> None:
    [parsed] = OverridesParser.create().parse_overrides([override])
    assert _overrides.entry_of(parsed, kind) == entry


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())


@settings(deadline=None, max_examples=50)
@given(value=VALUES)
def test_a_value_survives_hydras_override_grammar(value: Any) -> None:
    [parsed] = OverridesParser.create().parse_overrides([f"k={_overrides.text_of(value)}"])
    assert not parsed.is_sweep_override()
    assert repr(parsed.value()) == repr(value)  # == would hold True for 1


# Failures


def test_what_is_constant_is_an_override_of_each_trial() -> None:
    config = OmegaConf.create({"study": {"name": "a b-${x}"}, "x": 1, "hydra": {"sweep": {"dir": "out/${study.name}"}}})
    assert _overrides.constants(config, ["hydra.sweep.dir", "study.name"]) == [
        "hydra.sweep.dir='out/a b-1'", "study.name='a b-1'"
    ]  # fmt: skip


def test_a_failing_trial_is_recorded_and_the_sweep_goes_on(sweep: Callable[..., optuna.Study]) -> None:
    def task(config: Any) -> dict[str, Any]:
        if "width" in config.student:
            raise MillisError("static students cannot be distilled here")
        return benign(config)

    rows = finished(sweep(task=task))
    assert {row["error"] for row in rows} == {None, "static students cannot be distilled here"}
    assert len(rows) == 4


def test_a_recipe_that_does_not_compose_fails_its_trial_only(sweep: Callable[..., optuna.Study]) -> None:
    rows = finished(sweep("student=transformer,nothing"))
    errors = {row["params"]["student"]: row["error"] for row in rows}
    assert errors["transformer"] is None
    assert "Could not find 'student/nothing'" in errors["nothing"]


ALIKE = r"the last 4 trials failed alike, so the sweep stops: no answer. Mend .* the same command again: .*do not count"


@pytest.mark.parametrize(("timeout", "minimum", "trials"), [(25, 0, 3), (25, 5, 5), (0, 2, 2), (1000, 0, 6)])
def test_a_time_limit_counts_what_trials_say_and_keeps_the_minimum(
    sweep: Callable[..., optuna.Study], app: Path, timeout: int, minimum: int, trials: int
) -> None:
    def task(config: Any) -> dict[str, Any]:
        return {**benign(config), "attrs": {"training_s": 10.0}}

    append(app, n_trials=6, timeout_s=timeout, minimum=minimum)
    assert len(finished(sweep(task=task))) == trials


@pytest.mark.parametrize("before", [0, 1, 3])
def test_identical_failures_in_a_row_stop_the_sweep_and_are_tried_again(
    sweep: Callable[..., optuna.Study], app: Path, before: int
) -> None:
    calls = 0

    def task(config: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls > before:
            raise MillisError("no answer")
        return benign(config)

    append(app, n_trials=9)
    for attempt in (1, 2):
        with pytest.raises(MillisError, match=ALIKE):
            sweep(task=task)
        assert len(load(app).trials) == before + 4 * attempt
    rows = finished(sweep())
    assert [row["error"] for row in rows] == [None] * 9, "as many as were asked for"
    assert [row["number"] for row in rows[:before]] == list(range(before))


def test_a_trial_that_was_not_tried_for_something_was_away_does_not_count(
    sweep: Callable[..., optuna.Study], app: Path
) -> None:
    calls = 0

    def task(config: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls in (2, 3):
            raise Unavailable("no measuring agent answers")
        return benign(config)

    append(app, n_trials=4, enqueue=[{"student": "static"}, {"student": "transformer", "student.layers": 6}])
    for _ in range(2):
        with pytest.raises(MillisError, match=r"the sweep stops: no measuring agent answers. When it is back, run the"):
            sweep(task=task)
    rows = finished(sweep(task=task))
    assert calls == 6, "each stops it at once"
    assert [row["error"] for row in rows] == [None] * 4, "as many as were asked for"
    assert rows[1]["params"]["student.layers"] == 6, "what was not tried is tried"


def test_failures_that_differ_in_their_files_alone_stop_the_sweep(
    sweep: Callable[..., optuna.Study], app: Path
) -> None:
    def task(config: Any) -> dict[str, Any]:
        raise MillisError(f"cannot read {hydra.core.hydra_config.HydraConfig.get().runtime.output_dir}/x: it is cut")

    append(app, n_trials=9)
    with pytest.raises(MillisError, match=r"the last 4 trials failed alike, so the sweep stops: cannot read .*/3/x"):
        sweep(task=task)
    assert finished(load(app)) == []


def test_a_full_disk_stops_the_sweep_at_once_and_costs_it_nothing(
    sweep: Callable[..., optuna.Study], app: Path
) -> None:
    calls = 0

    def task(config: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls > 1:
            with atomic_file(app / str(calls)) as temporary:
                raise OSError(errno.ENOSPC, "No space left on device", temporary)
        return benign(config)

    with pytest.raises(
        MillisError, match=r"there is no space left, so the sweep stops: cannot write .*Make room and run"
    ):
        sweep(task=task)
    assert calls == 2
    assert [row["error"] for row in finished(sweep())] == [None] * 4, "as many as were asked for"


@pytest.fixture
def left_by_a_dead_machine(sweep: Callable[..., optuna.Study], monkeypatch: pytest.MonkeyPatch) -> None:
    """Trial 0 runs on another machine, whose worker died; leases are short."""

    def dies(config: Any) -> dict[str, Any]:
        raise KeyboardInterrupt  # and leaves its trial running, as if it were killed

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("millis.sweep.storage.this_worker", lambda: {"id": "a", "host": "far", "boot": "another"})
        sweep("hydra.sweeper.n_trials=2", task=dies)
    monkeypatch.setattr("millis.sweep.lease.LEASE_S", 1.5)


@pytest.mark.usefixtures("left_by_a_dead_machine")
def test_a_worker_with_nothing_to_begin_waits_for_the_others_and_takes_over_from_the_dead(
    sweep: Callable[..., optuna.Study], capfd: pytest.CaptureFixture[str]
) -> None:
    trials = sweep("hydra.sweeper.n_trials=2").trials
    assert [trial.state.name for trial in trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert trials[2].user_attrs["retry_of"] == 0 and trials[2].params == trials[0].params
    said = "".join(capfd.readouterr())
    assert "trial 0 was interrupted: its worker is dead; it is tried again" in said


@pytest.mark.usefixtures("left_by_a_dead_machine")
def test_a_sweep_whose_time_is_up_does_not_pass_over_what_a_dead_worker_left(
    sweep: Callable[..., optuna.Study], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MillisError, match=r"time was up before what a dead worker had begun .*trials \[0\] of study"):
        sweep("hydra.sweeper.n_trials=2", "hydra.sweeper.timeout_s=0.1")
    said = "".join(capfd.readouterr())
    assert "waiting for trial 0 on host far, until it has ended or nothing was heard of its worker for 1.5 s" in said
    assert [row["error"] for row in finished(sweep("hydra.sweeper.n_trials=2"))] == [None] * 2


def test_failures_alike_with_a_success_between_do_not_stop_the_sweep(sweep: Callable[..., optuna.Study]) -> None:
    calls = 0

    def task(config: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls % 4:
            raise MillisError("no answer")
        return benign(config)

    rows = finished(sweep("hydra.sweeper.n_trials=8", task=task))
    assert [row["error"] for row in rows] == ([*["no answer"] * 3, None]) * 2


def test_a_sweep_without_any_result_names_the_last_error(sweep: Callable[..., optuna.Study]) -> None:
    def task(config: Any) -> dict[str, Any]:
        raise MillisError("no such data file")

    with pytest.raises(MillisError, match="all 3 trials of study 'study' failed; the last with: no such data file"):
        sweep("hydra.sweeper.n_trials=3", task=task)


def test_a_trial_that_another_worker_ended_is_passed_over(sweep: Callable[..., optuna.Study], app: Path) -> None:
    calls = 0

    def task(config: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls <= 2:
            load(app).tell(calls - 1, state=optuna.trial.TrialState.FAIL)
        if calls == 2:
            raise MillisError("too late")
        return benign(config)

    trials = sweep(task=task).trials
    assert [trial.state.name for trial in trials] == ["FAIL"] * 2 + ["COMPLETE"] * 2
    assert "error" not in trials[1].user_attrs


def test_an_interrupt_leaves_the_trial_to_be_tried_again(sweep: Callable[..., optuna.Study], app: Path) -> None:
    def task(config: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(task=task)
    [interrupted] = load(app).trials
    trials = sweep("hydra.sweeper.n_trials=1").trials
    assert [trial.state.name for trial in trials] == ["FAIL", "COMPLETE"]
    assert trials[1].params == interrupted.params


def test_no_trial_begins_after_the_time_limit(sweep: Callable[..., optuna.Study]) -> None:
    def task(config: Any) -> dict[str, Any]:
        time.sleep(0.3)
        return benign(config)

    assert len(sweep("hydra.sweeper.timeout_s=0.2", task=task).trials) == 1


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("hydra.sweeper.n_trials=0", "hydra.sweeper.n_trials is 0; expected at least 1"),
        ("hydra.sweeper.sampler._target_=optuna.samplers.TPESamplr", "sampler cannot be made from .*TPESamplr"),
        ("+hydra.sweeper.sampler.seed=3", "set hydra.sweeper.seed"),
        ("+hydra.sweeper.sampler.populationsize=3", "sampler cannot be made from .*populationsize"),
        ("+hydra.sweeper.space.alpah.float=[1]", "search space, alpah: 'float' needs two numbers"),
        ("+hydra.sweeper.enqueue=[{studnt: static}]", r"'studnt', which is not in the search space \(did you mean"),
    ],
)
def test_faults_in_the_config(sweep: Callable[..., optuna.Study], app: Path, argument: str, message: str) -> None:
    with pytest.raises(MillisError, match=message):
        sweep(argument)
    assert not (app / "study.log").exists()


# Listening, queueing, samplers


class Notebook:
    """A listener that remembers, leaves options out, and fails to note trial 1."""

    pages: list[tuple[Any, ...]] = []  # noqa: RUF012
    agenda: Agenda | None = None

    def possible(self, config: Any, space: Space) -> Space:
        self.pages.append(("possible", config.hydra.sweep.dir, config.student.layers))
        return space.with_entry("quantization", {"choice": ["1", "none"]})

    def start(self, config: Any, recipes: Any, begun: Any) -> Agenda | None:
        self.pages.append(("start", config.hydra.sweep.dir, config.student.layers))
        self.pages += [("recipe", params, trial.student.layers) for params, trial in recipes]
        self.pages += [("begun", begun.trials, params, trial.student.layers) for params, trial in begun.recipes]
        return self.agenda

    def told(self, trial_number: int, n_trials: int, params: Any, metrics: Any, error: Any) -> None:
        if trial_number == 1:
            raise OSError("no ink")
        self.pages.append((trial_number, n_trials, dict(params), metrics, error))

    def end(self, study: optuna.Study) -> None:
        self.pages.append(("end", len(study.trials)))


def notebook() -> Notebook:
    Notebook.pages = []
    return Notebook()


def test_a_listener_hears_all(
    sweep: Callable[..., optuna.Study], app: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "a_listener", sys.modules[__name__])
    monkeypatch.setenv("MILLIS_TRUSTED_TARGETS", "a_listener")
    append(app, listener={"_target_": "a_listener.notebook"}, n_trials=3)
    trials = sweep().trials
    heard = Notebook.pages
    assert heard[:2] == [("possible", "out", 2), ("start", "out", 2)]
    assert [page[:2] for page in heard[2:]] == [(0, 3), (2, 3), ("end", 3)]
    assert heard[2][2] == trials[0].params
    assert heard[2][3] == trials[0].user_attrs["metrics"]
    assert {trial.params["quantization"] for trial in trials} <= {"1", "none"}


def test_a_listener_may_plan_what_is_done(
    sweep: Callable[..., optuna.Study], app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recipes that it leaves out are not tried, nor more than it says."""
    monkeypatch.setitem(sys.modules, "a_listener", sys.modules[__name__])
    monkeypatch.setenv("MILLIS_TRUSTED_TARGETS", "a_listener")
    recipes = [{"student": "transformer", "student.layers": layers} for layers in (5, 4, 3)]
    monkeypatch.setattr(Notebook, "agenda", Agenda([recipes[0], recipes[2]], 3))
    append(app, listener={"_target_": "a_listener.notebook"}, n_trials=9, enqueue=recipes)
    trials = sweep().trials
    assert [page for page in Notebook.pages if page[0] == "recipe"] == [
        ("recipe", recipe, recipe["student.layers"]) for recipe in recipes
    ]
    assert [trial.user_attrs.get("enqueued") for trial in trials] == [recipes[0], recipes[2], None]
    monkeypatch.setattr(Notebook, "agenda", Agenda([], 4))
    sweep()  # resumed
    assert [page for page in Notebook.pages if page[0] in ("recipe", "begun")] == [
        ("recipe", recipes[1], 4), ("begun", 3, recipes[0], 5), ("begun", 3, recipes[2], 3)
    ]  # fmt: skip


def test_recipes_come_first_once_and_only_if_the_command_line_admits_them(
    sweep: Callable[..., optuna.Study], app: Path
) -> None:
    recipes = [{"student": "transformer", "student.layers": 5}, {"student": "static", "quantization": None}]
    append(app, enqueue=recipes)
    sweep("hydra.sweeper.n_trials=3")
    trials = sweep("hydra.sweeper.n_trials=5").trials
    assert trials[0].params["student.layers"] == 5
    assert trials[1].params["student"] == "static" and trials[1].params["quantization"] is None
    assert len(trials) == 5

    append(app, storage="journal:///other.log")
    sweep("student=static", "hydra.sweeper.n_trials=2")
    other = load(app, "other.log").trials
    assert [trial.user_attrs.get("enqueued") for trial in other] == [recipes[1], None]


def test_the_default_study_has_its_folder_made(sweep: Callable[..., optuna.Study], app: Path) -> None:
    config = OmegaConf.load(app / "conf/config.yaml")
    del config.hydra.sweeper.storage
    del config.hydra.sweeper.sampler
    OmegaConf.save(config, app / "conf/config.yaml")
    sweep("hydra.sweeper.n_trials=2", "hydra.sweeper.study_name=mine")
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{app}/outputs/studies/mine.db")
    assert len(study.trials) == 2


def test_a_sampler_without_a_seed_is_said_to_have_none(
    sweep: Callable[..., optuna.Study], app: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wrapped = {"_target_": "optuna.samplers.PartialFixedSampler", "fixed_params": {"student": "static"}}
    append(app, sampler={**wrapped, "base_sampler": {"_target_": "optuna.samplers.RandomSampler"}})
    study = sweep("hydra.sweeper.n_trials=2")
    assert {trial.params["student"] for trial in study.trials} == {"static"}
    out = capfd.readouterr()
    assert "PartialFixedSampler takes no seed" in out.out + out.err


def test_starting_hydra_loads_neither_optuna_nor_torch() -> None:
    code = (
        "import sys; from hydra.core.plugins import Plugins; Plugins.instance();"
        "import hydra_plugins.millis_sweeper.sweeper;"
        "assert not {'optuna', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(SOURCE)}, timeout=60)
