"""What a worker answers to each request: addresses, the token, limits, and the artifacts.

Of a request the token is looked at first, then its length; only then is its body read, held against its schema
(`millis.server.messages`), and admitted or refused (`millis.server.lane`).
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from time import perf_counter_ns
from typing import Any, TypeAlias, TypeVar

from aiohttp import web

import millis
from millis.errors import MillisError, nearest
from millis.schema import decoded
from millis.server import openapi, pages
from millis.server.access import LOOPBACK, bearer, same
from millis.server.bodies import chunks, too_much
from millis.server.lane import Busy, Lane, Ticket
from millis.server.logs import say
from millis.server.messages import Answer, Answers, Fault, Prompt, Question, encode
from millis.server.metrics import Metrics
from millis.server.served import Artifact
from millis.server.settings import Settings
from millis.server.stream import stream
from millis.types import Text, parts_of

Body = TypeVar("Body")
Handler: TypeAlias = Callable[["Asked"], Awaitable[web.StreamResponse]]
JSON = "application/json"
OPEN = {"/", "/docs", "/openapi.json", "/health", "/ready"}  # what is answered without the token
GUESS_PAUSE_S = 1.0  # after a wrong token
NS_PER_MS = 1_000_000
LEFT = 499  # the status, in numbers and logs, of a request whose client did not wait for the answer
SHOWN = 200  # characters of what is wrong with a body, which may be a name that stands in it


class Refused(Exception):
    """A request that is not answered, and why."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class Asked:
    """A request while it is answered, and what is to be said of it."""

    def __init__(self, request: web.BaseRequest) -> None:
        self.request, self.arrived_ns = request, perf_counter_ns()
        self.id = secrets.token_hex(8)
        self.artifact = ""
        self.texts: list[Text] = []


