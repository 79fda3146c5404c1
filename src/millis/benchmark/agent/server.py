"""The device's end: HTTP for whoever has the token.

aiohttp's server reads the requests: headers must be complete within seconds, bodies are framed strictly and read as
they come, and a connection costs no thread. Of a request the token is looked at first, then its length; only then is
its body read. TLS is not spoken (see the package).
"""

import asyncio
import logging
import platform
import re
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from http import HTTPStatus
from queue import Full
from types import TracebackType
from typing import Any, Self

from aiohttp import web

import millis
from millis.benchmark.agent.blobs import Blobs
from millis.benchmark.agent.client import Description
from millis.benchmark.agent.laboratory import Laboratory
from millis.benchmark.agent.request import Request
from millis.benchmark.environment import machine, packages
from millis.errors import MillisError
from millis.server.access import BACKLOG, bearer, listening, same
from millis.server.bodies import chunks, too_much
from millis.temporaries import scratch_folder

log = logging.getLogger(__name__)
quiet = log.getChild("protocol")  # aiohttp's: a stranger's nonsense would fill the log with tracebacks
quiet.setLevel(logging.CRITICAL)

LONG_POLL_S = 10.0  # how long an answer is waited for: shorter than any proxy's patience
MAX_REQUEST_BYTES = 16 << 20  # of manifests and options: a manifest has some KB
STRANGERS = 256  # connections that have not shown the token: one more, and the one that came first is closed
HEADERS_S = 10.0  # from connecting, or the last answer, to the end of a request's headers
LINGER_S = 2.0  # what still comes after an answer is thrown away for so long: closing at once may destroy the answer
LEAVE_S = 0.1  # for what is being answered when the agent stops
ACCEPTING_TURNS = 5  # of the event loop: two from accepting a connection to the server's knowing it
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
        self.about = Description(millis.__version__, platform.node(), machine(), packages(), self.max_file_bytes)
        self._socket = listening(host, port)
        self.port = int(self._socket.getsockname()[1])
        self._stopped: Future[None] = Future()
        self._stack = ExitStack()
        self.folder = self._stack.enter_context(scratch_folder())
        blobs, artifacts = self.folder / "blobs", self.folder / "artifacts"
        blobs.mkdir()
        artifacts.mkdir()
        self._blobs = Blobs(blobs, max_kept_bytes)
        self._laboratory = Laboratory(artifacts, self._blobs)

    def serve(self) -> None:
        """Answer until `stop` is called, from another thread or a signal's handler, or an interrupt ends it."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """Make `serve` return."""
        if not self._stopped.done():
            self._stopped.set_result(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()
        self._laboratory.close()
        self._stack.close()

    async def _serve(self) -> None:
        self._server = _Server(
            self._respond,
            keepalive_timeout=HEADERS_S,
            lingering_time=LINGER_S,
            auto_decompress=False,
            access_log=None,
            logger=quiet,
        )
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(self._server, sock=self._socket, backlog=BACKLOG)
        try:
            await asyncio.wrap_future(self._stopped)
        finally:
            # asyncio drops who was accepted in this moment, open and unanswered, if its server is closed before it has
            # made a transport for them. So first nobody is accepted, then those become known, then all are closed.
            loop.remove_reader(self._socket)
            for _ in range(ACCEPTING_TURNS):
                await asyncio.sleep(0)
            listening.close()
            await self._server.shutdown(LEAVE_S)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        if not same(request.headers.get("Authorization", ""), self._expected):
            log.warning("a wrong token from %s", request.remote)
            await asyncio.sleep(GUESS_PAUSE_S)
            response = _json(_refusal(HTTPStatus.UNAUTHORIZED, "a wrong token"))
            await response.prepare(request)
            await response.write_eof()
            request.protocol.force_close()  # without lingering
            return response
        self._server.admit(request.protocol)
        return _json(await self._answer(request))

    async def _answer(self, request: web.BaseRequest) -> Answer:
        try:
            if refusal := too_much(request, self._limit(request.path), "max_file_bytes there"):
                return _refusal(*refusal)
            return await self._found(request)
        except MillisError as error:
            return _refusal(HTTPStatus.BAD_REQUEST, str(error))
        except (ConnectionError, TimeoutError):
            return _refusal(HTTPStatus.REQUEST_TIMEOUT, "the body broke off")  # nobody may be there to read it
        except OSError as error:
            text = f"what was sent cannot be kept: {error.strerror or error}. Make room on the agent's machine"
            return _refusal(HTTPStatus.INSUFFICIENT_STORAGE, text)
        except Exception as error:
            log.exception("a request failed in a way that is not its client's fault")
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR, f"the agent failed: {type(error).__name__}: {error}")

    def _limit(self, path: str) -> int:
        """Most bytes that a body sent to `path` may have."""
        return self.max_file_bytes if path.startswith("/v1/blobs/") else MAX_REQUEST_BYTES

    async def _found(self, request: web.BaseRequest) -> Answer:
        match [request.method, *request.path.split("/")]:
            case ["GET", "", "v1", "agent"]:
                return Answer(HTTPStatus.OK, asdict(self.about))
            case ["GET", "", "v1", "measurements", id]:
                return await self._measured(id)
            case ["PUT", "", "v1", "blobs", name]:
                await self._blobs.receive(name, chunks(request), request.content_length or 0)
                return Answer(HTTPStatus.CREATED, {"kept": name})
            case ["PUT", "", "v1", "measurements", id] if ID.fullmatch(id):
                body = b"".join([chunk async for chunk in chunks(request)])
                return await asyncio.to_thread(self._submit, id, body)
        return _refusal(HTTPStatus.NOT_FOUND, f"there is no {request.method} {request.path[:100]} here")

    async def _measured(self, id: str) -> Answer:
        answer = self._laboratory.answer(id)
        if answer is None:
            return Answer(HTTPStatus.NOT_FOUND, {"lost": True})
        await asyncio.wait([asyncio.wrap_future(answer)], timeout=LONG_POLL_S)
        return Answer(HTTPStatus.OK, answer.result() if answer.done() else {})

    def _submit(self, id: str, body: bytes) -> Answer:
        try:
            missing = self._laboratory.submit(id, Request.from_json(body))
        except Full:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, {"busy": True})
        return Answer(HTTPStatus.CONFLICT if missing else HTTPStatus.ACCEPTED, {"missing": missing})


class _Server(web.Server):
    """Lets everyone in; of the strangers, who have not shown the token yet, so many stay, the last that came."""

    def __init__(self, handler: Any, **options: Any) -> None:
        super().__init__(handler, **options)
        self._strangers: dict[web.RequestHandler, None] = {}  # in the order in which they came

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """One more."""
        super().connection_made(handler, transport)
        self._strangers[handler] = None
        if len(self._strangers) > STRANGERS:
            first = next(iter(self._strangers))
            del self._strangers[first]
            first.force_close()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """One less."""
        self.admit(handler)
        super().connection_lost(handler, exc)

    def admit(self, handler: web.RequestHandler) -> None:
        """It is no stranger."""
        self._strangers.pop(handler, None)


def _refusal(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, {"refused": text})


def _json(answer: Answer) -> web.Response:
    return web.json_response(answer.content, status=answer.status)
