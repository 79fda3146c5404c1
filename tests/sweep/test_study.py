"""Studies: what is told, what survives a dead worker, what two workers share, what is refused."""

import math
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState

import millis
from millis.errors import MillisError
from millis.sweep.lease import LEASE_S, Observed, beating
from millis.sweep.result import Result
from millis.sweep.space import Space
from millis.sweep.storage import Place
from millis.sweep.study import SharedStudy, finished, trial_seed

DIRECTIONS = {"accuracy": "maximize", "latency_ms": "minimize"}
SPACE = Space.parse(
    {
        "student": {"choice": ["transformer", "static"]},
        "student.layers": {"int": [1, 6], "when": {"student": "transformer"}},
        "temperature": {"float": [1.0, 8.0]},
    },
    {},
)


def share(storage: str | None = None, **options: Any) -> SharedStudy:
    settings = {
        "name": "s",
        "directions": DIRECTIONS,
        "sampler": lambda seed: optuna.samplers.RandomSampler(seed=seed),
        "seed": 7,
    }
    return SharedStudy(storage=storage, **{**settings, **options})


def result(accuracy: float | None = 90.0, latency_ms: float = 1.0, **constraints: float) -> dict[str, dict[str, float]]:
    quality = {} if accuracy is None else {"accuracy": accuracy}
    return {"metrics": {**quality, "latency_ms": latency_ms}, "constraints": constraints}


def run(shared: SharedStudy, n_trials: int, space: Space = SPACE) -> list[dict[str, Any]]:
    """Ask and tell until there are `n_trials`; deeper is better and slower, and above 4 layers violates."""
    drawn = []
    with shared.working():
        while asked := shared.ask(space, n_trials):
            [(trial, params)] = asked
            layers = params.get("student.layers", 0)
            shared.tell(trial, result(80.0 + layers if layers <= 4 else None, float(layers), budget=layers / 4 - 1))
            drawn.append(params)
    return drawn


@pytest.fixture(params=["sqlite", "journal"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}:///{tmp_path}/deep/study.db"


# What is told


def test_a_skipped_trial_teaches_the_sampler_and_is_never_on_the_front() -> None:
    shared = share()
    for returned in (result(90.0, 3.0), result(70.0, 2.0), result(None, 0.1, budget=0.5)):
        [(trial, _)] = shared.ask(SPACE, 9)
        shared.tell(trial, returned)
    skipped = shared.study.trials[2]
    assert skipped.state == TrialState.COMPLETE
    assert skipped.values == [70.0, 0.1]  # accuracy: the worst known; the latency is its own
    assert skipped.constraints == {"violation": 0.5}
    # It has the lowest latency, so it would be on the front were it feasible.
    assert [trial.number for trial in shared.study.best_trials] == [0, 1]
    row = finished(shared.study)[2]
    assert row["skipped"] and not row["feasible"] and not row["on_front"]
    assert row["metrics"] == {"latency_ms": 0.1}


def test_worst_known_does_not_count_values_that_were_filled_in() -> None:
    shared = share()
    for returned in (result(None, 1.0, b=1.0), result(90.0, 1.0), result(None, 1.0, b=1.0)):
        [(trial, _)] = shared.ask(SPACE, 9)
        shared.tell(trial, returned)
    # At first nothing is known: 0. The third gets 90, the worst that was measured, not the 0 of the first.
    assert [trial.values[0] for trial in shared.study.trials] == [0.0, 90.0, 90.0]


def test_the_violation_is_the_largest_constraint() -> None:
    assert Result.read(result(b=-0.5, c=0.25), list(DIRECTIONS)).violation == 0.25
    assert Result.read(result(b=-0.5, c=-0.25), list(DIRECTIONS)).violation == -0.25
    assert Result.read(result(), list(DIRECTIONS)).violation == 0.0


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "the task returned None; expected {'metrics'"),
        ({"accuracy": 1.0}, "expected {'metrics'"),
        ({"metrics": 3}, "expected {'metrics'"),
        (result(math.nan), "metric accuracy=nan; expected a finite number"),
        (result(90.0, math.inf), "metric latency_ms=inf; expected a finite number"),
        (result(budget=math.nan), "constraint budget=nan; expected a finite number"),
        (result(budget=-math.inf), "constraint budget=-inf"),
        (result("high"), "accuracy='high'; expected a number"),  # type: ignore[arg-type]
        ({"metrics": {"acuracy": 9.0, "latency_ms": 1.0}}, "did you mean 'acuracy'"),
        (result(None, 1.0, budget=-0.1), "Only a trial that violates a constraint, or was ended before its time, may"),
    ],
)
def test_a_bad_result_fails_its_trial_with_the_reason(returned: Any, message: str) -> None:
    shared = share()
    [(trial, _)] = shared.ask(SPACE, 9)
    told = shared.tell(trial, returned)
    assert isinstance(told, str) and re.search(message, told)
    assert shared.study.trials[0].state == TrialState.FAIL
    assert message.split(";", maxsplit=1)[0] in finished(shared.study)[0]["error"]


