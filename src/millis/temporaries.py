"""Temporaries that no dead process leaves behind for good.

Whoever makes one holds it: keeps a lock on it, which the system drops however a process ends, `kill -9` included. Its
name says under which boot of which kernel it was made, for only there is a lock surely seen. Whoever comes to the
folder next removes what nobody holds: of its own boot at once, of another machine or boot when it is a day old.
"""

import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from millis.errors import MillisError

try:
    import fcntl
except ImportError:  # Windows: nothing is held there, and nothing removed before its day is over
    fcntl = None  # type: ignore[assignment]

OLD_S = 24 * 3600.0  # from which on what another kernel's processes made is taken for left behind
PARTIAL = re.compile(r"\..*\.([0-9a-f]{8})\.\w{8}\.partial")  # .NAME.BOOT.RANDOM.partial


@cache
def kernel() -> str:
    """The boot of the kernel this runs on. Containers that share it share locks, whatever their host names."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


@contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """A held temporary file beside `path`, removed in the end if it still has its name.

    Raises:
        OSError: the file system refused.
    """
    while True:
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=".partial", dir=path.parent)
        if _hold(handle, Path(name)):
            break
        os.close(handle)
    with os.fdopen(handle):  # closed last of all
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)


@contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """A held temporary folder beside `path`, removed in the end if it still has its name.

    Raises:
        OSError: the file system refused.
    """
    while True:
        name = Path(tempfile.mkdtemp(prefix=_prefix(path), suffix=".partial", dir=path.parent))
        with suppress(FileNotFoundError):  # whoever tidies was faster
            handle = os.open(name, os.O_RDONLY)
            if _hold(handle, name):
                break
            os.close(handle)
    with ExitStack() as made:
        made.callback(os.close, handle)  # last of all
        made.callback(shutil.rmtree, name, ignore_errors=True)
        yield name


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A held folder under `private_folder`, removed in the end. Its own name says nothing."""
    place = private_folder() / "scratch"
    tidy(place.parent)
    with partial_folder(place) as folder:
        yield folder


def discard(folder: Path) -> None:
    """Remove `folder` in one step: whoever looks finds it whole, or not at all. What cannot be removed stays."""
    trash = folder.with_name(f"{_prefix(folder)}{secrets.token_hex(4)}.partial")
    try:
        folder.rename(trash)
    except OSError:
        return
    shutil.rmtree(trash, ignore_errors=True)


@contextmanager
def moved_aside(folder: Path) -> Iterator[None]:
    """`folder` goes by another name within this, and is removed after it.

    Where this fails or is interrupted before another has taken its place, it is back.
    """
    aside = folder.with_name(f"{_prefix(folder)}{secrets.token_hex(4)}.partial")
    with _opened(folder) as handle:
        _hold(handle, folder)
        try:
            folder.replace(aside)
            yield
        except BaseException:
            if not folder.exists():
                aside.replace(folder)
            raise
        shutil.rmtree(aside, ignore_errors=True)  # what stays of it is tidied up by the next


def tidy(folder: Path) -> None:
    """Remove the temporaries in `folder` that no living process holds."""
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 names are all that is wanted of most
            if (match := PARTIAL.fullmatch(name)) is not None:
                with suppress(OSError):
                    _remove_if_left(folder / name, own=match[1] == _boot())


def private_folder() -> Path:
    """A folder that is this user's alone, for what concerns this machine: `millis-UID` among the temporary files.

    Another user's file or folder of that name is no obstacle: one in the home folder takes its place.

    Raises:
        MillisError: neither can be had.
    """
    places = [Path(tempfile.gettempdir()) / f"millis-{_user()}", Path("~/.cache/millis").expanduser()]
    for place in places:
        with suppress(OSError):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = place.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == _user():
                place.chmod(0o700)
                return place
    raise MillisError(
        f"cannot keep locks and temporary files: neither {places[0]} nor {places[1]} is a folder of this user's. "
        "Remove what lies there, or set TMPDIR to another folder"
    )


def _user() -> int:
    return getattr(os, "getuid", int)()


def _boot() -> str:
    return hashlib.sha256(kernel().encode()).hexdigest()[:8]


def _prefix(path: Path) -> str:
    return f".{path.name}.{_boot()}."


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _hold(handle: int, path: Path) -> bool:
    """Lock what `handle` is open on. False: whoever tidies was faster, and it is gone or about to go."""
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(handle).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:  # a file system without locks, where others cannot take any either
        return True


def _remove_if_left(path: Path, own: bool) -> None:
    if not own and time.time() - path.stat().st_mtime < OLD_S:
        return
    with _opened(path) as handle:
        if own:
            if fcntl is None:
                return
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an OSError where it is held, or where none can be
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
