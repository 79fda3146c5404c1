"""What ends a command: SIGINT and SIGTERM, wherever it is, and however deep."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from tiny import TINY, write_data

import millis
from millis.cli import signals
from millis.cli.signals import stoppable
from millis.store import locked

SOURCE = str(Path(millis.__file__).parents[1])
STATUS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}


def started(code, *arguments, folder=None):
    """A process of its own session, so that who lives in it can be counted."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env={**os.environ, "PYTHONPATH": SOURCE},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def read_until(process, words):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def children(pid):
    """Processes that have `pid` for an ancestor."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(stat.parent.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_is_an_interrupt_that_knows_its_number(number):
    # In processes of their own, here and below: a signal that goes astray would take all other tests with it, and what
    # runs in the background is started with SIGINT ignored.
    process = started(
        """
        import os, signal, sys, threading, time
        from millis.cli.signals import stoppable
        number = int(sys.argv[1])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        before = signal.getsignal(number)
        try:
            with stoppable() as ending:
                os.kill(os.getpid(), number)
                time.sleep(60)
        except KeyboardInterrupt:
            watched = [thread for thread in threading.enumerate() if thread.name == "signals"]
            print(ending.status, ending.sentence.split(";")[0], signal.getsignal(number) == before, watched)
        """,
        str(int(number)),
    )
    status, sentence = STATUS[number]
    assert process.communicate(timeout=60)[0] == f"{status} {sentence} True []\n"


def test_a_signal_that_is_ignored_stays_so():
    process = started("""
        import os, signal
        from millis.cli.signals import stoppable
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with stoppable():
            os.kill(os.getpid(), signal.SIGINT)
        print("went on")
    """)
    assert process.communicate(timeout=60)[0] == "went on\n"


def test_in_another_thread_nothing_changes():
    def use():
        with stoppable() as ending:
            found.append(ending.status)

    found = []
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert found == [130]


DEAF = {
    "in a library's call": "hashlib.pbkdf2_hmac('sha256', b'', b'', (1 << 31) - 1)",
    "swallowing it": "exec('while True:\\n try: time.sleep(600)\\n except BaseException: pass')",
}


@pytest.mark.parametrize("deaf", DEAF)
def test_who_does_not_hear_is_ended_all_the_same(deaf):
    process = started(f"""
        import hashlib, threading, time
        from millis.cli import signals
        signals.GRACE_S = 0.2
        with signals.stoppable():
            threading.Timer(0.3, print, ["deaf"], {{"flush": True}}).start()  # by then it is
            {DEAF[deaf]}
    """)
    read_until(process, "deaf")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "terminated; run the same command again to go on from here\n"
    assert process.returncode == 143


def test_who_takes_time_is_not_ended():
    process = started("""
        import signal, time
        from millis.cli import signals
        signals.GRACE_S = 0.1
        with signals.stoppable() as ending:
            ending.take_time()
            signal.signal(signal.SIGTERM, lambda *_: print("finished", flush=True))
            print("ready", flush=True)
            time.sleep(1.5)
    """)
    read_until(process, "ready")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "finished\n"
    assert process.returncode == 0


RUN = "import sys; from millis.cli.main import main; sys.argv[0] = 'millis'; main()"


def test_both_graces_fit_into_half_a_minute():
    assert signals.GRACE_S + signals.LEAVE_S < 30


@pytest.mark.parametrize("devices", [1, 2])
def test_a_training_that_is_terminated_says_so_and_takes_its_processes_along(tmp_path, devices):
    write_data(tmp_path / "data")
    process = started(
        RUN, "train", *TINY, f"data.path={tmp_path / 'data'}", f"paths.outputs={tmp_path / 'outputs'}",
        "teacher.trainer.max_epochs=100000", "teacher.trainer.patience=100000", f"teacher.trainer.devices={devices}",
        folder=tmp_path,
    )  # fmt: skip
    read_until(process, "epoch 3/")
    others = children(process.pid)
    assert len(others) == devices - 1
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 143, said
    assert said.strip().splitlines()[-1] == "terminated; run the same command again to go on from here"
    assert not [pid for pid in others if Path(f"/proc/{pid}").exists()]


def test_a_command_that_waits_for_a_lock_ends_too(tmp_path):
    code = """
        import sys, time
        from pathlib import Path
        from types import SimpleNamespace
        from millis.cli.main import run
        from millis.store import locked

        output = Path(sys.argv[1]) / "output"

        def waits(cfg):
            with locked(output):
                pass

        sys.modules["millis.cli.report"] = SimpleNamespace(run=waits)
        sys.exit(run("report", [f"paths.outputs={sys.argv[1]}"]))
    """
    with locked(tmp_path / "output"):
        process = started(code, str(tmp_path), folder=tmp_path)
        said = read_until(process, "waiting for output")
        assert f"(process {os.getpid()}, since " in said
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30)[0] == "terminated; run the same command again to go on from here\n"
    assert process.returncode == 143
