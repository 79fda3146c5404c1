"""`millis agent` as a process, and a command that measures there."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from signatures import answering
from specs import static
from tiny import TINY, millis, write_data

import millis as package
from millis.benchmark.agent.server import Agent
from millis.errors import MillisError
from millis.pipeline.analysis import Analysis, check
from millis.record import read_records
from millis.storage.cascade_spec import CASCADE, CascadeSpec
from millis.storage.manifest import Manifest

TOKEN = "a-token-of-the-tests"
SERVE = "import sys; sys.argv[1:] = ['agent', 'port=0']; from millis.cli.main import main; main()"


@pytest.fixture
def address(tmp_path, monkeypatch):
    """A running agent's; it leaves nothing behind when it is terminated."""
    temporary = tmp_path / "device"
    temporary.mkdir()
    environment = {
        **os.environ,
        "MILLIS_AGENT_TOKEN": TOKEN,
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(Path(package.__file__).parents[1]),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE], stderr=subprocess.PIPE, text=True, cwd=temporary, env=environment
    )
    said = process.stderr.readline()
    monkeypatch.setenv("MILLIS_AGENT_TOKEN", TOKEN)
    yield re.search(r"benchmark.where=(\S+)", said)[1]
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert "measured transformer 1x32" in rest and TOKEN not in said + rest
    assert list(temporary.glob("millis-*/.scratch.*")) == []


def test_a_command_measures_there_and_its_record_says_so(address, tmp_path, capsys):
    write_data(tmp_path / "data")
    common = [*TINY, f"data.path={tmp_path / 'data'}", f"benchmark.where={address}"]
    assert millis(tmp_path, "compress", *common, "student.layers=1", "quantization=dynamic") == 0
    output = capsys.readouterr().out
    records = read_records(Path(re.search(r"records: (\S+)", output)[1]))
    assert [record.environment["agent"]["where"] for record in records] == [address] * 4
    written = [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert written == []


def test_a_sweep_measures_there_and_its_records_say_so(address, tmp_path):
    write_data(tmp_path / "data")
    common = [*TINY, f"data.path={tmp_path / 'data'}", f"benchmark.where={address}"]
    space = ["student=transformer", "student.layers=1", "quantization=none,dynamic", "study.n_trials=2"]
    assert millis(tmp_path, "sweep", *common, *space) == 0
    (path,) = (tmp_path / "outputs" / "sweep").glob("*/records.jsonl")
    records = read_records(path)
    assert {record.kind for record in records} == {"teacher", "baseline", "linear", "student"}
    assert {record.environment["agent"]["where"] for record in records} == {address}


@pytest.mark.parametrize(
    ("backend", "spec"),
    [
        ("inductor", static()),
        (
            CASCADE,
            CascadeSpec(threshold=0.5, members={"fast": {"backend": "eager"}, "accurate": {"backend": "inductor"}}),
        ),
    ],
    ids=["alone", "member"],
)
def test_machine_code_is_refused_before_anything_is_measured(backend, spec):
    manifests = {"compiled": Manifest("compiled", backend, spec, answering("a", "b"), ("input_ids",), 8)}
    with pytest.raises(MillisError, match=r"'compiled' is made by backend=inductor, .* an agent runs no code that"):
        check(Analysis(), "http://phone:1", manifests)


def test_without_a_token_it_does_not_start(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("MILLIS_AGENT_TOKEN", raising=False)
    monkeypatch.delenv("MILLIS_AGENT_TOKEN_FILE", raising=False)
    assert millis(tmp_path, "agent", "port=0") == 1
    assert "error: a measuring agent needs a token: set MILLIS_AGENT_TOKEN" in capsys.readouterr().err


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_listening_to_a_network_without_encryption_is_said(tmp_path, capsys, monkeypatch, host, warned):
    monkeypatch.setenv("MILLIS_AGENT_TOKEN", TOKEN)
    monkeypatch.setattr(Agent, "serve", lambda self: None)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert millis(tmp_path, "agent", "port=0", f"host={host}") == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ("this is unencrypted" in capsys.readouterr().err) is warned


def test_one_that_finishes_a_measurement_has_the_time(tmp_path):
    """Leaving waits for what is being measured, which may take minutes. In a process of its own: it gets a signal."""
    code = """
        import os, signal, time
        from millis.benchmark.agent.server import Agent
        from millis.cli import signals
        from millis.cli.main import run

        def serve(agent):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.3)

        signals.GRACE_S = 0.05
        Agent.serve, Agent.stop = serve, lambda agent: print("stopped")
        print(run("agent", ["port=0"]))
    """
    environment = {
        **os.environ,
        "MILLIS_AGENT_TOKEN": TOKEN,
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(Path(package.__file__).parents[1]),
    }
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stdout) == (0, "stopped\n0\n"), ended.stderr
