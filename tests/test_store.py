"""Fingerprints, atomic writes and locks; a file system that refuses."""

import errno
import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from hypothesis import given
from hypothesis import strategies as st

from millis import store
from millis.errors import MillisError
from millis.store import (
    atomic_file,
    atomic_folder,
    cache_folder,
    cached,
    file_sha256,
    files_fingerprint,
    fingerprint,
    kept_folder,
    locked,
    write_json,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@given(st.dictionaries(st.text("abcd", max_size=3), JSON, max_size=4))
def test_key_order_does_not_count(node):
    assert fingerprint(node) == fingerprint(dict(reversed(node.items())))


@given(JSON, JSON)
def test_equal_fingerprints_mean_equal_values(one, other):
    same = _tagged(one) == _tagged(other)
    assert (fingerprint(one) == fingerprint(other)) == same


def _tagged(value):
    """Python holds 1 == True; JSON does not."""
    if isinstance(value, dict):
        return {key: _tagged(inner) for key, inner in value.items()}
    return [_tagged(inner) for inner in value] if isinstance(value, list) else (type(value).__name__, value)


def test_list_order_and_grouping_count():
    assert len({fingerprint([1, 2]), fingerprint([2, 1]), fingerprint(1, 2), fingerprint([[1], 2])}) == 4


def test_fingerprint_is_the_start_of_the_sha256_of_canonical_json():
    # printf '[{"a":1,"b":"é"}]' | sha256sum
    assert fingerprint({"b": "é", "a": 1}) == "0947ff8502bae37e"


def test_file_sha256_of_the_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    assert file_sha256(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_atomic_file_appears_whole_in_new_folders(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_failure_inside_leaves_what_was_there_before(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_atomic_folder_replaces_the_whole_folder(tmp_path):
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "old").touch()
    with atomic_folder(folder) as temporary:
        (temporary / "new").touch()
        assert (folder / "old").exists()
    assert [entry.name for entry in folder.iterdir()] == ["new"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["artifact"]


def test_a_failure_inside_leaves_the_old_folder(tmp_path):
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(RuntimeError), atomic_folder(folder) as temporary:
        (temporary / "new").touch()
        raise RuntimeError
    assert [entry.name for entry in folder.iterdir()] == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["artifact"]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "file"):
            pass
        with atomic_folder(tmp_path / "folder"):
            pass
        assert os.umask(0o027) == 0o027, "the umask itself must stay"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640  # 666 without 027
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750  # 777 without 027


@pytest.mark.parametrize(
    ("atomic", "call"),
    [
        (atomic_file, "pathlib.Path.mkdir"),
        (atomic_file, "tempfile.mkstemp"),
        (atomic_file, "os.replace"),
        (atomic_folder, "pathlib.Path.mkdir"),
        (atomic_folder, "tempfile.mkdtemp"),
        (atomic_folder, "os.replace"),
    ],
)
def test_a_disk_that_refuses_is_explained(tmp_path, monkeypatch, atomic, call):
    monkeypatch.setattr(call, full)
    path = tmp_path / "out"
    with pytest.raises(MillisError) as caught, atomic(path):
        pass
    assert str(caught.value) == (
        f"cannot write {path}: No space left on device. Free some space or choose another folder with "
        "paths.outputs=...; nothing was left half-written"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_while_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(MillisError, match=r"cannot write .*values\.json: No space left on device"):
        write_json(tmp_path / "values.json", {"a": 1})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "old").touch()
    replace = os.replace

    def refuses(source, target):
        if Path(target) == folder and (Path(source) / "new").exists():
            full()
        replace(source, target)

    monkeypatch.setattr(store.os, "replace", refuses)
    with pytest.raises(MillisError, match="No space left"), atomic_folder(folder) as temporary:
        (temporary / "new").touch()
    assert [entry.name for entry in folder.iterdir()] == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["artifact"]


def test_a_path_below_a_file_cannot_be_written_or_locked(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "below"
    with pytest.raises(MillisError, match=f"cannot write {path}: "), atomic_file(path):
        pass
    with pytest.raises(MillisError, match=f"cannot write {path}: "), locked(path):
        pass


def test_a_lock_keeps_other_processes_out(tmp_path):
    path = tmp_path / "output"
    ask = (
        "import sys; from pathlib import Path; from filelock import FileLock, Timeout\n"
        "try: FileLock(sys.argv[1], timeout=0).acquire(); print('free')\n"
        "except Timeout: print('held')"
    )

    def other_process():
        run = subprocess.run(
            [sys.executable, "-c", ask, str(tmp_path / ".output.lock")], capture_output=True, text=True, check=True
        )
        return run.stdout.strip()

    with locked(path):
        assert other_process() == "held"
    assert other_process() == "free"


def test_a_lock_is_released_after_a_failure(tmp_path):
    with pytest.raises(RuntimeError), locked(tmp_path / "output"):
        raise RuntimeError
    with locked(tmp_path / "output"):
        pass


HOLDER = """
import sys, time; from pathlib import Path; from millis.store import locked
with locked(Path(sys.argv[1])): print("held", flush=True); time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of `output`."""
    environment = {**os.environ, "PYTHONPATH": str(Path(store.__file__).parents[1])}
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "output")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_wait_is_said_with_its_limit_and_who_is_waited_for(tmp_path, holder, capsys):
    refused = rf"waited 0.2 s for the teacher \(process {holder.pid}, since [\d:]+\). End that process if it hangs"
    waiting = locked(tmp_path / "output", "the teacher", at_most_s=0.2, said_after_s=0.1)
    with pytest.raises(MillisError, match=refused), waiting:
        pass
    said = capsys.readouterr().err
    assert re.fullmatch(rf"waiting for the teacher \(process {holder.pid}, since [\d:]+\), for at most 0.2 s\n", said)
    holder.kill()
    with locked(tmp_path / "output", at_most_s=60, said_after_s=60):
        pass
    assert capsys.readouterr().err == ""


def test_a_holder_that_is_stopped_is_called_so(tmp_path, holder, capsys):
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(MillisError), locked(tmp_path / "output", at_most_s=0.2, said_after_s=0.1):
        pass
    assert "which is stopped: `kill -CONT` lets it go on" in capsys.readouterr().err


def test_a_lock_that_nobody_signed_is_waited_for_too(tmp_path, capsys):
    waiting = locked(tmp_path / "output", at_most_s=0.2, said_after_s=0.1)
    with FileLock(tmp_path / ".output.lock"), pytest.raises(MillisError), waiting:
        pass
    assert capsys.readouterr().err == (
        "waiting for output, which another process makes (a process that has not signed its lock), for at most 0.2 s\n"
    )


def test_who_does_not_wait_is_told_at_once(tmp_path, holder, capsys):
    with pytest.raises(Timeout), locked(tmp_path / "output", at_most_s=0):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "text"), [(0.5, "0.5 s"), (90, "90 s"), (900, "15 min"), (86400, "24 h")])
def test_a_duration_in_words(seconds, text):
    assert store.duration(seconds) == text


def test_write_json_keeps_letters_as_they_are(tmp_path):
    write_json(tmp_path / "a.json", {"label": "größe"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n "label": "größe"\n}\n'


def test_a_damaged_cache_file_says_what_to_delete(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{")
    with pytest.raises(MillisError, match=r"a\.json is damaged or gone \(JSONDecodeError: .*Delete it"), cached(path):
        json.loads(path.read_text())


def test_a_fault_with_a_message_gets_the_name_of_the_file(tmp_path):
    path = tmp_path / "record.json"
    with (
        pytest.raises(MillisError, match=r"record\.json is damaged or gone \(not a record\)\. Delete it"),
        cached(path),
    ):
        raise MillisError("not a record")


def test_the_file_that_is_damaged_is_named_and_no_other(tmp_path):
    outer, inner = cached(tmp_path / "history"), cached(tmp_path / "weights")
    with pytest.raises(MillisError, match=r"^\S*weights is damaged") as error, outer, inner:
        raise ValueError("cut short")
    assert "history" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(None, "/h/.cache/millis"), ("", "/h/.cache/millis"), ("a", "/h/.cache/millis"), ("/c", "/c/millis")],
)
def test_the_users_cache_folder_follows_the_xdg_specification(monkeypatch, given, expected):
    """Which passes over relative paths."""
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if given is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert str(cache_folder()) == expected


def test_folders_are_kept_under_what_is_in_them(tmp_path):
    def writes(text):
        return lambda folder: (folder / "a.txt").write_text(text)

    one = kept_folder(tmp_path / "corpora" / "x", writes("1"))
    other = kept_folder(tmp_path / "corpora" / "x", writes("2"))
    assert one.name.startswith("x-") and one != other and one.name == f"x-{files_fingerprint(one)}"
    before = one.stat().st_ino
    assert kept_folder(tmp_path / "corpora" / "x", writes("1")) == one and one.stat().st_ino == before
    (one / "a.txt").write_text("edited")
    assert kept_folder(tmp_path / "corpora" / "x", writes("1")) == one and (one / "a.txt").read_text() == "1"
    assert not [path for path in (tmp_path / "corpora").iterdir() if "partial" in path.name]
