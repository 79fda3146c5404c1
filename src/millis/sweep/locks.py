"""Who may write to a study now, and who still works on it.

Everything a worker writes to a study, it writes while it holds the study's lock, so counting trials and asking for the
next are one step. Each worker also holds a lock of its own for as long as it lives. Whoever keeps the locks (the
operating system, or the database server) drops them however the worker ends, `kill -9` included, so "is the worker of
this unfinished trial alive?" is "is its lock held?": no heartbeat to tune, no process number that a later process may
carry.
"""

import hashlib
import platform
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from millis.store import locked

Worker = dict[str, str]
"""`id`, `host`, and `boot`: the kernel it runs on. Containers that share it share locks, whatever their host names."""


def this_worker() -> Worker:
    """A fresh identity for this process."""
    return {"id": uuid.uuid4().hex, "host": platform.node(), "boot": _boot()}


class Locks(Protocol):
    """The locks of one storage, as one worker uses them."""

    def study(self) -> AbstractContextManager[None]:
        """Hold the study's lock: nobody else asks, tells or counts. Not to be held twice."""
        ...

    def working(self) -> AbstractContextManager[None]:
        """Be alive, as others see it."""
        ...

    def alive(self, worker: Mapping[str, str]) -> bool:
        """Whether `worker`, another one, still works."""
        ...


class NoLocks:
    """Of a study in memory: there is no other worker."""

    @contextmanager
    def study(self) -> Iterator[None]:
        """Nobody to keep out."""
        yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """Nobody to see it."""
        yield

    def alive(self, worker: Mapping[str, str]) -> bool:
        """A study in memory ends with its worker."""
        return True


class FileLocks:
    """Of a study in a file, or on a server that keeps no locks for us.

    Args:
        path: Of the study, or what stands for it on this machine.
        worker: Who holds the locks.
    """

    def __init__(self, path: Path, worker: Worker) -> None:
        self.path, self.worker = path, worker
        self._workers = path.parent / f".{path.name}.workers"

    @contextmanager
    def study(self) -> Iterator[None]:
        """See `Locks`."""
        with locked(self.path):
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """See `Locks`."""
        mine = self._workers / self.worker["id"]
        alive = FileLock(mine)  # dropped by a forked child, so that orphans do not keep their parent alive
        with self.study():  # nobody else tidies the folder meanwhile
            self._workers.mkdir(parents=True, exist_ok=True)
            alive.acquire()
        try:
            yield
        finally:
            with self.study():
                alive.release()
                mine.unlink(missing_ok=True)
                with suppress(OSError):
                    self._workers.rmdir()  # refuses while others work

    def alive(self, worker: Mapping[str, str]) -> bool:
        """See `Locks`. A worker on another machine is taken to live: its lock cannot be tried from here."""
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


class ServerLocks:
    """PostgreSQL's advisory locks: workers may be on any machines, and none of them is seen wrongly.

    A lock belongs to a connection. The server drops it when the connection ends, and notices at once when a process
    died; a machine that lost its power or network is noticed when its keep-alives stay away (`KEEPALIVE`). A pooler
    between worker and server must hand out whole sessions (PgBouncer: `pool_mode = session`).

    Args:
        engine: Of the study's database, committing by itself.
        worker: Who holds the locks.
    """

    def __init__(self, engine: Engine, worker: Worker) -> None:
        self.engine, self.worker = engine, worker

    @contextmanager
    def study(self) -> Iterator[None]:
        """See `Locks`."""
        with self._held("study"):
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """See `Locks`."""
        with self._held(self.worker["id"]):
            yield

    def alive(self, worker: Mapping[str, str]) -> bool:
        """See `Locks`."""
        with self.engine.connect() as connection:
            got = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _key(worker["id"])}).scalar()
            if got:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _key(worker["id"])})
        return not got

    @contextmanager
    def _held(self, name: str) -> Iterator[None]:
        with self.engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _key(name)})
            try:
                yield
            finally:
                try:
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _key(name)})
                except SQLAlchemyError:
                    connection.invalidate()  # the lock ends with it


# After 30 s of silence the server asks three times, ten seconds apart: a lost machine's trial is free after a minute.
KEEPALIVE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"


def _key(name: str) -> int:
    """A lock's number, 64 bits signed: the server knows locks by numbers, and other programs may use some."""
    return int.from_bytes(hashlib.sha256(f"millis {name}".encode()).digest()[:8], signed=True)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()
