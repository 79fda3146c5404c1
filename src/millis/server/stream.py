"""Answers that come while they are written: server-sent events (WHATWG HTML, 9.2).

data: {"piece": "Wo ist"}          as often as there is one
event: done
data: {...}                        the whole answer, as of `/v1/predict`
event: error
data: {"error": "..."}             in its place, where it broke off
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from millis.server.messages import Answer, Fault, encode

HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def stream(
    request: web.BaseRequest, id: str, write: Callable[[Callable[[str], bool]], Awaitable[Answer]]
) -> tuple[web.StreamResponse, Answer | None]:
    """Send what is written as it comes; what goes wrong before the first piece is raised.

    Args:
        request: To be answered.
        id: Of the request.
        write: Writes; it is given what to call with each piece, which says whether anybody reads on.

    Returns:
        The response, which was sent, and the answer; None where it broke off.
    """
    loop, pieces, gone = asyncio.get_running_loop(), asyncio.Queue[str | None](), threading.Event()

    def say(piece: str) -> bool:
        loop.call_soon_threadsafe(pieces.put_nowait, piece)
        return not gone.is_set()

    written = asyncio.ensure_future(write(say))
    written.add_done_callback(lambda _: pieces.put_nowait(None))
    response = web.StreamResponse(headers=HEADERS | {"X-Request-Id": id, "Server": "millis"})
    try:
        while (piece := await pieces.get()) is not None:
            if not response.prepared:
                await response.prepare(request)
            await response.write(b"data: " + encode({"piece": piece}) + b"\n\n")
        if not response.prepared:
            await written  # raises, or there was nothing to say
            await response.prepare(request)
        answer = None if written.exception() else written.result()
        await response.write(_last(answer, written.exception()))
        await response.write_eof()
        return response, answer
    finally:
        gone.set()
        written.cancel()


def _last(answer: Answer | None, fault: BaseException | None) -> bytes:
    event: tuple[bytes, Any] = (b"done", answer) if fault is None else (b"error", Fault(f"it broke off: {fault}"))
    return b"event: " + event[0] + b"\ndata: " + encode(event[1]) + b"\n\n"
