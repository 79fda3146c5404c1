"""Requests to an agent over HTTP, tried again while it is away: killed and started anew, or behind a lost tunnel."""

import http.client
import json
import logging
import ssl
import time
from contextlib import suppress
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from millis.benchmark.agent.token import TOKEN
from millis.errors import MillisError, Unavailable
from millis.server.access import bearer

log = logging.getLogger(__name__)

TIMEOUT_S = 60.0  # for one answer: the agent answers within ten seconds, measured or not
PAUSE_S = 1.0  # before the next attempt at a request, all of which may be repeated; doubled each time ...
LONGEST_PAUSE_S = 15.0  # ... up to this
AWAY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)  # what a proxy says then


class Line:
    """Requests to one agent, each on a connection of its own; one that is away is waited for."""

    def __init__(self, where: str, patience_s: float) -> None:
        self.where, self.patience_s, self._url, self._token = where, patience_s, urlsplit(where), TOKEN.read()

    def ask(self, method: str, path: str, body: bytes | Path | None = None) -> dict[str, Any]:
        """The answer's JSON object.

        Raises:
            Unavailable: nobody answers for `patience_s`.
            MillisError: what answers is no agent; a refusal, in its words; or `body` is a file that is gone.
        """
        status, answer = self._patiently(method, path, body)
        if status == HTTPStatus.UNAUTHORIZED:
            raise MillisError(
                f"the agent at {self.where} refuses the token: {TOKEN.variable}, or the file that "
                f"{TOKEN.file_variable} names, must be the same on both machines"
            )
        found = _object(answer)
        if found is None:
            raise MillisError(f"what answers at {self.where} is no measuring agent (HTTP status {status})")
        if status >= HTTPStatus.BAD_REQUEST and "refused" in found:
            raise MillisError(f"the agent at {self.where} refuses: {found['refused']}")
        return found

    def _patiently(self, method: str, path: str, body: bytes | Path | None) -> tuple[int, bytes]:
        """Status and body of the answer, tried again with growing pauses while there is none."""
        end, pause_s = time.monotonic() + self.patience_s, PAUSE_S
        while True:
            try:
                status, answer = self._once(method, path, body)
                if status in AWAY or (status == HTTPStatus.SERVICE_UNAVAILABLE and _object(answer) != {"busy": True}):
                    raise http.client.HTTPException(f"HTTP status {status}")
                return status, answer
            except FileNotFoundError as error:
                raise MillisError(
                    f"cannot send {error.filename}: it is gone. Make the artifact again, and leave its folder "
                    "alone while it is measured"
                ) from error
            except (OSError, http.client.HTTPException) as error:
                reason, left_s = str(error) or type(error).__name__, end - time.monotonic()
                hopeless = isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)
                if hopeless or left_s <= 0:
                    raise (MillisError if hopeless else Unavailable)(
                        f"no measuring agent answers at {self.where}: {reason}. Start `millis agent` there, open the "
                        "tunnel to it, or set benchmark.where=here"
                    ) from error
            if pause_s == PAUSE_S:
                log.warning(
                    "no measuring agent answers at %s (%s): trying again for %.0f s (benchmark.patience_s)",
                    self.where, reason, left_s,
                )  # fmt: skip
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

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


def _object(answer: bytes) -> dict[str, Any] | None:
    """The JSON object that it is; None if it is none."""
    try:
        found = json.loads(answer)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
