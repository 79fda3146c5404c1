"""Where a study is kept, and who is working on it: one file, one lock, one lock a worker.

Everything a worker writes to a study, it writes while it holds the study's lock, so counting trials and asking for the
next are one step. Each worker also holds a lock of its own for as long as it lives. The operating system drops it
however the worker ends, `kill -9` included, so "is the worker of this unfinished trial alive?" is "is its lock held?":
no heartbeat to tune, no process number that a later process may carry.
"""

import hashlib
import platform
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from millis.errors import MillisError
from millis.store import locked

WAIT_S = 60  # how long SQLite waits for another writer; its own default of 5 s is short for a busy disk
RECORD_START = b'{"op_code":'  # how every line of an Optuna journal begins


class Place:
    """An opened storage with its locks.

    Args:
        url: `sqlite:///path`, `journal:///path` (three slashes, then the path as a shell would take it), the URL of a
            database server, or None to keep the study in memory.

    Raises:
        MillisError: not a URL, nothing that can be opened, or a damaged file.
    """

    def __init__(self, url: str | None) -> None:
        self.worker = {"id": uuid.uuid4().hex, "host": platform.node(), "boot": _boot()}
        self.file: Path | None = None
        self.storage: BaseStorage = InMemoryStorage()
        self._shared = url is not None
        if url is None:
            return
        self.name, scheme, database = _parse(url)
        if scheme in ("sqlite", "journal"):
            self.file = Path(database).absolute()  # jobs may change the working directory
            self._lock_name = self.file
        else:  # a server: workers on one machine share the lock; machines may overshoot n_trials by one each
            digest = hashlib.sha256(url.encode()).hexdigest()[:16]
            self._lock_name = Path(tempfile.gettempdir()) / f"millis-study-{digest}"
        self._workers = self._lock_name.parent / f".{self._lock_name.name}.workers"
        try:
            with self.lock():  # two processes must not create the tables at once
                self.storage = self._open(url, scheme)
        except OSError as error:
            raise MillisError(
                f"cannot keep a study at {self.name}: {error.strerror or error}; "
                "name another place with hydra.sweeper.storage=sqlite:///<path>"
            ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the study's lock: nobody else asks, tells or counts."""
        if not self._shared:
            yield
            return
        with locked(self._lock_name):
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """Be alive, as others see it."""
        if not self._shared:
            yield
            return
        mine = self._workers / self.worker["id"]
        alive = FileLock(mine)  # dropped by a forked child, so that orphans do not keep their parent alive
        with self.lock():  # nobody else tidies the folder meanwhile
            self._workers.mkdir(parents=True, exist_ok=True)
            alive.acquire()
        try:
            yield
        finally:
            with self.lock():
                alive.release()
                mine.unlink(missing_ok=True)
                with suppress(OSError):
                    self._workers.rmdir()  # refuses while others work

    def alive(self, worker: Mapping[str, str] | None) -> bool:
        """Whether `worker` still works. One on another machine is taken to: its lock cannot be tried from here."""
        if worker is None:  # died between asking for the trial and signing it
            return False
        if worker["id"] == self.worker["id"] or not self._shared:
            return True
        if worker["host"] != self.worker["host"] and worker["boot"] != self.worker["boot"]:
            return True
        theirs = self._workers / worker["id"]
        if not theirs.exists():
            return False
        try:
            with FileLock(theirs, timeout=0):
                pass
        except Timeout:
            return True
        theirs.unlink(missing_ok=True)
        return False

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn the library's faults about a damaged or foreign file into one that names it."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, StorageInternalError, ValueError, KeyError, TypeError) as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise MillisError(
                f"cannot read the study at {self.name}: {reason}. If the file is damaged, move it away to start "
                "afresh, or name another with hydra.sweeper.storage=sqlite:///<path>"
            ) from error

    def _open(self, url: str, scheme: str) -> BaseStorage:
        with self.guarded():
            if self.file is None:
                return RDBStorage(url)
            if scheme == "journal":
                _drop_unfinished_line(self.file)
                return JournalStorage(JournalFileBackend(str(self.file)))
            with closing(sqlite3.connect(self.file, timeout=WAIT_S)) as database:
                (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise ValueError(verdict)
            return RDBStorage(f"sqlite:///{self.file}", engine_kwargs={"connect_args": {"timeout": WAIT_S}})


def _parse(url: str) -> tuple[str, str, str]:
    """URL → (name for messages, without a password; scheme; database)."""
    hint = "write sqlite:///<path>, journal:///<path>, a database server's URL, or null for memory only"
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise MillisError(f"hydra.sweeper.storage is {url!r}, which is not a URL; {hint}") from error
    scheme = parts.drivername.split("+")[0]
    if scheme in ("sqlite", "journal"):
        if not parts.database or parts.database == ":memory:":
            raise MillisError(f"hydra.sweeper.storage is {url!r}, which names no file; {hint}")
        return parts.database, scheme, parts.database
    return parts.render_as_string(hide_password=True), scheme, parts.database or ""


def _drop_unfinished_line(journal: Path) -> None:
    """Cut the half-written last line that a killed worker left, else the next line written would run into it."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    end = content.rfind(b"\n") + 1
    tail = content[end:]
    if not tail:
        return
    if not (tail.startswith(RECORD_START) or RECORD_START.startswith(tail)):
        raise ValueError("it is not a journal of studies")
    with journal.open("r+b") as file:
        file.truncate(end)


def _boot() -> str:
    """The running kernel's identity: containers that share it share locks, whatever their host names."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()
