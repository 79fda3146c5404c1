"""What a request carries: how long it may be, and its bytes as they come."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import web

SILENCE_S = 60.0  # of a body: who says nothing for so long has gone


class Refusal(NamedTuple):
    """What is at fault, and the status that says so."""

    status: HTTPStatus
    text: str


def too_much(request: web.BaseRequest, most: int, see: str) -> Refusal | None:
    """A refusal, where the body is too long or does not say how long it is; before any of it is read.

    Args:
        most: Bytes.
        see: The setting that says how many, for the message.
    """
    length = request.content_length
    if length is None and request.body_exists:
        return Refusal(HTTPStatus.LENGTH_REQUIRED, "a body needs one Content-Length, plainly given")
    if length is not None and length > most:
        text = f"{length} bytes are more than the {most} that are taken at once; see {see}"
        return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
    return None


async def chunks(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """The body, as it comes.

    Raises:
        TimeoutError: nothing came for too long.
    """
    while True:
        async with asyncio.timeout(SILENCE_S):
            chunk = await request.content.readany()
        if not chunk:
            return
        yield chunk
