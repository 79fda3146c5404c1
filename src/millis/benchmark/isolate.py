"""A process for each artifact, and the parent's end of the talk with it.

The parent writes one JSON line and reads one back, so exactly one worker is ever awake: the others block in a read. A
worker that dies takes nothing with it but its own measurement, and a parent that dies closes the pipes, at which every
worker leaves. One that says nothing for far longer than its work takes (a hung driver, a frozen container, a graph with
an endless loop) is ended: whoever waits for it holds the lock that every other measurement of this user waits for.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Self

from millis import children
from millis.benchmark.worker import ALIVE
from millis.errors import MillisError
from millis.types import Text

STDERR_TAIL = 2000  # characters of a dead worker's last words to show
GRACE_S = 5.0  # between asking a worker to leave and killing it
NEW_TOKENS = 32  # that models which write give each request, where nobody says
TIMEOUT_S = 60.0  # most silence of a worker, unless its work takes longer than three seconds
TICK_S = 1.0
SLACK = 20.0  # by which a busy machine may prolong what is expected
LOAD_BYTES_PER_S = 200e6  # that an artifact is read, verified and loaded at
DOING = {
    "first": "was loading and answering its first request",
    "texts": "was taking the texts",
    "warm": "was warming up",
    "burst": "was being timed",
    "shape": "was computing a batch",
    "stream": "was answering a stream",
    "peak": "was telling its memory",
}


class Worker:
    """An artifact loaded in a fresh process, pinned to `cpus`; answers `ask`.

    Args:
        name: For messages.
        artifact: The folder.
        first: The request that ends the cold start.
        threads: For one request's arithmetic.
        cpus: CPUs to run on; empty leaves that to the system.
        timeout_s: Most silence before it is taken for hung, where its work is not expected to take longer.

    Raises:
        MillisError: the process died or hung before its first answer; its last words are in the message.
    """

    def __init__(
        self,
        name: str,
        artifact: Path,
        first: Text,
        threads: int,
        cpus: Sequence[int],
        timeout_s: float = TIMEOUT_S,
        new_tokens: int = NEW_TOKENS,
    ) -> None:
        self.name, self.timeout_s = name, timeout_s
        self._doing = ""
        self._lines: SimpleQueue[bytes] = SimpleQueue()  # what it said; none: it died
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 closed by `close`; a file never blocks the writer, a pipe would
        start = time.perf_counter_ns()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "millis.benchmark.worker", str(artifact.resolve()), str(threads), _join(cpus)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=children.environment(threads),
        )
        try:
            size = sum(path.stat().st_size for path in artifact.rglob("*") if path.is_file())
            answered = self.ask(
                {"first": {"text": first, "new_tokens": new_tokens}}, expected_s=size / LOAD_BYTES_PER_S
            )
        except BaseException:
            self.close()
            raise
        self.cold_start_ms = (time.perf_counter_ns() - start - answered["waited_ns"]) / 1e6
        self.stages: tuple[str, ...] = tuple(answered["stages"])

    def ask(self, request: dict[str, Any], expected_s: float = 0.0) -> Any:
        """Send `request`, wait, and return the answer's value.

        Raises:
            MillisError: the worker refused, died, or hung.
        """
        self.send(request)
        return self.receive(expected_s)

    def send(self, request: dict[str, Any]) -> None:
        """Send `request`; its answer is for `receive`. For workers that are to be awake together."""
        (self._doing,) = request
        line = json.dumps(request).encode() + b"\n"
        Thread(target=self._exchange, args=(line,), daemon=True).start()

    def receive(self, expected_s: float = 0.0) -> Any:
        """Wait for the answer to what was sent.

        Args:
            expected_s: What the work takes on an idle machine, where that is known; `SLACK` times as long, and
                `timeout_s` at least, is waited for each sign of life.

        Raises:
            MillisError: the worker refused, died, or hung.
        """
        limit_s = max(self.timeout_s, SLACK * expected_s)
        while (line := self._next_line(limit_s)) == ALIVE:
            pass
        self._doing = ""
        if not line:
            raise self._died()
        answer = json.loads(line)
        if "error" in answer:
            raise MillisError(f"cannot measure {self.name}: {answer['error']}")
        return answer["value"]

    def close(self) -> None:
        """End the process, by force if it lingers or still works at something. May be called twice."""
        if self._doing:
            self._process.kill()
        elif self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._ended(GRACE_S):
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    with contextlib.suppress(OSError):  # a line it never read
                        pipe.close()
        self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _next_line(self, limit_s: float) -> bytes:
        """What it says next. Counted in ticks: while Ctrl-Z stops this process and the worker alike, no time passes."""
        waited_s = 0.0
        while waited_s < limit_s:
            tick_s = min(TICK_S, limit_s - waited_s)
            with contextlib.suppress(Empty):
                return self._lines.get(timeout=tick_s)
            waited_s += tick_s
        raise self._hung(limit_s)

    def _exchange(self, line: bytes) -> None:
        """Write a request and queue what is said to it, in a thread: neither can be waited for with a limit."""
        assert self._process.stdin and self._process.stdout
        said = b""
        with contextlib.suppress(OSError, ValueError):  # it closed its end, or `close` closed ours
            self._process.stdin.write(line)
            self._process.stdin.flush()
            while (said := self._process.stdout.readline()) == ALIVE:
                self._lines.put(said)
        self._lines.put(said)

    def _ended(self, grace_s: float) -> bool:
        """Whether the process is gone, after `grace_s` by force; one that a driver holds in the kernel may not be."""
        for _ in range(2):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
                return True
            self._process.kill()
        return False

    def _hung(self, limit_s: float) -> MillisError:
        self._process.kill()
        return MillisError(
            f"the benchmark process of {self.name} hung: for {limit_s:g} s it said nothing while it "
            f"{DOING[self._doing]}, and was ended. A driver that hangs, a process that was stopped, and a graph that "
            "never ends do that; if it is only slow, raise benchmark.timeout_s"
        )

    def _died(self) -> MillisError:
        self._ended(GRACE_S)
        status = self._process.returncode or 0
        self._stderr.seek(0)
        words = self._stderr.read().decode(errors="replace").strip()[-STDERR_TAIL:] or "(it said nothing)"
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        hint = (
            " Signal 9 is most often the system out of memory: measure fewer artifacts at once." if status == -9 else ""
        )
        return MillisError(f"the benchmark process of {self.name} {how}.{hint} Its last words:\n{words}")


def _join(cpus: Sequence[int]) -> str:
    return ",".join(map(str, cpus))