def test_no_result_at_all_names_the_last_error() -> None:
    shared = share()
    shared.require_a_result()  # nothing was tried: nothing to say
    for error in (ValueError("first"), MillisError("the disk is full")):
        [(trial, _)] = shared.ask(SPACE, 9)
        shared.fail(trial, error)
    with pytest.raises(MillisError, match=r"all 2 trials of study 's' failed; the last with: the disk is full\."):
        shared.require_a_result()
    assert [row["error"] for row in finished(shared.study)] == ["ValueError: first", "the disk is full"]
    [(trial, _)] = shared.ask(SPACE, 9)
    shared.tell(trial, result())
    shared.require_a_result()


# Resuming


def test_a_resumed_study_draws_what_an_unbroken_one_draws(url: str) -> None:
    unbroken = run(share(), 6)
    assert [*run(share(url), 3), *run(share(url), 6)] == unbroken
    assert len({str(params) for params in unbroken}) == 6
    assert run(share(url), 6) == []  # n_trials is a total


def test_neighbouring_seeds_share_no_draws() -> None:
    assert len({trial_seed(seed, count) for seed in range(20) for count in range(20)}) == 400


def test_the_trial_of_a_dead_worker_is_tried_again_with_its_parameters(url: str) -> None:
    dead = share(url)
    with dead.working():
        [(done, _)] = dead.ask(SPACE, 4)
        dead.tell(done, result())
        [(_, unfinished)] = dead.ask(SPACE, 4)
    drawn = run(share(url), 4)
    assert drawn[0] == unfinished
    trials = share(url).study.trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert trials[1].user_attrs["interrupted"] is True
    assert trials[2].user_attrs["retry_of"] == 1
    assert [row["number"] for row in finished(share(url).study)] == [0, 2, 3, 4]


def test_a_live_workers_trial_is_left_alone(url: str) -> None:
    a, b = share(url), share(url)
    with a.working(), b.working():
        [(trial, _)] = a.ask(SPACE, 3)
        [(other, _)] = b.ask(SPACE, 3)
        assert (trial.number, other.number) == (0, 1)
        assert [t.state for t in b.study.trials] == [TrialState.RUNNING] * 2
        assert len(b.ask(SPACE, 3, at_most=5)) == 1  # what runs elsewhere counts
        a.tell(trial, result())
    assert b.study.trials[0].state == TrialState.COMPLETE


def test_a_lock_tells_of_workers_under_the_same_kernel_only(tmp_path: Path) -> None:
    place = Place(f"sqlite:///{tmp_path}/s.db")
    assert place.gone({"id": "gone", "host": "another container", "boot": place.worker["boot"]})
    assert not place.gone({"id": "gone", "host": platform.node(), "boot": "another node that a pod came back on"})
    assert place.gone(None)
    assert not place.gone(place.worker)


