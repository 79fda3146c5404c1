"""The training machine's end: a bench whose artifacts are timed by an agent."""

import json
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import millis
from millis.benchmark.agent.line import Line
from millis.benchmark.agent.request import Request, check_taken, files_of
from millis.benchmark.environment import git_commit, machine, packages, peculiarities
from millis.benchmark.latency import Measurement, Options
from millis.errors import MillisError
from millis.storage.manifest import FILE_NAME, open_manifest
from millis.types import Text

log = logging.getLogger(__name__)

QUEUE_PAUSE_S = 5.0
ROUNDS = 5  # of sending what is missing, where one is enough if nobody else sends; and of measuring what was lost


@dataclass(frozen=True)
class Description:
    """What an agent says of itself. `max_file_bytes`: the largest file it takes."""

    millis: str
    host: str
    machine: dict[str, Any]
    packages: dict[str, str]
    max_file_bytes: int

    @property
    def site(self) -> list[Any]:
        """What of it a latency depends on: see `millis.benchmark.where.site`."""
        return [
            self.machine["cpu"], self.machine["cpu_flags"], self.packages, self.host, *peculiarities(self.machine)
        ]  # fmt: skip


@lru_cache(maxsize=8)
def describe(where: str, patience_s: float) -> Description:
    """What the agent at `where` says of itself, asked once a process.

    Raises:
        Unavailable: nobody answers for `patience_s`.
        MillisError: what answers is no agent, the token is wrong, or it is another millis.
    """
    answer = Line(where, patience_s).ask("GET", "agent")
    try:
        found = Description(**answer)
    except TypeError:
        found = Description(str(answer.get("millis", "of unknown version")), "", {}, {}, 0)
    if found.millis != millis.__version__:
        raise MillisError(
            f"the agent at {where} is millis {found.millis}, this is {millis.__version__}: they may measure "
            "differently. Install the same on both"
        )
    return found


class AgentBench:
    """Measures as `millis.benchmark.latency.Bench` does, on the machine of an agent.

    Args:
        reference: Artifact that speed-ups are over.
        texts: The task's own test texts.
        options: How, and at `where`.

    Raises:
        MillisError: as `describe`.
    """

    def __init__(self, reference: Path, texts: Sequence[Text], options: Options) -> None:
        self.reference, self.options = reference, options
        self.agent = describe(options.where, options.patience_s)
        self._line = Line(options.where, options.patience_s)
        self._texts = json.dumps(texts).encode()

    def measure(self, artifacts: Mapping[str, Path]) -> dict[str, Measurement]:
        """Measure `artifacts` (name → folder) together, in turns with the reference.

        Raises:
            Unavailable: the agent went away and did not come back.
            MillisError: a file that is too large for the agent, files that it does not keep together, an artifact that
                it does not take or that does not load there, or an agent that dies of it.
        """
        manifests = {name: _manifest(folder) for name, folder in artifacts.items()}
        reference = _manifest(self.reference)
        request = Request(reference, manifests, sha256(self._texts).hexdigest(), self.options)
        files = {digest: self.reference / name for name, digest in files_of(reference).items()}
        for name, folder in artifacts.items():
            files |= {digest: folder / file for file, digest in files_of(manifests[name]).items()}
        self._check_sizes(files)
        answer = self._answer(request, files)
        if "error" in answer:
            raise MillisError(f"the agent at {self.options.where} ({self.agent.host}) says: {answer['error']}")
        return {name: self._signed(values) for name, values in answer["measurements"].items()}

    def close(self) -> None:
        """Nothing is kept open: the agent ends its processes when it is idle, or another reference comes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _check_sizes(self, files: Mapping[str, Path]) -> None:
        most = self.agent.max_file_bytes
        for path in files.values():
            if (size := path.stat().st_size) > most:
                raise MillisError(
                    f"{path} has {size} bytes, and the agent at {self.options.where} takes files of up to {most}. "
                    "Start it with a larger max_file_bytes, or measure a smaller model"
                )

    def _answer(self, request: Request, files: Mapping[str, Path]) -> dict[str, Any]:
        """What the agent answers, however often it is started anew meanwhile."""
        path = f"measurements/{uuid.uuid4().hex}"
        for _ in range(ROUNDS):
            self._submit(path, request, files)
            while not (answer := self._line.ask("GET", path)):
                pass  # the agent lets us wait for ten seconds each time, and for each process in its turn
            if not answer.get("lost"):
                return answer
            log.warning(
                "the agent at %s was started anew and lost a measurement, which is sent again", self.options.where
            )
            self._meet_again()
        raise MillisError(
            f"the agent at {self.options.where} ({self.agent.host}) was started anew during each of {ROUNDS} attempts "
            "at this measurement: see why it ends there (out of memory?), or measure fewer artifacts at once"
        )

    def _meet_again(self) -> None:
        """Check that the agent is on the machine that it was on: what is kept of its latencies says so."""
        describe.cache_clear()
        agent = describe(self.options.where, self.options.patience_s)
        if agent.site != self.agent.site:
            raise MillisError(
                f"the agent at {self.options.where} was started anew on another machine or with other packages "
                f"(host {agent.host}, before {self.agent.host}). Give the command again to measure there"
            )

    def _submit(self, path: str, request: Request, files: Mapping[str, Path]) -> None:
        """Have the request queued, sending the files that the agent lacks."""
        body, rounds = request.to_json(), 0
        while missing := self._missing(path, body):
            rounds += 1
            if rounds > ROUNDS:
                raise MillisError(
                    f"the agent at {self.options.where} drops files of this measurement before the last has come, "
                    f"{ROUNDS} times over: it keeps too little for it, or others send as much. Raise max_kept_bytes "
                    "there, or try again later"
                )
            for digest in missing:
                self._line.ask("PUT", f"blobs/{digest}", files.get(digest, self._texts))

    def _missing(self, path: str, body: bytes) -> list[str]:
        """The blobs that the agent lacks for the request; none once it is queued, which is waited for."""
        said = False
        while (answer := self._line.ask("PUT", path, body)).get("busy"):
            if not said:
                log.warning("the agent at %s has its queue full: waiting for a place in it", self.options.where)
            said = True
            time.sleep(QUEUE_PAUSE_S)
        return list(answer.get("missing", ()))

    def _signed(self, values: dict[str, Any]) -> Measurement:
        """A measurement whose environment is the agent's machine and names it; what was here is said apart."""
        found = Measurement(**values)
        intervals = {name: (low, high) for name, (low, high) in found.intervals.items()}
        theirs = found.environment
        environment = theirs | {
            "agent": {"where": self.options.where, "host": self.agent.host, "git_commit": theirs.get("git_commit")},
            "git_commit": git_commit(Path.cwd()),
            "sent_from": {"machine": machine(), "packages": packages()},
        }
        return replace(found, intervals=intervals, environment=environment)


def _manifest(folder: Path) -> str:
    manifest = open_manifest(folder, verify=False)
    check_taken(manifest.name, manifest.backend, manifest.spec)
    return (folder / FILE_NAME).read_text(encoding="utf-8")
