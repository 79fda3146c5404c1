"""Temporaries: held while their maker lives, removed by the next when it was killed."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import millis
from millis import temporaries
from millis.errors import MillisError
from millis.store import atomic_file, atomic_folder, locked
from millis.temporaries import OLD_S, discard, moved_aside, partial_folder, private_folder, scratch_folder, tidy

SOURCE = str(Path(millis.__file__).parents[1])


def killed(folder, statement, **environment):
    """A process that is killed, as by the system out of memory, within a context."""
    code = (
        "import os, sys; from pathlib import Path; from millis.store import *; from millis.temporaries import *\n"
        f"path = Path(sys.argv[1]) / 'output'\nwith {statement} as made:\n"
        " (made / 'weights' if made.is_dir() else made).write_text('half'); os.kill(os.getpid(), 9)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(folder)], env={**os.environ, "PYTHONPATH": SOURCE, **environment}, check=False
    )
    assert run.returncode == -9


@pytest.mark.parametrize("atomic", ["atomic_file", "atomic_folder"])
@pytest.mark.parametrize("following", [atomic_file, atomic_folder, locked])
def test_what_a_killed_process_was_at_is_removed_by_the_next(tmp_path, atomic, following):
    killed(tmp_path, f"{atomic}(path)")
    assert len(list(tmp_path.iterdir())) == 1
    with following(tmp_path / "other"):
        pass
    assert not list(tmp_path.glob("*.partial")) and not list(tmp_path.glob(".*.partial"))


def test_scratch_of_a_killed_process_is_removed_by_the_next(tmp_path, monkeypatch):
    killed(tmp_path, "scratch_folder()", TMPDIR=str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert len(list(private_folder().iterdir())) == 1
    with scratch_folder() as folder:
        assert list(private_folder().iterdir()) == [folder]
    assert not list(private_folder().iterdir())


def test_what_a_living_process_is_at_is_left_alone(tmp_path):
    with atomic_file(tmp_path / "file") as file, atomic_folder(tmp_path / "folder") as folder:
        file.write_text("half")
        tidy(tmp_path)
        assert file.exists() and folder.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_that_was_tidied_before_it_was_held_is_made_again(tmp_path, monkeypatch):
    """Whoever tidies may come between a folder's making and its lock, where nobody seems to hold it."""
    made, mkdtemp = [], tempfile.mkdtemp

    def tidied_once(**where):
        made.append(mkdtemp(**where))
        if len(made) == 1:
            tidy(tmp_path)
        return made[-1]

    monkeypatch.setattr("tempfile.mkdtemp", tidied_once)
    with partial_folder(tmp_path / "output") as folder:
        assert [str(path) for path in tmp_path.iterdir()] == [str(folder)] == made[1:]
    with pytest.raises(FileNotFoundError, match="of the caller"), partial_folder(tmp_path / "output"):
        raise FileNotFoundError("of the caller")
    assert len(made) == 3 and not list(tmp_path.iterdir())


def test_another_machines_are_left_for_a_day(tmp_path):
    names = ("a.0123abcd.aaaaaaaa", "b.0123abcd.bbbbbbbb", "c")
    young, old, foreign = (tmp_path / f".{name}.partial" for name in names)
    for path in (young, old, foreign):
        path.mkdir()
    os.utime(old, (time.time() - OLD_S - 60,) * 2)
    os.utime(foreign, (0, 0))
    tidy(tmp_path)
    assert young.exists() and foreign.exists() and not old.exists()


def test_a_folder_that_takes_anothers_place_may_be_killed_in_between(tmp_path, monkeypatch):
    """The older one, moved aside, is known for a dead process's as well."""
    (tmp_path / "output").mkdir()
    code = (
        "import os, sys; from pathlib import Path; from millis.temporaries import moved_aside\n"
        "with moved_aside(Path(sys.argv[1]) / 'output'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env={**os.environ, "PYTHONPATH": SOURCE}, check=False)
    assert [path.suffix for path in tmp_path.iterdir()] == [".partial"]
    with atomic_folder(tmp_path / "output"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["output"]


@pytest.mark.parametrize("fault", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_folder_that_was_to_be_replaced_is_never_lost(tmp_path, fault, replaced):
    folder = tmp_path / "output"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(fault), moved_aside(folder):
        assert not folder.exists()
        if replaced:
            folder.mkdir()
            (folder / "new").touch()
        raise fault
    assert [path.name for path in folder.iterdir()] == ["new" if replaced else "old"]
    tidy(tmp_path)
    assert list(tmp_path.iterdir()) == [folder]


def test_what_of_the_older_one_cannot_be_removed_is_no_fault_of_the_newer(tmp_path, monkeypatch):
    remove = shutil.rmtree

    def refused(path, ignore_errors=False):
        if not ignore_errors:
            raise PermissionError("not yours")
        remove(path, ignore_errors=True)

    monkeypatch.setattr(temporaries.shutil, "rmtree", refused)
    (tmp_path / "output").mkdir()
    with atomic_folder(tmp_path / "output") as folder:
        (folder / "new").touch()
    assert (tmp_path / "output" / "new").exists()


def test_a_folder_is_discarded_in_one_step(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    (folder / "0").mkdir(parents=True)
    seen = []
    monkeypatch.setattr(temporaries.shutil, "rmtree", lambda path, **_: seen.append((path, folder.exists())))
    discard(folder)
    assert [exists for _, exists in seen] == [False]
    monkeypatch.undo()
    assert (seen[0][0] / "0").is_dir()
    tidy(tmp_path)
    assert not list(tmp_path.iterdir())
    discard(folder)  # nothing there: nothing to do


def test_the_private_folder_is_private(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"millis-{os.getuid()}").mkdir(mode=0o777)
    assert private_folder() == tmp_path / f"millis-{os.getuid()}"
    assert stat.S_IMODE(private_folder().stat().st_mode) == 0o700


@pytest.mark.parametrize("taken", ["file", "link"])
def test_a_name_that_somebody_took_is_no_obstacle(tmp_path, monkeypatch, taken):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    name = tmp_path / f"millis-{os.getuid()}"
    name.touch() if taken == "file" else name.symlink_to(tmp_path / "theirs")
    assert private_folder() == tmp_path / "home" / ".cache" / "millis"
    with locked(private_folder() / "benchmark"):
        pass


def test_without_any_private_folder_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / f"millis-{os.getuid()}").touch()
    (tmp_path / ".cache").touch()
    with pytest.raises(MillisError, match=r"neither .*millis-\d+ nor .*millis is a folder of this user's.*set TMPDIR"):
        private_folder()