class Application:
    """Answers requests.

    Args:
        settings: Of the server.
        token: What clients must show; None where there is none.
        artifacts: By name; the first answers where a request names none.
        metrics: Where answers are counted.
    """

    def __init__(
        self, settings: Settings, token: str | None, artifacts: Mapping[str, Artifact], metrics: Metrics
    ) -> None:
        self.settings, self.metrics = settings, metrics
        self.artifacts = dict(artifacts)
        self.lane = Lane(metrics.waiting)
        self.draining = False
        self._expected = None if token is None else bearer(token)
        self._routes: dict[str, tuple[str, Handler]] = {
            "/": ("GET", pages.page),
            "/docs": ("GET", pages.docs),
            "/openapi.json": ("GET", self._openapi),
            "/health": ("GET", self._health),
            "/ready": ("GET", self._ready),
            "/version": ("GET", self._version),
            "/metrics": ("GET", self._metrics),
            "/v1/artifacts": ("GET", self._artifacts),
            "/v1/predict": ("POST", self._predict),
            "/v1/stream": ("POST", self._stream),
        }

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request, or a refusal in a sentence."""
        asked = Asked(request)
        try:
            response = await self._response(asked)
        except (asyncio.CancelledError, ConnectionError):
            self._account(asked, LEFT)
            raise
        if not response.prepared:
            response.headers.update({"X-Request-Id": asked.id, "Server": "millis"})
        if self.draining:
            response.force_close()
        asyncio.get_running_loop().call_soon(self._account, asked, response.status)  # the answer is on its way then
        return response

    async def _response(self, asked: Asked) -> web.StreamResponse:
        try:
            return await (await self._admitted(asked))(asked)
        except Refused as error:
            return refusal(error.status, str(error))
        except MillisError as error:
            return refusal(HTTPStatus.BAD_REQUEST, str(error))
        except Busy as busy:
            text = (
                f"{busy}, more than can be done by this request's deadline. Try again after {busy.retry_after_s} s, "
                "allow more time (deadline_ms), or ask another server"
            )
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, text, {"Retry-After": str(busy.retry_after_s)})
        except TimeoutError:
            text = "the time of this request was up before it had its turn. Try again after 1 s, or allow more time"
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, text, {"Retry-After": "1"})
        except ConnectionError:
            raise  # nobody is there to read an answer
        except Exception as error:
            logging.getLogger(__name__).exception("failed", extra={"fields": {"request": asked.id}})
            return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, f"the server failed: {type(error).__name__}")

    async def _admitted(self, asked: Asked) -> Handler:
        """What answers the request, if it may ask that."""
        request = asked.request
        if self._expected is None and self.settings.is_private and _host(request) not in LOOPBACK:
            text = "this server has no token: it answers requests to localhost alone, whoever they are forwarded by"
            raise Refused(HTTPStatus.FORBIDDEN, text)  # or a page on the Web could ask it under a name of its own
        if request.path not in OPEN and not self._knows(request):
            await asyncio.sleep(GUESS_PAUSE_S)
            raise Refused(HTTPStatus.UNAUTHORIZED, "a wrong token: send the header `Authorization: Bearer TOKEN`")
        if request.path not in self._routes:
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no {request.path[:100]} here; /docs says what there is")
        method, handler = self._routes[request.path]
        if request.method != method:
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.path} is asked with {method}")
        return handler

    def _knows(self, request: web.BaseRequest) -> bool:
        """Whether a request shows the token, where there is one."""
        return self._expected is None or same(request.headers.get("Authorization", ""), self._expected)

    async def _body(self, asked: Asked, kind: type[Body]) -> Body:
        request, most = asked.request, self.settings.max_body_bytes
        self.lane.check(self.settings.deadline_ms)  # whatever it asks
        if request.content_type != JSON or request.headers.get("Content-Encoding", "identity") != "identity":
            text = f"expected a body of Content-Type {JSON} without an encoding, got {request.content_type!r}"
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text)
        if refused := too_much(request, most, "max_body_bytes of the server"):
            raise Refused(*refused)
        try:
            body = b"".join([chunk async for chunk in chunks(request)])
        except TimeoutError as error:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "the body broke off") from error
        try:
            return decoded(body, kind)
        except MillisError as error:
            said = " ".join(str(error).removeprefix(".").split())[:SHOWN]
            raise Refused(HTTPStatus.BAD_REQUEST, f"the body: {said}. /docs says what is expected") from error

    def _chosen(self, asked: Asked, name: str | None, deadline_ms: float | None) -> tuple[Artifact, int]:
        """The artifact that is asked, and by when (`perf_counter_ns`)."""
        name = next(iter(self.artifacts)) if name is None else name
        if name not in self.artifacts:
            known = f"{nearest(name, self.artifacts)}. Expected one of: {', '.join(self.artifacts)}"
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no artifact {name[:100]!r}{known}")
        asked.artifact = name
        within_ms = min(self.settings.deadline_ms, deadline_ms or self.settings.deadline_ms)
        return self.artifacts[name], asked.arrived_ns + int(within_ms * NS_PER_MS)

    def _check_texts(self, texts: list[Text]) -> None:
        if not 1 <= len(texts) <= self.settings.max_texts:
            text = f"texts has {len(texts)}: expected 1 to {self.settings.max_texts} (max_texts of the server)"
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if texts else HTTPStatus.BAD_REQUEST, text)
        longest = max(len(part) for text in texts for part in parts_of(text))
        if longest > self.settings.max_characters:
            text = (
                f"a text has {longest} characters: expected {self.settings.max_characters} at most (max_characters of "
                "the server)"
            )
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)

    async def _predict(self, asked: Asked) -> web.StreamResponse:
        question = await self._body(asked, Question)
        if (question.text is None) == (question.texts is None):
            raise Refused(
                HTTPStatus.BAD_REQUEST, "the body: expected either text or texts. /docs says what is expected"
            )
        asked.texts = question.texts if question.text is None else [question.text]  # type: ignore[assignment]
        self._check_texts(asked.texts)
        artifact, until_ns = self._chosen(asked, question.artifact, question.deadline_ms)
        given = _with_state(artifact, asked.texts, question.state)
        answers, several = [], question.texts is not None
        with self.lane.admit(artifact.service, len(asked.texts), until_ns) as place:
            size = artifact.service.slice()
            for start in range(0, len(asked.texts), size):
                part = given[start : start + size]
                call = partial(_each, artifact, part, start if several else None, asked.arrived_ns, until_ns, place)
                answers += await place.compute(call, len(part))
        for one in answers:
            self._count(asked, one)
        return web.Response(body=encode(Answers(answers) if several else answers[0]), content_type=JSON)

    async def _stream(self, asked: Asked) -> web.StreamResponse:
        prompt = await self._body(asked, Prompt)
        asked.texts = [prompt.text]
        self._check_texts(asked.texts)
        artifact, until_ns = self._chosen(asked, prompt.artifact, prompt.deadline_ms)
        artifact.check_writes()
        (text,) = _with_state(artifact, asked.texts, prompt.state)
        place = self.lane.admit(artifact.service, 1, until_ns)

        async def write(say: Callable[[str], bool]) -> Answer:
            with place:  # until it is written, not until it is read
                call = partial(artifact.answer, text, asked.arrived_ns, until_ns, say)
                return await place.compute(call)

        try:
            response, answer = await stream(asked.request, asked.id, write)
        finally:
            place.leave()  # it may not have begun
        if answer is not None:
            self._count(asked, answer)
        return response

    def _count(self, asked: Asked, answer: Any) -> None:
        asyncio.get_running_loop().call_soon(
            self.metrics.answered, asked.artifact, answer.elapsed_ms, answer.stage_ms, answer.kept
        )

    def _account(self, asked: Asked, status: int) -> None:
        if not asked.request.path.startswith("/v1/"):
            return
        self.metrics.responded(asked.artifact, status)
        if self.settings.log != "events":
            elapsed_ms = round((perf_counter_ns() - asked.arrived_ns) / NS_PER_MS, 3)
            texts: dict[str, Any] = {"said": asked.texts} if self.settings.log == "texts" else {}
            say(
                "request", request=asked.id, path=asked.request.path, status=status, artifact=asked.artifact,
                elapsed_ms=elapsed_ms, texts=len(asked.texts), **texts,
            )  # fmt: skip

    async def _openapi(self, asked: Asked) -> web.StreamResponse:
        return web.Response(body=encode(openapi.document(self._expected is not None)), content_type=JSON)

    async def _health(self, asked: Asked) -> web.StreamResponse:
        return web.Response(body=b'{"alive":true}', content_type=JSON)

    async def _ready(self, asked: Asked) -> web.StreamResponse:
        if self.draining:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the server is about to end")
        return web.Response(body=b'{"ready":true}', content_type=JSON)

    async def _version(self, asked: Asked) -> web.StreamResponse:
        return web.Response(body=encode({"millis": millis.__version__}), content_type=JSON)

    async def _metrics(self, asked: Asked) -> web.StreamResponse:
        text, kind = self.metrics.text()
        return web.Response(body=text, headers={"Content-Type": kind})

    async def _artifacts(self, asked: Asked) -> web.StreamResponse:
        return web.Response(body=encode([one.about() for one in self.artifacts.values()]), content_type=JSON)


def refusal(status: HTTPStatus, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """A status and a sentence."""
    return web.Response(body=encode(Fault(text)), status=status, content_type=JSON, headers=headers)


def _with_state(artifact: Artifact, texts: list[Text], state: dict[str, Any] | None) -> list[Any]:
    """The texts as they are; one that comes with a state as a pair of both.

    Raises:
        MillisError: whom it is for keeps none, or there are several texts.
    """
    if state is None:
        return list(texts)
    if not artifact.keeps_state:
        raise MillisError(f"artifact {artifact.name!r} keeps no state: leave `state` out")
    if len(texts) != 1 or not isinstance(texts[0], str):
        raise MillisError("a state comes with one text: send several texts one after the other")
    return [(texts[0], state)]


def _each(
    artifact: Artifact, texts: list[Any], first: int | None, arrived_ns: int, until_ns: int, place: Ticket
) -> list[Any]:
    """The answers, for as long as somebody waits for them.

    Args:
        first: Number of the first of them among `texts` of the request, for messages; None where there is but `text`.

    Raises:
        MillisError: no text that the artifact can answer; of several it is named.
    """
    answers: list[Any] = []
    for text in texts:
        try:
            answers.append(artifact.answer(text, arrived_ns, until_ns, lambda _: not place.is_left))
        except MillisError as error:
            raise error if first is None else MillisError(f"texts[{first + len(answers)}]: {error}") from error
    return answers


def _host(request: web.BaseRequest) -> str:
    """The name that a request was sent to, without its port."""
    name = request.host
    return name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
