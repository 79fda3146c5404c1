"""The device's end: HTTP for whoever has the token.

The standard library's server, since a device should need nothing more than millis: it holds few connections, trusts
none before it has seen the token, reads no body whose length it has not approved, takes no unread body for the next
request, and speaks no TLS (see the package).
"""

import json
import logging
import platform
import re
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Full
from threading import BoundedSemaphore
from types import TracebackType
from typing import Any, Self

import millis
from millis.benchmark.agent.blobs import Blobs, Readable
from millis.benchmark.agent.client import Description
from millis.benchmark.agent.laboratory import Laboratory
from millis.benchmark.agent.request import Request
from millis.benchmark.agent.token import bearer, same
from millis.benchmark.environment import machine, packages
from millis.errors import MillisError

log = logging.getLogger(__name__)

LONG_POLL_S = 10.0  # how long an answer is waited for: shorter than any proxy's patience
MAX_REQUEST_BYTES = 16 << 20  # of manifests and options: a manifest has some KB
CONNECTIONS = 64  # at once, a thread each: every request that waits in the queue has one, and some are sending
STRANGER_S = 10.0  # most silence of a client that has not shown the token
CLIENT_S = 60.0  # and of one that has: one that says nothing for so long has gone
LINGER_S = 2.0
GUESS_PAUSE_S = 1.0  # after a wrong token
ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Answer:
    """A status and a JSON object; `{"refused": text}` where the client is at fault."""

    status: HTTPStatus
    content: dict[str, Any]


class Agent:
    """A measuring agent, listening once made; `serve` answers until `stop`. Use as a context manager.

    Args:
        host: Address to listen on.
        port: 0 takes a free one; `port` then tells which.
        token: What clients must show.
        max_file_bytes: The largest file that is taken.
        max_kept_bytes: What all files that were sent may take on disk; what was used least recently goes first.

    Raises:
        MillisError: the address cannot be listened on.
    """

    def __init__(self, host: str, port: int, token: str, max_file_bytes: int, max_kept_bytes: int) -> None:
        self._expected = bearer(token)
        self.max_file_bytes = min(max_file_bytes, max_kept_bytes)
        handler = type("Handler", (_Handler,), {"agent": self})
        try:
            self._server = _Server((host, port), handler)
        except (OSError, OverflowError) as error:
            raise MillisError(
                f"cannot listen on {host}:{port}: {error}. Choose another host=... or port=..., or stop what "
                "listens there"
            ) from error
        self.port = int(self._server.server_address[1])
        self._place = tempfile.TemporaryDirectory(prefix="millis-agent-")
        blobs, artifacts = (Path(self._place.name) / name for name in ("blobs", "artifacts"))
        blobs.mkdir()
        artifacts.mkdir()
        self._blobs = Blobs(blobs, max_kept_bytes)
        self._laboratory = Laboratory(artifacts, self._blobs)

    def serve(self) -> None:
        """Answer until `stop` is called from another thread, or an exception (an interrupt) ends it."""
        self._server.serve_forever()

    def stop(self) -> None:
        """Make `serve` return."""
        self._server.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.server_close()
        self._laboratory.close()
        self._place.cleanup()

    def knows(self, authorization: str) -> bool:
        """Whether this header shows the token."""
        return same(authorization, self._expected)

    def limit(self, path: str) -> int:
        """Most bytes that a body sent to `path` may have."""
        return self.max_file_bytes if path.startswith("/v1/blobs/") else MAX_REQUEST_BYTES

    def get(self, path: str) -> Answer:
        """Answer a question."""
        if path == "/v1/agent":
            about = Description(millis.__version__, platform.node(), machine(), packages(), self.max_file_bytes)
            return Answer(HTTPStatus.OK, asdict(about))
        found = self._laboratory.answer(path.removeprefix("/v1/measurements/"), LONG_POLL_S)
        if found is None:
            return _refusal(HTTPStatus.NOT_FOUND, f"nothing is known here of {path}: the agent was started anew?")
        return Answer(HTTPStatus.OK, found)

    def put(self, path: str, body: "_Body") -> Answer:
        """Take a file, or a request to measure.

        Raises:
            MillisError: the client is at fault.
        """
        _, _, kind, name = path.split("/") if path.count("/") == 3 else ("", "", "", "")
        if kind == "blobs":
            self._blobs.receive(name, body, body.left)
            return Answer(HTTPStatus.CREATED, {"kept": name})
        if kind != "measurements" or not ID.fullmatch(name):
            return _refusal(HTTPStatus.NOT_FOUND, f"there is no {path[:100]} here")
        try:
            missing = self._laboratory.submit(name, Request.from_json(body.read(body.left)))
        except Full:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, {"busy": True})
        return Answer(HTTPStatus.CONFLICT if missing else HTTPStatus.ACCEPTED, {"missing": missing})


