"""A process that answers requests: `python -m millis.server.worker`, started by `millis.server.supervisor`.

It pins itself before anything heavy is imported, loads the artifacts, and accepts connections from the socket that all
workers share. On standard input it is told, a JSON object a line, `{"settings", "token", "cpus", "socket"}` first, then
`{"do": "swap"}` or `{"do": "end"}`; the end of it means the same as `end`, for then nobody is there. On standard output
it says `{"ready": true}` and, of each swap, `{"swapped": [name]}`; or `{"error": sentence}`. What libraries print goes
to standard error.
"""

import asyncio
import gc
import json
import os
import signal
import socket
from typing import IO, TYPE_CHECKING, Any

from millis.errors import MillisError

if TYPE_CHECKING:
    from millis.server.application import Application

KEEP_S = 75.0  # an idle connection stays open; longer than proxies keep theirs, so that they close first
LINGER_S = 2.0  # what still comes after an answer is thrown away for so long: closing at once may destroy the answer
LEAVING_S = 1.0  # of an end: /ready says no, and connections close with their next answer, so proxies look elsewhere
ACCEPTING_TURNS = 5  # of the event loop: two from accepting a connection to the server's knowing it
ACCEPTED = 1  # connections at a time: the rest is for workers that have time


def main() -> None:
    """Work until told to end."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a terminal sends them to all; the supervisor says what is to be done
    orders = open(0, "rb", buffering=0)  # noqa: SIM115 read on by the event loop; a buffer would keep lines from it
    told = json.loads(orders.readline() or b"{}")
    if not told:
        return
    if told["cpus"]:
        os.sched_setaffinity(0, told["cpus"])
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(2, 1)
        try:
            application = _loaded(told)
        except MillisError as error:
            _say(output, {"error": str(error)})
            return
        asyncio.run(_work(application, socket.socket(fileno=told["socket"]), orders, output))


def _say(output: IO[str], what: dict[str, Any]) -> None:
    output.write(json.dumps(what) + "\n")
    output.flush()


def _loaded(told: dict[str, Any]) -> "Application":
    from millis import schema
    from millis.server import logs
    from millis.server.application import Application
    from millis.server.metrics import Metrics
    from millis.server.served import loaded
    from millis.server.settings import Settings

    logs.set_up()
    settings = schema.checked(told["settings"], Settings)
    return Application(settings, told["token"], loaded(settings), Metrics(settings.folders))


async def _work(application: "Application", shared: socket.socket, orders: IO[bytes], output: IO[str]) -> None:
    from aiohttp import web

    from millis.server.access import BACKLOG

    loop = asyncio.get_running_loop()
    server = web.Server(
        application.respond, handler_cancellation=True, keepalive_timeout=KEEP_S, lingering_time=LINGER_S,
        auto_decompress=False, access_log=None,
    )  # fmt: skip
    gc.collect()
    gc.freeze()  # what stays for good is not looked through again
    listening = await loop.create_server(server, sock=shared, backlog=ACCEPTED)
    shared.listen(BACKLOG)
    _say(output, {"ready": True})
    await _obey(application, orders, output)
    application.draining = True
    await asyncio.sleep(min(LEAVING_S, application.settings.grace_s))
    # asyncio drops who was accepted in this moment, open and unanswered, if its server is closed before it has made a
    # transport for them. So first nobody is accepted, then those become known, then all are closed.
    loop.remove_reader(shared)
    for _ in range(ACCEPTING_TURNS):
        await asyncio.sleep(0)
    listening.close()
    server.pre_shutdown()
    await server.shutdown(application.settings.grace_s)
    application.lane.close()


async def _obey(application: "Application", orders: IO[bytes], output: IO[str]) -> None:
    """Do what comes on standard input, until the end of it or of everything."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), orders)
    swaps = set()  # an order to end is not waited for behind them
    while (line := await reader.readline()) and json.loads(line)["do"] != "end":
        swap = asyncio.ensure_future(asyncio.to_thread(_swap, application))
        swap.add_done_callback(lambda done: None if done.cancelled() else _say(output, done.result()))
        swaps.add(swap)


def _swap(application: "Application") -> dict[str, Any]:
    """Load the artifacts anew beside those that answer, which stay until the last request to them is answered."""
    from millis.server.served import loaded

    try:
        fresh = loaded(application.settings)
    except Exception as error:  # whatever files and runtimes raise: those that answer stay
        return {"error": str(error) or type(error).__name__}
    application.artifacts = fresh
    for name in fresh:
        application.metrics.swapped(name)
    return {"swapped": {name: one.about().fingerprint for name, one in fresh.items()}}


if __name__ == "__main__":
    main()
