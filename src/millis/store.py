"""Where outputs are kept: fingerprints name them, renames make them whole.

Every stage's output lives under a fingerprint of its inputs, so nothing is trained or measured twice, and is
written to a temporary name and renamed, so a killed run leaves nothing half-written.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from millis.errors import MillisError


class Damaged(MillisError):
    """A kept output that cannot be read; the message names it."""


def fingerprint(*parts: Any) -> str:
    """16 hex digits of SHA-256 over the canonical JSON of `parts` (keys sorted; order within lists counts)."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise _unwritable(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # or a power cut could leave the name with nothing behind it
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`; on success it takes `folder`'s place, on failure it is removed.

    Raises:
        MillisError: the file system refused (full disk, no permission); nothing is left behind.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        _take_place(temporary, folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(temporary: Path, folder: Path) -> None:
    """Rename `temporary` to `folder`; an older `folder` is back where that fails."""
    if not folder.exists():
        temporary.replace(folder)
        return
    older = temporary.with_name(f"{temporary.name}.older")
    folder.replace(older)
    try:
        temporary.replace(folder)
    except OSError:
        older.replace(folder)
        raise
    shutil.rmtree(older)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold an inter-process lock beside `path`, so that two workers do not make the same output.

    Raises:
        MillisError: the file system refused.
        filelock.Timeout: without `wait`, another holds it.
    """
    lock = FileLock(path.parent / f".{path.name}.lock", timeout=-1 if wait else 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:  # an OSError as well
        raise
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield
    finally:
        lock.release()


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