def _refusal(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, {"refused": text})


class _Body:
    """What follows a request's headers; `left` bytes of it are not read yet."""

    def __init__(self, stream: Readable, size: int) -> None:
        self._stream, self.left = stream, size

    def read(self, size: int) -> bytes:
        """At most `size` bytes, fewer where it ends or breaks off."""
        found = self._stream.read(min(size, self.left))
        self.left -= len(found)
        return found


class _Server(ThreadingHTTPServer):
    """A thread a connection, and so many connections."""

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._free = BoundedSemaphore(CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or that there are too many."""
        if self._free.acquire(blocking=False):
            return super().process_request(request, client_address)
        text = f"{CONNECTIONS} connections are open, as many as this agent holds: try again in a minute"
        content = json.dumps(_refusal(HTTPStatus.SERVICE_UNAVAILABLE, text).content)
        head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
        with suppress(OSError):
            request.setblocking(False)
            request.send(f"{head}Content-Length: {len(content)}\r\n\r\n{content}".encode())
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """As the standard library's; a further connection may come then."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle is its own affair."""
        log.debug("the connection from %s ended early", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """Looks at the token and the length before anything else."""

    agent: Agent
    protocol_version = "HTTP/1.1"
    timeout = STRANGER_S

    def do_GET(self) -> None:
        self._answer(lambda body: self.agent.get(self.path))

    def do_PUT(self) -> None:
        self._answer(lambda body: self.agent.put(self.path, body))

    def _answer(self, found: Callable[[_Body], Answer]) -> None:
        if not self.agent.knows(self.headers.get("Authorization", "")):
            log.warning("a wrong token from %s", self.client_address[0])
            time.sleep(GUESS_PAUSE_S)
            return self._hang_up(_refusal(HTTPStatus.UNAUTHORIZED, "a wrong token"))
        self.connection.settimeout(CLIENT_S)
        length, *others = self.headers.get_all("Content-Length", ["0"])
        unclear = "Transfer-Encoding" in self.headers or bool(self.headers.defects)
        if others or not length.isdecimal() or unclear:
            return self._hang_up(_refusal(HTTPStatus.LENGTH_REQUIRED, "a body needs one Content-Length, plainly given"))
        most = self.agent.limit(self.path)
        if int(length) > most:
            text = (
                f"{int(length)} bytes are more than the {most} that this agent takes at once; see max_file_bytes there"
            )
            return self._hang_up(_refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text))
        body = _Body(self.rfile, int(length))
        try:
            answer = found(body)
        except MillisError as error:
            return self._hang_up(_refusal(HTTPStatus.BAD_REQUEST, str(error)))
        except TimeoutError:
            raise  # the client went silent; nobody is there to be told
        except OSError as error:
            text = f"what was sent cannot be kept: {error.strerror or error}. Make room on the agent's machine"
            return self._hang_up(_refusal(HTTPStatus.INSUFFICIENT_STORAGE, text))
        return self._hang_up(answer) if body.left else self._send(answer)

    def _send(self, answer: Answer) -> None:
        content = json.dumps(answer.content).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def _hang_up(self, answer: Answer) -> None:
        """Answer without reading what is left of the body, and no request after it: it would pass for one.

        What still comes is thrown away for a moment: closing at once would reset the connection under the client, and
        with it the answer.
        """
        self.close_connection = True
        self._send(answer)
        end = time.monotonic() + LINGER_S
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER_S)
            while time.monotonic() < end and self.connection.recv(1 << 16):
                pass

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: what is measured is logged where it is measured, and who was refused above."""
