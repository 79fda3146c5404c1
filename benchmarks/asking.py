"""Clients for servers on this machine that cost little: raw sockets, kept open.

An HTTP library would do, but its part of a request is longer than the server's: the client would be what is measured.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

SPIN_S = 0.002  # before the next arrival nothing sleeps: timers are good to a millisecond


class Connection(asyncio.Protocol):
    """One request at a time.

    Args:
        answered: Called with this connection and the answer's status, 0 where the connection broke.
    """

    def __init__(self, answered: "Callable[[Connection, int], None]") -> None:
        self.answered, self.seen, self.due, self.sent, self.is_asked = answered, b"", 0.0, 0.0, False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, request: bytes, due: float) -> None:
        """Send; `due` is when it was to be sent (`time.perf_counter`)."""
        self.due, self.sent, self.is_asked = due, time.perf_counter(), True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.seen += data
        head, gap, body = self.seen.partition(b"\r\n\r\n")
        if not gap:
            return
        if b"chunked" in head.lower():
            if not body.endswith(b"0\r\n\r\n"):
                return
        elif len(body) < int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]):
            return
        self.seen, self.is_asked = b"", False
        self.answered(self, int(head.split(b" ", 2)[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_asked:
            self.is_asked = False
            self.answered(self, 0)


def request_of(port: int, path: str, text: str) -> bytes:
    """The bytes that ask about a text."""
    body = json.dumps({"text": text}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def closed(port: int, path: str, texts: Sequence[str], clients: int, seconds: float) -> list[float]:
    """Milliseconds of each request of so many clients that send again at once, half a second after they began."""
    requests, chance, took = [request_of(port, path, text) for text in texts], random.Random(0), list[float]()

    def again(connection: Connection, status: int) -> None:
        now = time.perf_counter()
        if connection.due:
            assert status == 200, status
            took.append(1e3 * (now - connection.due))
        connection.ask(chance.choice(requests), now)

    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Connection(again), "127.0.0.1", port) for _ in range(clients)]
    for _, connection in made:
        again(connection, 200)
    await asyncio.sleep(0.5)
    took.clear()
    await asyncio.sleep(seconds)
    found = took[:]
    for transport, connection in made:
        connection.is_asked = False
        transport.abort()
    return found


class Arrived(NamedTuple):
    """One request of an open loop.

    Args:
        status: Of HTTP; 0 where the connection broke.
        ms: From the moment at which it was to be sent to the end of its answer.
        late_ms: Of these, how much later than then it was sent.
    """

    status: int
    ms: float
    late_ms: float


async def opened(
    port: int, path: str, texts: Sequence[str], rate: float, seconds: float,
    each: Callable[[float], None] = lambda _: None,
) -> list[Arrived]:  # fmt: skip
    """Open loop: arrivals as of many independent users (a Poisson process), which nothing slows down.

    Args:
        rate: Arrivals a second.
        seconds: For so long.
        each: Called with the share of the time that has passed, at each arrival.
    """
    requests, chance = [request_of(port, path, text) for text in texts], random.Random(0)
    loop, found, idle, asked = asyncio.get_running_loop(), list[Arrived](), list[Connection](), 0

    def answered(connection: Connection, status: int) -> None:
        now = time.perf_counter()
        found.append(Arrived(status, 1e3 * (now - connection.due), 1e3 * (connection.sent - connection.due)))
        if status:
            idle.append(connection)

    begun = due = time.perf_counter()
    while due - begun < seconds:
        while (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause - SPIN_S if pause > SPIN_S else 0)
        await asyncio.sleep(0)  # what has come is read, however late this is
        while idle and idle[-1].transport.is_closing():
            idle.pop()
        if not idle:
            idle.append((await loop.create_connection(lambda: Connection(answered), "127.0.0.1", port))[1])
        idle.pop().ask(chance.choice(requests), due)
        asked += 1
        each((due - begun) / seconds)
        due += chance.expovariate(rate)
    end = time.perf_counter() + 30
    while len(found) < asked and time.perf_counter() < end:
        await asyncio.sleep(0.01)
    assert len(found) == asked, f"{asked - len(found)} requests were never answered"
    for connection in idle:
        connection.transport.abort()
    return found
