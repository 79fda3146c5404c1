"""A study on a database server: several workers at once, some of them killed; nothing lost, nothing run twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import create_engine, text

import millis
from millis.errors import MillisError
from millis.sweep.lease import LEASE_S, Observed
from millis.sweep.space import Space
from millis.sweep.storage import Place
from millis.sweep.study import SharedStudy, finished

SPACE = Space.parse({"layers": {"int": [1, 1_000_000]}}, {})

# Writes a line when a trial begins and one when it was told; hangs in its second trial where it is asked to.
WORKER = """
import json, os, sys, time
sys.path.insert(0, sys.argv[3])
from test_postgresql import SPACE, share
url, name, _, hangs = sys.argv[1:]
shared = share(url, name)
with open(f"{os.getpid()}.log", "a") as log, shared.working():
    count = 0
    while asked := shared.ask(SPACE, 12):
        [(trial, params)] = asked
        print(json.dumps(["begun", trial.number, params]), file=log, flush=True)
        count += 1
        if hangs == "1" and count == 2:
            open("hangs", "w").close()
            time.sleep(600)
        time.sleep(0.05)
        shared.tell(trial, {"metrics": {"latency_ms": float(params["layers"])}})
        print(json.dumps(["told", trial.number, params]), file=log, flush=True)
