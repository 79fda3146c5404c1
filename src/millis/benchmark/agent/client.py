"""The training machine's end: a bench whose artifacts are timed by an agent."""

import http.client
import json
import ssl
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import urlsplit

import millis
from millis.benchmark.agent.request import Request, check_taken, files_of
from millis.benchmark.agent.token import FILE_VARIABLE, VARIABLE, bearer, read_token
from millis.benchmark.environment import git_commit, machine, packages
from millis.benchmark.latency import Measurement, Options
from millis.errors import MillisError
from millis.storage.manifest import FILE_NAME, open_manifest
from millis.types import Text

TIMEOUT_S = 60.0  # for one answer: the agent answers within ten seconds, measured or not
PATIENCE = 3  # attempts at a request, all of which may be repeated: a network may have hiccups
PAUSE_S = 1.0  # before the next attempt, each time that much longer
QUEUE_PAUSE_S = 5.0
ROUNDS = 5  # of sending what is missing: one is enough where nobody else sends


@dataclass(frozen=True)
class Description:
    """What an agent says of itself. `max_file_bytes`: the largest file it takes."""

    millis: str
    host: str
    machine: dict[str, Any]
    packages: dict[str, str]
    max_file_bytes: int


@lru_cache(maxsize=8)
def describe(where: str) -> Description:
    """What the agent at `where` says of itself, asked once a process.

    Raises:
        MillisError: nobody answers, no agent does, the token is wrong, or it is another millis.
    """
    answer = _Line(where).ask("GET", "agent")
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
        self.agent = describe(options.where)
        self._line = _Line(options.where)
        self._texts = json.dumps(texts).encode()

    def measure(self, artifacts: Mapping[str, Path]) -> dict[str, Measurement]:
        """Measure `artifacts` (name → folder) together, in turns with the reference.

        Raises:
            MillisError: a file that is too large for the agent, files that it does not keep together, an artifact that
                it does not take or that does not load there, or an agent that went away.
        """
        manifests = {name: _manifest(folder) for name, folder in artifacts.items()}
        reference = _manifest(self.reference)
        request = Request(reference, manifests, sha256(self._texts).hexdigest(), self.options)
        files = {digest: self.reference / name for name, digest in files_of(reference).items()}
        for name, folder in artifacts.items():
            files |= {digest: folder / file for file, digest in files_of(manifests[name]).items()}
        self._check_sizes(files)
        path = f"measurements/{uuid.uuid4().hex}"
        self._submit(path, request, files)
        while not (answer := self._line.ask("GET", path)):
            pass  # the agent lets us wait for ten seconds each time
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
        while (answer := self._line.ask("PUT", path, body)).get("busy"):
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


class _Line:
    """Requests to one agent, each on a connection of its own."""

    def __init__(self, where: str) -> None:
        self.where, self._url, self._token = where, urlsplit(where), read_token()

    def ask(self, method: str, path: str, body: bytes | Path | None = None) -> dict[str, Any]:
        """The answer's JSON object.

        Raises:
            MillisError: nobody answers, or a refusal, in its words.
        """
        for attempt in range(1, PATIENCE + 1):
            try:
                status, answer = self._once(method, path, body)
                break
            except (OSError, http.client.HTTPException) as error:
                if attempt == PATIENCE or isinstance(error, ssl.SSLError):
                    raise MillisError(
                        f"no measuring agent answers at {self.where}: {error or type(error).__name__}. Start `millis "
                        "agent` there, open the tunnel to it, or set benchmark.where=here"
                    ) from error
                time.sleep(PAUSE_S * attempt)
        if status == http.HTTPStatus.UNAUTHORIZED:
            raise MillisError(
                f"the agent at {self.where} refuses the token: {VARIABLE}, or the file that {FILE_VARIABLE} names, "
                "must be the same on both machines"
            )
        try:
            found = json.loads(answer)
            if not isinstance(found, dict):
                raise ValueError("no object")
        except ValueError as error:
            raise MillisError(f"what answers at {self.where} is no measuring agent (HTTP status {status})") from error
        if status >= http.HTTPStatus.BAD_REQUEST and "refused" in found:
            raise MillisError(f"the agent at {self.where} refuses: {found['refused']}")
        return found

    def _once(self, method: str, path: str, body: bytes | Path | None) -> tuple[int, bytes]:
        size = 0 if body is None else body.stat().st_size if isinstance(body, Path) else len(body)
        connection = self._connection()
        try:
            with _opened(body) as stream:
                connection.putrequest(method, f"{self._url.path.rstrip('/')}/v1/{path}")
                connection.putheader("Authorization", bearer(self._token))
                connection.putheader("Content-Length", str(size))
                connection.endheaders()
                # One that refuses a body may hang up before it has read it; what it said is still there to be read.
                with suppress(BrokenPipeError, ConnectionResetError):
                    while chunk := stream.read(1 << 20):
                        connection.send(chunk)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)


def _opened(body: bytes | Path | None) -> IO[bytes]:
    return body.open("rb") if isinstance(body, Path) else BytesIO(body or b"")