class Clock:
    """Seconds, as a test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def elsewhere(url: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> SharedStudy:
    """A worker under another kernel, on one storage with the others."""
    with monkeypatch.context() as patch:
        patch.setattr("millis.sweep.storage.this_worker", lambda: {"id": "far", "host": "far", "boot": "another"})
        return share(url, **options)


def test_a_worker_that_died_on_another_machine_is_found_when_its_lease_ends(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, near, clock = elsewhere(url, monkeypatch), share(url), Clock()
    near._observed = Observed(clock)
    with near.working():
        [(_, unfinished)] = dead.ask(SPACE, 1)
        for now in (0.0, LEASE_S):
            clock.now = now
            assert near.ask(SPACE, 1) == [] and near.others() == {0: "far"}
        dead._beat()  # it lives after all
        for now in (LEASE_S + 1, 2 * LEASE_S + 1):
            clock.now = now
            assert near.ask(SPACE, 1) == []
        clock.now = 2 * LEASE_S + 2
        [(trial, params)] = near.ask(SPACE, 1)
        assert params == unfinished and trial.user_attrs["retry_of"] == 0
        assert near.others() == {}


def test_a_living_worker_elsewhere_gives_signs_of_life_and_stops_with_its_trial(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millis.sweep.study.beating", lambda beat: beating(beat, every_s=0.02))
    far, near = elsewhere(url, monkeypatch), share(url)

    def beat(number: int = 0) -> Any:
        return near.study.get_trials(deepcopy=False)[number].user_attrs.get("beat", 0)

    with far.working():
        [(trial, _)] = far.ask(SPACE, 2)
        first, deadline = beat(), time.monotonic() + 30
        while beat() <= first and time.monotonic() < deadline:
            time.sleep(0.01)
        assert beat() > first
        far.tell(trial, result())
        last = beat()
        time.sleep(0.1)
        assert beat() == last


def test_a_worker_killed_while_recovering_leaves_one_retry(url: str) -> None:
    dead = share(url)
    with dead.working():
        dead.ask(SPACE, 3)
    dead.study.enqueue_trial({"student": "static"}, user_attrs={"retry_of": 0, "attempt": 2})  # and then it died
    run(share(url), 2)
    assert [trial.user_attrs.get("retry_of") for trial in share(url).study.trials] == [None, 0, None]


def test_a_trial_that_keeps_killing_its_worker_is_given_up(url: str) -> None:
    for _ in range(3):
        dead = share(url, retries=2)
        with dead.working():
            [(trial, _)] = dead.ask(SPACE, 1)
    assert trial.user_attrs["attempt"] == 3
    run(share(url), 1)
    trials = share(url).study.trials
    assert trials[2].user_attrs["error"] == "its worker died in all 3 attempts (out of memory?)"
    assert [trial.state.name for trial in trials] == ["FAIL", "FAIL", "FAIL", "COMPLETE"]
    assert "retry_of" not in trials[3].user_attrs


def test_no_files_are_left_of_workers_that_ended(url: str, tmp_path: Path) -> None:
    code = f"import os; from millis.sweep.storage import Place\nwith Place({url!r}).working(): os.kill(os.getpid(), 9)"
    environment = {**os.environ, "PYTHONPATH": str(Path(millis.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == -9
    assert len(list((tmp_path / "deep").rglob("*.workers/*"))) == 1
    run(share(url), 1)
    assert not list((tmp_path / "deep").rglob("*.workers"))


def test_recipes_are_enqueued_once(url: str) -> None:
    recipes = [{"student": "transformer", "student.layers": 3}, {"student": "static"}]
    for _ in range(2):
        shared = share(url)
        shared.enqueue(recipes)
        shared.enqueue(recipes)
        drawn = run(shared, 2)
    assert drawn == []
    trials = share(url).study.trials
    assert len(trials) == 2
    assert trials[0].params["student.layers"] == 3
    assert trials[1].params["student"] == "static"
    assert "temperature" in trials[1].params  # what a recipe leaves out is drawn


def test_what_was_begun_is_known_with_what_is_to_be_tried_again(url: str) -> None:
    recipes = [{"student": "transformer", "student.layers": layers} for layers in (3, 4)]
    first = share(url)
    assert first.begun(recipes) == ([], 0)
    first.enqueue(recipes[:1])
    run(first, 1)
    first.ask(SPACE, 2)  # and its worker is gone
    assert share(url).begun(recipes) == (recipes[:1], 2)
    second = share(url)
    second.ask(SPACE, 0)  # it is noticed
    assert [trial.state.name for trial in second.study.trials] == ["COMPLETE", "FAIL", "WAITING"]
    assert second.begun(recipes) == (recipes[:1], 2)


@pytest.mark.parametrize("returned", [result(), None, ValueError("too late")])
def test_a_worker_wrongly_taken_for_dead_goes_on(url: str, returned: Any, caplog: pytest.LogCaptureFixture) -> None:
    slow, other = share(url), share(url)
    [(trial, _)] = slow.ask(SPACE, 2)  # its lock is not held: it went with a broken connection, say
    with other.working():
        [(again, _)] = other.ask(SPACE, 2)
        assert slow.tell(trial, returned) is None
        assert "trial 0 was ended by another worker" in caplog.text
        assert other.tell(again, result()) is not None
    trials = share(url).study.trials
    assert [trial.state.name for trial in trials] == ["FAIL", "COMPLETE"]
    assert trials[0].user_attrs["interrupted"] and "metrics" not in trials[0].user_attrs
    assert len(run(slow, 2)) == 1


def test_trials_set_aside_are_as_if_never_tried(url: str) -> None:
    shared = share(url)
    shared.enqueue([{"student": "static"}])
    for _ in range(2):
        [(trial, _)] = shared.ask(SPACE, 2)
        shared.fail(trial, ValueError("the network is down"))
    shared.set_aside([0])
    assert [row["number"] for row in finished(shared.study)] == [1]
    resumed = share(url)
    resumed.enqueue([{"student": "static"}])
    assert [params["student"] for params in run(resumed, 2)] == ["static"]
    resumed.set_aside([1])
    assert len(run(resumed, 3)) == 2, "trials set aside before stay so"


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_recipe_whose_retry_was_set_aside_is_tried_again(url: str, deaths: int) -> None:
    shared = share(url)
    shared.enqueue([{"student": "static"}])
    for _ in range(deaths):
        shared.ask(SPACE, 2)  # its worker's death
        shared = share(url)
        shared.enqueue([{"student": "static"}])
    with shared.working():
        [(retry, params)] = shared.ask(SPACE, 2)
        assert params["student"] == "static"
        shared.fail(retry, OSError("no space left"))
    shared.set_aside([retry.number])
    assert retry.number == deaths and finished(shared.study) == []
    resumed = share(url)
    resumed.enqueue([{"student": "static"}])
    with resumed.working():
        [(_, params)] = resumed.ask(SPACE, 2)
    assert params["student"] == "static"
    assert resumed.study.trials[-1].user_attrs["enqueued"] == {"student": "static"}


# Samplers


@pytest.mark.parametrize(
    "sampler",
    [
        lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=3, multivariate=True, group=True),
        lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=3),
        lambda seed: optuna.samplers.GPSampler(seed=seed, n_startup_trials=4, deterministic_objective=True),
    ],
    ids=["tpe", "nsga2", "gp"],
)
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_samplers_learn_from_constraints_and_skipped_trials(sampler: Any) -> None:
    torch.set_num_threads(1)
    shared = share(sampler=sampler)
    shared.enqueue([{"student": "transformer", "student.layers": 6}])  # the first is skipped already
    run(shared, 8)
    rows = finished(shared.study)
    assert len(rows) == 8
    assert rows[0]["skipped"]
    assert any(row["on_front"] for row in rows)
    assert all(row["feasible"] and not row["skipped"] for row in rows if row["on_front"])


# Refusals


@pytest.mark.parametrize("damage", ["garbage", "bytes lost"])
def test_a_damaged_file_is_named(url: str, tmp_path: Path, damage: str) -> None:
    run(share(url), 3)
    file = tmp_path / "deep" / "study.db"
    content = file.read_bytes()
    half = len(content) // 2
    shortened = content[:half] + content[half + 99 :] if url.startswith("journal") else content[:half]
    file.write_bytes(b"garbage\n" * 200 if damage == "garbage" else shortened)
    before = file.read_bytes()
    with pytest.raises(MillisError, match=rf"cannot read the study at .*{file.name}: .*move it away to start afresh"):
        share(url)
    assert file.read_bytes() == before


def test_a_file_that_is_no_journal_is_not_cut(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(MillisError, match="not a journal of studies"):
        share(f"journal:///{tmp_path}/notes.txt")
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "precious"


def test_a_journal_whose_writer_was_killed_mid_line_goes_on(tmp_path: Path) -> None:
    url = f"journal:///{tmp_path}/s.log"
    run(share(url), 2)
    with (tmp_path / "s.log").open("ab") as file:
        file.write(b'{"op_code":5,"worker_id":"ab')
    run(share(url), 4)
    assert len(finished(share(url).study)) == 4


def test_other_objectives_are_refused(url: str) -> None:
    share(url)
    with pytest.raises(
        MillisError,
        match="study 's' exists and aims to maximize accuracy, minimize latency_ms; asked was to maximize f1",
    ):
        share(url, directions={"f1": "maximize", "latency_ms": "minimize"})
    reordered = share(url, directions=dict(reversed(DIRECTIONS.items())))
    assert reordered.objectives == ["accuracy", "latency_ms"]  # the study's own order counts
    share(url, name="another", directions={"f1": "maximize"})


def test_another_rule_of_ending_trials_is_refused_once_there_is_a_trial(url: str) -> None:
    rungs = {"_target_": "millis.sweep.rungs.Rungs", "shares": [0.25, 1.0], "kept": 0.5}
    share(url, rule={**rungs, "kept": 0.9})
    shared = share(url, rule=rungs)  # no trial was begun
    run(shared, 1)
    share(url, rule=dict(reversed(rungs.items())))
    with pytest.raises(MillisError) as fault:
        share(url, rule={"_target_": "millis.sweep.rungs.none"})
    assert str(fault.value) == (
        "study 's' began with study.rungs=Rungs(shares=[0.25, 1.0], kept=0.5), now it is none: what one rule ended the "
        "other might not have. Choose another study.name, or restore study.rungs"
    )


def test_a_study_of_before_there_were_rules_has_none(url: str) -> None:
    shared = share(url)
    run(shared, 1)
    share(url, rule={"_target_": "millis.sweep.rungs.none"})
    with pytest.raises(MillisError, match=r"began with study\.rungs=none, now it is Rungs\(kept=0\.5\)"):
        share(url, rule={"_target_": "millis.sweep.rungs.Rungs", "kept": 0.5})


def test_a_trial_that_a_rung_ended_needs_no_quality(url: str) -> None:
    shared = share(url)
    with shared.working():
        for told in (result(80.0, 1.0), {**result(None, 2.0), "attrs": {"ended": "stopped at 1/4"}}):
            [(trial, _)] = shared.ask(SPACE, 2)
            assert not isinstance(shared.tell(trial, told), str)
    rows = finished(shared.study)
    assert [row["metrics"] for row in rows] == [{"accuracy": 80.0, "latency_ms": 1.0}, {"latency_ms": 2.0}]
    assert shared.study.trials[1].values == [80.0, 2.0], "the worst that is known"
    assert [row["on_front"] for row in rows] == [True, False]


def test_another_space_of_the_same_name_is_refused() -> None:
    shared = share()
    run(shared, 4)
    shared.check(SPACE.with_entry("student.layers", {"int": [1, 12]}))  # ranges may change
    shared.check(SPACE.with_value("student", "static"))
    with pytest.raises(MillisError, match=r"has searched student over Cat.*Choose another hydra.sweeper.study_name"):
        shared.check(SPACE.with_entry("student", {"choice": ["static"]}))


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("study.db", "'study.db', which is not a URL; write sqlite:///<path>"),
        ("sqlite://", "names no file"),
        ("sqlite:////proc/none/study.db", "cannot write /proc/none/study.db"),
        (
            "postgresql://me:secret@host/db",
            "storage, at host, holds a password, which records and runs would show",
        ),
        ("postgresql://host/db?password=secret", "storage, at host, holds a password, which records"),
        (
            "postgresql://127.0.0.1:9/db?connect_timeout=5",
            r"cannot use the study at postgresql://127.0.0.1:9/db.*: .*refused",
        ),
        ("oracel://x/y", "cannot use the study at oracel://x/y"),
    ],
)
def test_impossible_storages(storage: str, message: str) -> None:
    if "refused" in message:
        pytest.importorskip("psycopg")
    with pytest.raises(MillisError, match=message) as fault:
        share(storage)
    assert "secret" not in str(fault.value)


@pytest.mark.parametrize(
    ("directions", "message"),
    [({}, "directions is empty"), ({"a": "maximise"}, r"'maximise' \(did you mean 'maximize'")],
)
def test_impossible_directions(directions: dict[str, str], message: str) -> None:
    with pytest.raises(MillisError, match=message):
        share(directions=directions)


def test_a_single_objective() -> None:
    shared = share(directions={"latency_ms": "minimize"})
    run(shared, 4)
    front = {row["metrics"]["latency_ms"] for row in finished(shared.study) if row["on_front"]}
    assert front == {min(row["metrics"]["latency_ms"] for row in finished(shared.study))}
