import json
import subprocess
import sys

from millis import cpus
from millis.benchmark import environment as module
from millis.benchmark.environment import environment, git_commit, machine

CPUINFO = (
    "processor\t: 0\nmodel name\t: Cool CPU 9\nflags\t\t: fpu avx2 avx512_vnni\n\nprocessor\t: 1\nmodel name\t: Other\n"
)


def test_it_is_json_and_complete():
    values = json.loads(json.dumps(environment()))
    assert set(values) == {"machine", "python", "packages", "load_average", "git_commit", "measured_at"}
    assert {"millis", "torch", "numpy"} <= set(values["packages"])
    assert values["machine"]["cpus"] >= 1


def test_the_processor_is_read_from_its_first_entry(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    monkeypatch.setattr(cpus, "INFO", tmp_path / "cpuinfo")
    assert machine()["cpu"] == "Cool CPU 9"
    assert machine()["cpu_flags"] == ["avx2", "avx512_vnni"]


def test_a_system_without_those_files_still_has_a_description(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GOVERNOR", tmp_path / "none")
    monkeypatch.setattr(module, "GPUS", tmp_path / "none")
    monkeypatch.setattr(cpus, "INFO", tmp_path / "none")
    assert machine()["cpu"] and machine()["cpu_flags"] == []
    assert machine()["governor"] is None
    assert machine()["gpus"] == []


def test_gpus_are_named_as_the_driver_names_them(tmp_path, monkeypatch):
    for place in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "information").write_text("Model: \t\t Fast GPU 1\nIRQ:   \t\t 42\n")
    monkeypatch.setattr(module, "GPUS", tmp_path)
    assert machine()["gpus"] == ["Fast GPU 1", "Fast GPU 1"]


def test_the_commit_and_whether_files_changed(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert git_commit(tmp_path) is None
    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    assert git_commit(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "file").write_text("2")
    assert git_commit(tmp_path) == git("rev-parse", "HEAD") + "+changes"


def test_describing_torch_does_not_import_it():
    script = (
        "import sys; from millis.benchmark.environment import environment; environment(); print('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def test_a_quota_is_part_of_the_machine(monkeypatch):
    monkeypatch.setattr(module, "quota", lambda: 0.2)
    assert machine()["cpu_quota"] == 0.2
