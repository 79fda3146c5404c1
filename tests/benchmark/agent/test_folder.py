import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import millis
from millis.benchmark.agent.folder import own_folder

HOLD = (
    "import sys; from millis.benchmark.agent.folder import own_folder\n"
    "with own_folder('ours-') as folder:\n"
    "    (folder / 'sent').write_text('weights'); print(folder, flush=True); sys.stdin.read()"
)


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The system's temporary folder meanwhile."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def holder():
    """A process that has such a folder."""
    environment = {**os.environ, "PYTHONPATH": str(Path(millis.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    return process, Path(process.stdout.readline().strip())


def test_it_goes_with_what_is_in_it(temporary):
    with own_folder("ours-") as folder:
        (folder / "sent").write_text("weights")
        assert folder.parent.stat().st_mode & 0o077 == 0, "nobody else may look into it"
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_and_that_of_a_living_one_stays(temporary):
    (killed, left), (living, kept) = holder(), holder()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert (left / "sent").is_file()
    with own_folder("ours-"):
        assert not left.parent.exists()
        assert (kept / "sent").read_text() == "weights"
    living.communicate("")
    assert list(temporary.iterdir()) == []


def test_what_is_not_ours_stays(temporary, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "content").mkdir()
    (temporary / "ours-link").symlink_to(elsewhere)
    (temporary / "ours-file").write_text("a file")
    (temporary / "ours-just-being-made").mkdir()
    (temporary / "other-1" / "content").mkdir(parents=True)
    before = sorted(temporary.iterdir())
    with own_folder("ours-"):
        pass
    assert sorted(temporary.iterdir()) == before and (elsewhere / "content").is_dir()