"""


def share(url: str, name: str, **options) -> SharedStudy:
    return SharedStudy(
        name=name,
        directions={"latency_ms": "minimize"},
        storage=url,
        sampler=lambda seed: optuna.samplers.RandomSampler(seed=seed),
        **options,
    )


def worker(folder: Path, url: str, name: str, hangs: bool = False) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(Path(millis.__file__).parents[1])}
    command = [sys.executable, "-c", WORKER, url, name, str(Path(__file__).parent), str(int(hangs))]
    return subprocess.Popen(command, cwd=folder, env=environment)


def lines(folder: Path) -> list:
    return [json.loads(line) for path in folder.glob("*.log") for line in path.read_text().splitlines()]


def test_three_workers_one_of_them_killed(postgresql, tmp_path):
    share(postgresql, "three")
    doomed = worker(tmp_path, postgresql, "three", hangs=True)
    while not (tmp_path / "hangs").exists():
        assert doomed.poll() is None
        time.sleep(0.05)
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    others = [worker(tmp_path, postgresql, "three") for _ in range(2)]
    assert [other.wait(timeout=120) for other in others] == [0, 0]

    study = share(postgresql, "three").study
    trials = study.trials
    assert len(finished(study)) == 12, "as many as were asked for, whoever died"
    assert Counter(trial.state for trial in trials) == {TrialState.COMPLETE: 12, TrialState.FAIL: 1}
    (lost,) = [trial for trial in trials if trial.state == TrialState.FAIL]
    (again,) = [trial for trial in trials if trial.user_attrs.get("retry_of") == lost.number]
    assert again.params == lost.params and again.state == TrialState.COMPLETE, "what it was at is not lost"
    begun, told = ([number for what, number, _ in lines(tmp_path) if what == kind] for kind in ("begun", "told"))
    assert sorted(begun) == list(range(13)), "no trial was handed out twice"
    assert sorted(told) == sorted(set(range(13)) - {lost.number})
    assert len({trial.user_attrs["worker"]["id"] for trial in trials}) == 3


def test_killed_while_the_others_work(postgresql, tmp_path):
    share(postgresql, "during")
    workers = [worker(tmp_path, postgresql, "during", hangs=number == 0) for number in range(3)]
    while not (tmp_path / "hangs").exists():
        time.sleep(0.05)
        if workers[1].poll() is not None and workers[2].poll() is not None:
            pytest.skip("the others were done before the one to be killed had begun")
    workers[0].kill()
    workers[0].wait()
    codes = [one.wait(timeout=120) for one in workers[1:]]
    assert codes == [0, 0]
    share(postgresql, "during")
    trailing = worker(tmp_path, postgresql, "during")  # what the killed one left, if all else was done by then
    assert trailing.wait(timeout=120) == 0
    study = share(postgresql, "during").study
    assert len(finished(study)) == 12
    told = [number for what, number, _ in lines(tmp_path) if what == "told"]
    assert len(told) == len(set(told)) == 12


def test_a_lock_is_seen_from_anywhere_and_ends_with_its_holder(postgresql):
    one, other = Place(postgresql), Place(postgresql)
    elsewhere = {**one.worker, "host": "another machine", "boot": "another kernel"}
    assert other.gone(elsewhere), "it has not begun"
    with one.working():
        assert not other.gone(elsewhere)
        assert not other.gone(elsewhere), "looking does not take it"
        with other.working(), one.lock():
            assert not one.gone(other.worker)
    assert other.gone(elsewhere)


def test_a_frozen_worker_is_found_though_the_server_still_hears_its_machine(postgresql):
    now = [0.0]
    frozen, other = share(postgresql, "frozen"), share(postgresql, "frozen")
    other._observed = Observed(lambda: now[0])
    with frozen.working(), other.working():
        [(_, unfinished)] = frozen.ask(SPACE, 1)
        assert other.ask(SPACE, 1) == []
        frozen._beat()
        for now[0] in (LEASE_S + 1, 2 * LEASE_S):
            assert other.ask(SPACE, 1) == []
        now[0] = 3 * LEASE_S
        [(_, params)] = other.ask(SPACE, 1)
    assert params == unfinished


def test_keep_alives_reach_the_server(postgresql):
    place = Place(postgresql)
    with place._locks.engine.connect() as connection:
        options = connection.engine.url.query["options"]
    assert "tcp_keepalives_idle=30" in options


def test_no_connection_is_left_behind(postgresql):
    count = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    with create_engine(postgresql.replace("postgresql", "postgresql+psycopg", 1)).connect() as connection:
        shared = share(postgresql, "tidy")
        with shared.working():
            assert connection.execute(count).scalar() == 1
            [(trial, _)] = shared.ask(SPACE, 1)
            assert "expected {'metrics'" in str(shared.tell(trial, "no result"))
            assert connection.execute(count).scalar() == 1
        assert connection.execute(count).scalar() == 0


@pytest.fixture
def doomed(postgresql) -> Iterator[tuple[str, Callable[[bool], None]]]:
    """The URL of a database of its own, and what takes it away from everybody (False) or gives it back (True)."""
    server = create_engine(postgresql.replace("postgresql", "postgresql+psycopg", 1), isolation_level="AUTOCOMMIT")

    def allow(connections: bool) -> None:
        with server.connect() as connection:
            connection.execute(text(f"ALTER DATABASE doomed ALLOW_CONNECTIONS {connections}"))
            if not connections:
                connection.execute(
                    text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'doomed'")
                )

    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE doomed"))
        yield postgresql.replace("/postgres?", "/doomed?"), allow
        connection.execute(text("DROP DATABASE doomed WITH (FORCE)"))
    server.dispose()


STOPPED = r"the study at .*/doomed.* stopped working: .*not currently accepting.* run the same command again"


@pytest.mark.parametrize("act", ["tell", "fail", "ask", "check", "require_a_result", "set_aside"])
def test_a_server_that_goes_away_is_one_error_and_loses_nothing(doomed, act):
    url, allow = doomed
    shared = share(url, "s")
    with pytest.raises(MillisError, match=STOPPED), shared.working():
        [(trial, _)] = shared.ask(SPACE, 3)
        shared.tell(trial, {"metrics": {"latency_ms": 1.0}})
        [(trial, unfinished)] = shared.ask(SPACE, 3)
        allow(False)
        {
            "tell": lambda: shared.tell(trial, {"metrics": {"latency_ms": 2.0}}),
            "fail": lambda: shared.fail(trial, ValueError("no")),
            "ask": lambda: shared.ask(SPACE, 3),
            "check": lambda: shared.check(SPACE),
            "require_a_result": shared.require_a_result,
            "set_aside": lambda: shared.set_aside([0]),
        }[act]()
    allow(True)
    resumed = share(url, "s")
    with resumed.working():
        [(_, params)] = resumed.ask(SPACE, 3)
    assert params == unfinished and len(finished(resumed.study)) == 1


def test_a_worker_that_begins_without_its_server(doomed):
    url, allow = doomed
    shared = share(url, "s")
    allow(False)
    with pytest.raises(MillisError, match=STOPPED), shared.working():
        pass


def test_a_server_that_went_away_for_a_while_is_not_missed(doomed):
    url, allow = doomed
    shared = share(url, "s")
    with shared.working():
        [(trial, _)] = shared.ask(SPACE, 1)
        allow(False)
        allow(True)
        shared.tell(trial, {"metrics": {"latency_ms": 1.0}})
    assert len(finished(shared.study)) == 1


def test_a_database_that_is_not_there(postgresql):
    with pytest.raises(
        MillisError, match=r'cannot use the study at .*database "nobody" does not exist.*Check that the server'
    ):
        share(postgresql.replace("/postgres?", "/nobody?"), "s")
