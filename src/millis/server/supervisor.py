"""A server: the socket, the workers that share it, and what becomes of them.

Requests are the workers' alone: no process stands between a client and the model, so that nothing is added to what a
request takes, and a worker that dies takes nothing with it but what it was answering. The supervisor starts another in
its place, tells the workers to load artifacts anew (SIGHUP), and ends them when it is to end itself (SIGTERM, SIGINT).
"""

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from millis import children
from millis.applications.manifest import bytes_of
from millis.errors import MillisError
from millis.server import metrics
from millis.server.access import listening
from millis.server.logs import say
from millis.server.settings import SECRET, Settings
from millis.temporaries import scratch_folder

STEADY_S = 10.0  # a worker that lived so long is replaced at once; after a shorter life there is a pause, doubled ...
LONGEST_PAUSE_S = 30.0  # ... up to this
FIRST_PAUSE_S = 0.5
KILL_S = 5.0  # after a worker's grace


class Worker:
    """The supervisor's end of a worker."""

    def __init__(self, process: asyncio.subprocess.Process, cpus: list[int]) -> None:
        self.process, self.cpus, self.is_ready = process, cpus, False
        self.swaps = 0  # of the server, when it was started

    @classmethod
    async def start(cls, told: dict[str, Any], folder: Path, threads: int) -> Self:
        """Start one; it says when it is ready.

        Args:
            told: Its first line (`millis.server.worker`).
            folder: Where it counts.
            threads: For one request's arithmetic.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "millis.server.worker", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, pass_fds=(told["socket"],), start_new_session=True,
            env=children.environment(threads) | {metrics.FOLDER: str(folder)},
        )  # fmt: skip
        worker = cls(process, told["cpus"])
        worker._tell(told)
        return worker

    async def said(self) -> dict[str, Any]:
        """What it says next; `{}` when it has ended."""
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(await self.process.stdout.readline() or "{}")
        return found

    async def swap(self) -> dict[str, Any]:
        """Have it load the artifacts anew; what it says of that."""
        self._tell({"do": "swap"})
        return await self.said()

    async def end(self, grace_s: float) -> None:
        """Have it answer what it is answering, for so long, and end."""
        self._tell({"do": "end"})
        try:
            await asyncio.wait_for(self.process.wait(), grace_s + KILL_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()

    def _tell(self, what: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        with suppress(OSError, RuntimeError):  # it has ended
            self.process.stdin.write(json.dumps(what).encode() + b"\n")


class Server:
    """Artifacts behind HTTP, listening once made; `serve` answers until `stop`. Use as a context manager.

    Args:
        settings: How.
        token: What clients must show; None, where this machine alone can reach it, lets everyone in.

    Raises:
        MillisError: the address cannot be listened on, or is one that others can reach and there is no token; no
            artifact; more workers than CPUs.
    """

    def __init__(self, settings: Settings, token: str | None = None) -> None:
        if token is None and not settings.is_private:
            raise MillisError(
                f"host={settings.host} can be reached by others, so the server needs a token: set {SECRET.variable}, "
                f"or {SECRET.file_variable} to a file that holds it (`openssl rand -hex 32` makes one), or listen on "
                "host=127.0.0.1"
            )
        for folder in settings.folders.values():
            bytes_of(folder)  # refuses what is neither an artifact nor an application
        self.settings, self._token, self._shares = settings, token, settings.shares()
        self._stack = ExitStack()
        self._socket = self._stack.enter_context(listening(settings.host, settings.port))
        self.port = int(self._socket.getsockname()[1])
        self._folder = self._stack.enter_context(scratch_folder())
        self._workers: dict[int, Worker] = {}  # by their place
        self._swaps = 0  # that were asked for
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = threading.Event()

    @property
    def address(self) -> str:
        """Where it is asked."""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return f"http://{host}:{self.port}"

    @property
    def processes(self) -> list[int]:
        """Of the workers."""
        return [worker.process.pid for worker in self._workers.values()]

    def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Answer until `stop` is called, or a signal ends it.

        Args:
            ready: Called when all workers answer.

        Raises:
            MillisError: a worker cannot load an artifact.
        """
        asyncio.run(self._serve(ready))

    def stop(self) -> None:
        """Make `serve` return, from whatever thread."""
        self._ending.set()
        if self._loop is not None:
            with suppress(RuntimeError):  # it has returned
                self._loop.call_soon_threadsafe(self._stopped.set)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    async def _serve(self, ready: Callable[[], None]) -> None:
        self._loop, self._stopped, self._swapping = asyncio.get_running_loop(), asyncio.Event(), asyncio.Lock()
        if self._ending.is_set():
            return
        self._follow_signals(self._loop)
        places = range(len(self._shares))
        try:
            for fault in await asyncio.gather(*map(self._start, places)):
                if fault is not None:
                    raise MillisError(fault)
            ready()
            say("ready", address=self.address, workers=self.processes, artifacts=[*self.settings.folders])
            keepers = [asyncio.ensure_future(self._keep(place)) for place in places]
            await self._stopped.wait()
            for keeper in keepers:
                keeper.cancel()
        finally:
            say("ending", grace_s=self.settings.grace_s)
            await asyncio.gather(*(worker.end(self.settings.grace_s) for worker in self._workers.values()))
            say("ended")

    def _follow_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stopped.set)
            loop.add_signal_handler(signal.SIGHUP, lambda: asyncio.ensure_future(self.swap()))

    async def _start(self, place: int) -> str | None:
        """Start the worker of a place; why it is not ready, where it is not."""
        told = {
            "settings": asdict(self.settings), "token": self._token, "cpus": self._shares[place],
            "socket": self._socket.fileno(),
        }  # fmt: skip
        try:
            worker = await Worker.start(told, self._folder, self.settings.threads)
        except OSError as error:
            return f"no worker can be started: {error}"
        self._workers[place], worker.swaps = worker, self._swaps
        said = await worker.said()
        if "ready" in said:
            worker.is_ready = True
            if worker.swaps != self._swaps:  # it may have read what lay there before
                async with self._swapping:
                    await _swapped(worker)
            return None
        status = await worker.process.wait()
        return str(
            said.get("error", f"a worker ended with status {status} before it was ready; see its last words above")
        )

    async def _keep(self, place: int) -> None:
        """Start another worker whenever that of a place dies."""
        loop, pause_s = asyncio.get_running_loop(), FIRST_PAUSE_S
        while True:
            begun, worker = loop.time(), self._workers[place]
            status = await worker.process.wait()
            metrics.forget(worker.process.pid, self._folder)
            steady = loop.time() - begun > STEADY_S
            pause_s = FIRST_PAUSE_S if steady else min(2 * pause_s, LONGEST_PAUSE_S)
            say("worker died", level=30, worker=worker.process.pid, status=status, pause_s=0 if steady else pause_s)
            if not steady:
                await asyncio.sleep(pause_s)
            fault = await self._start(place)
            if fault is None:
                say("worker replaced", worker=self._workers[place].process.pid)
            else:
                say("worker not ready", level=40, fault=fault)

    async def swap(self) -> None:
        """Have the workers load the artifacts anew, in turn; where one cannot, the rest stay as they are."""
        self._swaps += 1
        async with self._swapping:
            for worker in [worker for worker in self._workers.values() if worker.is_ready]:
                if not await _swapped(worker):
                    return


async def _swapped(worker: Worker) -> bool:
    """Whether a worker has loaded the artifacts anew."""
    said = await worker.swap()
    if "swapped" in said:
        say("swapped", worker=worker.process.pid, fingerprints=said["swapped"])
        return True
    say("not swapped", level=40, fault=said.get("error", "it died meanwhile"), worker=worker.process.pid)
    return False


def serve(artifact: str | Path | list[str | Path], **options: Any) -> None:
    """Answer requests with artifacts until a signal ends it, as `millis serve`.

    Args:
        artifact: A folder, or several.
        options: Further fields of `millis.server.settings.Settings`.

    Raises:
        MillisError: as `Server`.
    """
    folders = artifact if isinstance(artifact, list) else [artifact]
    with Server(Settings(tuple(map(str, folders)), **options), SECRET.find()) as server:
        server.serve(lambda: print(f"serving {', '.join(server.settings.folders)} at {server.address}", flush=True))
