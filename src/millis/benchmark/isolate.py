"""A process for each artifact, and the parent's end of the talk with it.

The parent writes one JSON line and reads one back, so exactly one worker is ever awake: the others block in a read. A
worker that dies takes nothing with it but its own measurement, and a parent that dies closes the pipes, at which every
worker leaves.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import millis
from millis.benchmark.agent import token
from millis.errors import MillisError
from millis.types import Text

STDERR_TAIL = 2000  # characters of a dead worker's last words to show
GRACE_S = 5.0  # between asking a worker to leave and killing it
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Worker:
    """An artifact loaded in a fresh process, pinned to `cpus`; answers `ask`.

    Args:
        name: For messages.
        artifact: The folder.
        first: The request that ends the cold start.
        threads: For one request's arithmetic.
        cpus: CPUs to run on; empty leaves that to the system.

    Raises:
        MillisError: the process died before its first answer; its last words are in the message.
    """

    def __init__(self, name: str, artifact: Path, first: Text, threads: int, cpus: Sequence[int]) -> None:
        self.name = name
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 closed by `close`; a file never blocks the writer, a pipe would
        start = time.perf_counter_ns()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "millis.benchmark.worker", str(artifact.resolve()), str(threads), _join(cpus)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=worker_environment(threads),
        )
        try:
            waited_ns = self.ask({"first": first})
        except BaseException:
            self.close()
            raise
        self.cold_start_ms = (time.perf_counter_ns() - start - waited_ns) / 1e6

    def ask(self, request: dict[str, Any]) -> Any:
        """Send `request`, wait, and return the answer's value.

        Raises:
            MillisError: the worker refused, or died.
        """
        self.send(request)
        return self.receive()

    def send(self, request: dict[str, Any]) -> None:
        """Send `request`; its answer is for `receive`. For workers that are to be awake together."""
        assert self._process.stdin
        with contextlib.suppress(OSError):  # it closed its end: `receive` will tell
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def receive(self) -> Any:
        """Wait for the answer to what was sent.

        Raises:
            MillisError: the worker refused, or died.
        """
        assert self._process.stdout
        try:
            line = self._process.stdout.readline()
        except OSError:
            line = b""
        if not line:
            raise self._died()
        answer = json.loads(line)
        if "error" in answer:
            raise MillisError(f"cannot measure {self.name}: {answer['error']}")
        return answer["value"]

    def close(self) -> None:
        """End the process, by force if it lingers. May be called twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):  # a line it never read
                    pipe.close()
        try:
            self._process.wait(GRACE_S if self._process.poll() is None else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _died(self) -> MillisError:
        try:
            status = self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._stderr.seek(0)
        words = self._stderr.read().decode(errors="replace").strip()[-STDERR_TAIL:] or "(it said nothing)"
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        hint = (
            " Signal 9 is most often the system out of memory: measure fewer artifacts at once." if status == -9 else ""
        )
        return MillisError(f"the benchmark process of {self.name} {how}.{hint} Its last words:\n{words}")


def worker_environment(threads: int) -> dict[str, str]:
    """The parent's, with thread counts set before any library reads them and this very millis importable.

    An agent's token, or where it lies, is not a worker's to know.
    """
    source = str(Path(millis.__file__).parent.parent)
    paths = [source, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    secret = (token.VARIABLE, token.FILE_VARIABLE)
    return {
        **{name: value for name, value in os.environ.items() if name not in secret},
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONSAFEPATH": "1",  # a file called json.py in the user's folder is not ours to import
        "HF_HUB_OFFLINE": "1",
    }


def _join(cpus: Sequence[int]) -> str:
    return ",".join(map(str, cpus))
