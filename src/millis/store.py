"""Where outputs are kept: fingerprints name them, renames make them whole.

Every stage's output lives under a fingerprint of its inputs, so nothing is trained or measured twice, and is
written to a temporary name and renamed, so a killed run leaves nothing half-written, and what it was at is tidied up by
the next (`millis.temporaries`).
"""

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from millis.errors import MillisError
from millis.temporaries import moved_aside, partial_file, partial_folder, tidy

SAID_AFTER_S = 2.0  # of a wait
LONGEST_WAIT_S = 24 * 3600.0  # a training that others wait for may take a day


class Damaged(MillisError):
    """A kept output that cannot be read; the message names it."""


def fingerprint(*parts: Any) -> str:
    """16 hex digits of SHA-256 over the canonical JSON of `parts` (keys sorted; order within lists counts)."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def checksums(model: Mapping[str, Any]) -> list[str]:
    """Of a described model that is a folder or a file: its name says nothing of what lies there today."""
    said = model.get("name") or model.get("path")
    place = Path(str(said))
    found = sorted(place.iterdir()) if said and place.is_dir() else [place] if said else []
    return [file_sha256(path) for path in found if path.is_file()]


def files_fingerprint(folder: Path) -> str:
    """Of the names and bytes of all files in a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return fingerprint({path.relative_to(folder).as_posix(): file_sha256(path) for path in files})


def file_sha256(path: Path) -> str:
    """Full SHA-256 hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on failure.

    Raises:
        MillisError: the file system refused (full disk, no permission); nothing is left behind.
    """
    with _written(path), partial_file(path) as temporary:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # or a power cut could leave the name with nothing behind it
        temporary.replace(path)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`; on success it takes `folder`'s place, on failure it is removed.

    Raises:
        MillisError: the file system refused (full disk, no permission); nothing is left behind.
    """
    with _written(folder), partial_folder(folder) as temporary:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if folder.exists():
            with moved_aside(folder):
                temporary.replace(folder)
        else:
            temporary.replace(folder)


def kept_folder(path: Path, write: Callable[[Path], None]) -> Path:
    """What `write` puts into an empty folder, in `path-FINGERPRINT`, of its files: other content lies beside it.

    Raises:
        MillisError: the file system refused (full disk, no permission); nothing is left behind.
    """
    with _written(path), partial_folder(path) as temporary:
        write(temporary)
        temporary.chmod(0o777 & ~_umask())
        found = files_fingerprint(temporary)
        folder = path.with_name(f"{path.name}-{found}")
        with locked(folder):
            if not folder.exists():
                temporary.replace(folder)
            elif files_fingerprint(folder) != found:  # somebody edited it
                with moved_aside(folder):
                    temporary.replace(folder)
    return folder


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """The folder of `path` is there, without what dead processes left in it; refusals are explained."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tidy(path.parent)
        yield
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def locked(
    path: Path, what: str = "", *, at_most_s: float = LONGEST_WAIT_S, said_after_s: float = SAID_AFTER_S
) -> Iterator[None]:
    """Hold an inter-process lock beside `path`, so that two workers do not make the same output.

    A wait is said on standard error, with who is waited for. A lock ends with its holder, so a wait ends by itself
    unless the holder hangs.

    Args:
        what: Of whoever holds the lock, for that line: "the teacher, which another process trains".
        at_most_s: How long to wait; 0 does not.
        said_after_s: A wait shorter than this is not worth a line.

    Raises:
        MillisError: the file system refused, or the wait took longer than `at_most_s`.
        filelock.Timeout: another holds it, and `at_most_s` is 0.
    """
    file = path.parent / f".{path.name}.lock"
    lock = FileLock(file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tidy(path.parent)
        _acquire(lock, what or f"{path.name}, which another process makes", at_most_s, said_after_s)
        _sign(file)
    except Timeout:  # an OSError as well
        raise
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, what: str, at_most_s: float, said_after_s: float) -> None:
    try:
        lock.acquire(timeout=min(said_after_s, at_most_s))
    except Timeout:
        if not at_most_s:
            raise
        awaited = f"{what} ({_holder(Path(lock.lock_file))})"
        print(f"waiting for {awaited}, for at most {duration(at_most_s)}", file=sys.stderr, flush=True)
        try:
            lock.acquire(timeout=max(0.0, at_most_s - said_after_s))
        except Timeout:
            raise MillisError(
                f"waited {duration(at_most_s)} for {awaited}. End that process if it hangs, and run the same command "
                "again"
            ) from None


def _sign(file: Path) -> None:
    """Write into a held lock file who holds it: for the eyes of those who wait, no part of the lock."""
    with suppress(OSError):
        file.write_text(json.dumps([os.getpid(), platform.node(), time.time()]), encoding="utf-8")


def _holder(file: Path) -> str:
    """Who signed a lock file: `process 4711, since 16:20:03`."""
    try:
        pid, host, since = json.loads(file.read_text(encoding="utf-8"))
        elsewhere = "" if host == platform.node() else f" on {host}"
        return f"process {pid}{elsewhere}{_stopped(pid, host)}, since {time.strftime('%X', time.localtime(since))}"
    except (OSError, ValueError, TypeError):
        return "a process that has not signed its lock"


def _stopped(pid: int, host: str) -> str:
    """Whether a holder on this machine is stopped (Ctrl-Z), where the system tells."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2][:1]
    except OSError:
        return ""
    return ", which is stopped: `kill -CONT` lets it go on" if state == "T" and host == platform.node() else ""


def duration(seconds: float) -> str:
    """`90 s`, `15 min`, `24 h`."""
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


@contextmanager
def cached(path: Path) -> Iterator[None]:
    """Read `path`, a file or folder that a stage wrote earlier, within this.

    Raises:
        Damaged: it is damaged or gone; says which file to delete.
    """
    try:
        yield
    except Damaged:  # of a file that is read on the way
        raise
    except Exception as error:  # JSON, NumPy, zip and safetensors each have their own
        reason = str(error) if isinstance(error, MillisError) else f"{type(error).__name__}: {error}"
        raise Damaged(
            f"{path} is damaged or gone ({reason}). Delete it, if it is there, and run again: it is made anew"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def cache_folder() -> Path:
    """Where this user's programs keep what can be found out anew (the XDG base directory specification): our part."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path("~/.cache").expanduser()) / "millis"


def _umask() -> int:
    """The permissions new files go without; temporary files are made private, finished ones are not."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unwritable(path: Path, error: OSError) -> MillisError:
    reason = error.strerror or str(error)
    return MillisError(
        f"cannot write {path}: {reason}. Free some space or choose another folder with paths.outputs=...; "
        "nothing was left half-written"
    )
