"""Where a study is kept: a file, a database server, or memory."""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from millis.errors import MillisError
from millis.sweep.locks import KEEPALIVE, FileLocks, Locks, NoLocks, ServerLocks, this_worker
from millis.temporaries import private_folder

WAIT_S = 60  # how long SQLite waits for another writer; its own default of 5 s is short for a busy disk
POSTGRESQL = "postgresql+psycopg"
RECORD_START = b'{"op_code":'  # how every line of an Optuna journal begins


class Place:
    """An opened storage with its locks.

    Args:
        url: `sqlite:///path`, `journal:///path` (three slashes, then the path as a shell would take it),
            `postgresql://user@host/database` for workers on several machines, another server's URL, or None to keep
            the study in memory.

    Raises:
        MillisError: not a URL, nothing that can be opened, or a damaged file.
    """

    def __init__(self, url: str | None) -> None:
        self.worker = this_worker()
        self.file: Path | None = None
        self.storage: BaseStorage = InMemoryStorage()
        self._locks: Locks = NoLocks()
        if url is None:
            return
        parts, self.name = _parse(url)
        if parts.get_backend_name() in ("sqlite", "journal"):
            self.file = Path(parts.database or "").absolute()  # jobs may change the working directory
        try:
            self._locks = self._locks_of(parts)
            with self.guarded(), self._locks.study():  # two processes must not create the tables at once
                self.storage = self._open(parts)
        except OSError as error:
            raise MillisError(
                f"cannot keep a study at {self.name}: {error.strerror or error}; "
                "name another place with hydra.sweeper.storage=sqlite:///<path>"
            ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the study's lock: nobody else asks, tells or counts."""
        with self.reachable(), self._locks.study():
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """Be alive, as others see it."""
        with ExitStack() as held:
            with self.reachable():
                held.enter_context(self._locks.working())
            yield

    def gone(self, worker: Mapping[str, str] | None) -> bool:
        """Whether `worker` is surely dead; see `millis.sweep.lease` for what is not sure."""
        if worker is None:  # died between asking for the trial and signing it
            return True
        return worker["id"] != self.worker["id"] and self._locks.gone(worker)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn the libraries' faults about a damaged or foreign file, or a server, into one that names it."""
        try:
            yield
        except ImportError as error:  # ModuleNotFoundError, or what Optuna makes of it
            if getattr(error, "name", None) == "psycopg":
                raise MillisError("a study on PostgreSQL needs its driver: pip install 'millis[postgresql]'") from error
            raise MillisError(
                f"the driver of the database at {self.name} is not installed. Install the one that SQLAlchemy takes "
                "for it, or name a place that needs none: sqlite:///<path>, journal:///<path>"
            ) from error
        except (SQLAlchemyError, sqlite3.Error, StorageInternalError, ValueError, KeyError, TypeError) as error:
            if self.file is None:
                raise MillisError(
                    f"cannot use the study at {self.name}: {_reason(error)}. Check that the server runs and lets you "
                    "in, or name another place with hydra.sweeper.storage=sqlite:///<path>"
                ) from error
            raise MillisError(
                f"cannot read the study at {self.name}: {_reason(error)}. If the file is damaged, move it away to "
                "start afresh, or name another with hydra.sweeper.storage=sqlite:///<path>"
            ) from error

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Turn the libraries' faults about a storage that fails while it is in use into one that says how to go on."""
        try:
            yield
        except (SQLAlchemyError, StorageInternalError, OSError) as error:
            raise MillisError(
                f"the study at {self.name} stopped working: {_reason(error)}. Finished trials are kept: once it works "
                "again, run the same command again to go on from there"
            ) from error

    def _locks_of(self, parts: URL) -> Locks:
        if self.file is not None:
            return FileLocks(self.file, self.worker)
        if parts.drivername == POSTGRESQL:
            return ServerLocks(self._engine(parts), self.worker)
        # Workers of one user on one machine share the lock; machines may overshoot n_trials by one each.
        digest = hashlib.sha256(str(parts).encode()).hexdigest()[:16]
        return FileLocks(private_folder() / f"study-{digest}", self.worker)

    def _engine(self, parts: URL) -> Engine:
        with self.guarded():
            return create_engine(parts, isolation_level="AUTOCOMMIT", pool_pre_ping=True)

    def _open(self, parts: URL) -> BaseStorage:
        if self.file is None:
            return RDBStorage(parts.render_as_string(hide_password=False), engine_kwargs={"pool_pre_ping": True})
        if parts.drivername == "journal":
            _drop_unfinished_line(self.file)
            return JournalStorage(_Journal(str(self.file)))
        with closing(sqlite3.connect(self.file, timeout=WAIT_S)) as database:
            (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise ValueError(verdict)
        return RDBStorage(f"sqlite:///{self.file}", engine_kwargs={"connect_args": {"timeout": WAIT_S}})


def _reason(error: BaseException) -> str:
    """The first line of what the innermost library said; those around it say less."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error) or type(error).__name__).splitlines()[0]


def _parse(url: str) -> tuple[URL, str]:
    """The parts of a URL, and its name for messages.

    Raises:
        MillisError: not a URL, no file, or a password that records would show.
    """
    hint = "write sqlite:///<path>, journal:///<path>, postgresql://<user>@<host>/<database>, or null for memory only"
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise MillisError(f"hydra.sweeper.storage is {url!r}, which is not a URL; {hint}") from error
    scheme = parts.drivername.split("+")[0]
    if scheme in ("sqlite", "journal"):
        if not parts.database or parts.database == ":memory:":
            raise MillisError(f"hydra.sweeper.storage is {url!r}, which names no file; {hint}")
        return parts, parts.database
    name = parts.render_as_string(hide_password=True)
    if scheme not in ("postgresql", "postgres"):
        return parts, name
    if parts.password is not None or "password" in parts.query:
        raise MillisError(
            f"hydra.sweeper.storage, at {parts.host}, holds a password, which records and runs would show. "
            "Leave it out: PostgreSQL takes it from PGPASSWORD or the file ~/.pgpass"
        )
    options = " ".join(filter(None, [parts.query.get("options"), KEEPALIVE]))  # type: ignore[list-item]
    return parts.set(drivername=POSTGRESQL).update_query_dict({"options": options}), name


class _Journal(JournalFileBackend):  # type: ignore[misc]  # Optuna exports it lazily
    """A journal that a full disk leaves whole."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write `logs`, or none of them."""
        try:
            super().append_logs(logs)
        except OSError:
            _drop_unfinished_line(Path(self._file_path))
            raise


def _drop_unfinished_line(journal: Path) -> None:
    """Cut the half-written last line that a killed worker left, else the next line written would run into it."""
    if not journal.exists():
        return
    if not _unfinished(journal)[1]:
        return
    writing = JournalFileSymlinkLock(str(journal))  # Optuna's own: a living writer is not in the middle of a line
    writing.acquire()
    try:
        end, tail = _unfinished(journal)
        if not (tail.startswith(RECORD_START) or RECORD_START.startswith(tail)):
            raise ValueError("it is not a journal of studies")
        with journal.open("r+b") as file:
            file.truncate(end)
    finally:
        writing.release()


def _unfinished(journal: Path) -> tuple[int, bytes]:
    """Where the last whole line ends, and what follows it."""
    content = journal.read_bytes()
    end = content.rfind(b"\n") + 1
    return end, content[end:]
