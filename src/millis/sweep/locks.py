"""Who may write to a study now, and who still works on it.

What a worker writes to a study, it writes while it holds the study's lock (all but its signs of life), so counting
trials and asking for the next are one step. Each worker also holds a lock of its own for as long as it lives. Whoever
keeps the locks (the operating system, or the database server) drops them however the worker ends, `kill -9` included:
a lock that is free where it would be seen says at once that its worker is gone. What no lock shows from here, such as a
worker on another machine that died, its signs of life do (`millis.sweep.lease`).
"""

import hashlib
import platform
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from millis.store import locked
from millis.temporaries import OLD_S, kernel

STUDY_S = 600.0  # the longest wait for a study's lock: it is held while a trial is drawn, some seconds at most

Worker = dict[str, str]
"""`id`, `host`, and `boot`: the kernel it runs on. Containers that share it share locks, whatever their host names."""


def this_worker() -> Worker:
    """A fresh identity for this process."""
    return {"id": uuid.uuid4().hex, "host": platform.node(), "boot": kernel()}


class Locks(Protocol):
    """The locks of one storage, as one worker uses them."""

    def study(self) -> AbstractContextManager[None]:
        """Hold the study's lock: nobody else asks, tells or counts. Not to be held twice."""
        ...

    def working(self) -> AbstractContextManager[None]:
        """Be alive, as others see it."""
        ...

    def gone(self, worker: Mapping[str, str]) -> bool:
        """Whether `worker`, another one, is surely dead. False where its lock cannot be tried from here."""
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

    def gone(self, worker: Mapping[str, str]) -> bool:
        """A study in memory ends with its worker."""
        return False


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
        with locked(self.path, "the study, which another worker writes to", at_most_s=STUDY_S):
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """See `Locks`."""
        mine = self._file(self.worker)
        alive = FileLock(mine)  # dropped by a forked child, so that orphans do not keep their parent alive
        with self.study():  # nobody else tidies the folder meanwhile
            self._workers.mkdir(parents=True, exist_ok=True)
            for other in self._workers.iterdir():
                self._is_left(other)
            alive.acquire()
        try:
            yield
        finally:
            with self.study():
                alive.release()
                mine.unlink(missing_ok=True)
                with suppress(OSError):
                    self._workers.rmdir()  # refuses while others work

    def gone(self, worker: Mapping[str, str]) -> bool:
        """See `Locks`."""
        return worker["boot"] == self.worker["boot"] and self._is_left(self._file(worker))

    def _file(self, worker: Mapping[str, str]) -> Path:
        return self._workers / f"{worker['boot'][:8]}-{worker['id']}"

    def _is_left(self, theirs: Path) -> bool:
        """Whether a worker's file is there no more, or held by nobody and thus removed. Those of another kernel, whose
        locks may not be seen from here, are left for a day."""
        if not theirs.exists():
            return True
        if not theirs.name.startswith(self.worker["boot"][:8]):
            if time.time() - theirs.stat().st_mtime > OLD_S:
                theirs.unlink()
            return False
        try:
            with FileLock(theirs, timeout=0):
                theirs.unlink(missing_ok=True)
        except Timeout:
            return False
        return True


class ServerLocks:
    """PostgreSQL's advisory locks: workers may be on any machines, and none of them is taken for dead while it works.

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

    def gone(self, worker: Mapping[str, str]) -> bool:
        """See `Locks`."""
        with self.engine.connect() as connection:
            got = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _key(worker["id"])}).scalar()
            if got:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _key(worker["id"])})
        return bool(got)

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
