"""Which HTTP server adds least to an artifact's own time? Each of them around one runner, one process, one CPU.

    python benchmarks/servers.py FOLDER [seconds=4] [rounds=3] [clients=16]

Needs `pip install fastapi uvicorn uvloop httptools litserve granian robyn` beside millis; who is not installed is left
out. Every server takes `{"text": ...}` as JSON and gives the answer as JSON; models compute in one thread beside the
loop, or however the server itself would have it. The server has one CPU, the client another one: raw sockets that are
kept open, a request written as one piece of bytes, so that it costs little.

`alone` is the client's closed loop of one connection; `added` is its median less that of `runner.predict` in the
server's own process just before. `saturated` is the rate with many connections that each send again at once. Servers
take turns in an order drawn anew each round, and the median round is told.
"""

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from asking import closed
from results import Table

from millis.cpus import available_cpus
from millis.server.settings import Settings
from millis.server.supervisor import Server
from millis.serving.runner import load

try:
    import litserve
except ImportError:
    litserve = None

TEXT = "where is my parcel? it was to come on monday"
CPUS = available_cpus()
ALONE = 400  # requests of a look at `runner.predict`


def answer(runner: Any, body: bytes) -> bytes:
    """What every server does for a request."""
    return json.dumps({"answer": runner.predict(json.loads(body)["text"]).value()}).encode()


def aiohttp_(runner: Any, port: int, loops: str = "asyncio") -> None:
    from concurrent.futures import ThreadPoolExecutor

    from aiohttp import web

    if loops == "uvloop":
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    thread = ThreadPoolExecutor(1)

    async def predict(request: web.Request) -> web.Response:
        body = await request.read()
        found = await asyncio.get_running_loop().run_in_executor(thread, answer, runner, body)
        return web.Response(body=found, content_type="application/json")

    app = web.Application()
    app.router.add_post("/predict", predict)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


def fastapi_app(runner: Any) -> Any:
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Ask(BaseModel):
        text: str

    app = FastAPI()

    @app.post("/predict")
    def predict(ask: Ask) -> dict[str, Any]:
        return {"answer": runner.predict(ask.text).value()}

    return app


def starlette_app(runner: Any) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    thread = ThreadPoolExecutor(1)

    async def predict(request: Request) -> Response:
        body = await request.body()
        found = await asyncio.get_running_loop().run_in_executor(thread, answer, runner, body)
        return Response(found, media_type="application/json")

    return Starlette(routes=[Route("/predict", predict, methods=["POST"])])


def uvicorn_(make: Callable[[Any], Any], runner: Any, port: int) -> None:
    import uvicorn

    uvicorn.run(make(runner), host="127.0.0.1", port=port, access_log=False, log_level="critical")


def granian_(runner: Any, port: int) -> None:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    async def serve() -> None:
        await Server(starlette_app(runner), address="127.0.0.1", port=port, interface=Interfaces.ASGI).serve()

    asyncio.run(serve())


def robyn_(runner: Any, port: int) -> None:
    from robyn import Request, Robyn

    app = Robyn(__file__)

    @app.post("/predict")
    def predict(request: Request) -> str:
        body = request.body
        return answer(runner, body.encode() if isinstance(body, str) else bytes(body)).decode()

    app.start(host="127.0.0.1", port=port)


class Api(litserve.LitAPI if litserve else object):  # type: ignore[misc]
    """LitServe's part: it computes in a process of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def setup(self, device: Any) -> None:
        self.runner = load(self.folder)

    def decode_request(self, request: dict[str, str]) -> str:
        return request["text"]

    def predict(self, text: str) -> Any:
        return self.runner.predict(text).value()

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"answer": output}


def litserve_(folder: Path, port: int) -> None:
    server = litserve.LitServer(Api(folder), accelerator="cpu")
    server.run(host="127.0.0.1", port=port, num_api_servers=1, log_level="critical", generate_client_file=False)


def millis_(folder: Path, port: int) -> None:
    with Server(Settings((str(folder),), port=port, workers=1)) as server:
        server.serve()


NAMES = {
    "aiohttp": aiohttp_,
    "aiohttp, uvloop": partial(aiohttp_, loops="uvloop"),
    "Starlette on uvicorn": partial(uvicorn_, starlette_app),
    "FastAPI on uvicorn": partial(uvicorn_, fastapi_app),
    "Starlette on granian": granian_,
    "Robyn": robyn_,
    "LitServe": litserve_,
    "millis serve": millis_,
}
NEEDS = {
    "uvicorn": "uvicorn", "FastAPI": "fastapi", "granian": "granian", "Robyn": "robyn", "LitServe": "litserve",
    "uvloop": "uvloop",
}  # fmt: skip
OF_FOLDERS = ("LitServe", "millis serve")


def serve(name: str, folder: Path, port: int) -> None:
    """A server, in a process of its own; what its runner takes alone is printed first."""
    runner = load(folder)
    times = []
    for _ in range(ALONE):
        start = time.perf_counter_ns()
        runner.predict(TEXT)
        times.append(time.perf_counter_ns() - start)
    print(median(times[ALONE // 4 :]) / 1e6, flush=True)
    NAMES[name](folder if name in OF_FOLDERS else runner, port)  # type: ignore[operator]


def look(name: str, folder: Path, clients: int, seconds: float) -> tuple[float, float, float]:
    """(p50 ms alone, of which added, requests a second) of a server that is started for it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path = "/v1/predict" if name == "millis serve" else "/predict"
    command = [sys.executable, __file__, "serve", name, str(folder), str(port)]
    child = subprocess.Popen(
        ["taskset", "-c", str(CPUS[-1]), *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        own = float(child.stdout.readline())  # type: ignore[union-attr]
        for _ in range(1200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        time.sleep(1.0)
        alone = median(asyncio.run(closed(port, path, [TEXT], 1, seconds)))
        rate = len(asyncio.run(closed(port, path, [TEXT], clients, seconds))) / seconds
        return alone, alone - own, rate
    finally:
        os.killpg(child.pid, 9)
        child.wait()


def main() -> int:
    if sys.argv[1] == "serve":
        serve(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
        return 0
    options = {"seconds": "4", "rounds": "3", "clients": "16"}
    options |= dict(argument.split("=", 1) for argument in sys.argv[2:])
    os.sched_setaffinity(0, CPUS[:1])
    names = [name for name in NAMES if all(find_spec(library) for word, library in NEEDS.items() if word in name)]
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in names}
    chance = random.Random(0)
    for _ in range(int(options["rounds"])):
        for name in chance.sample(names, len(names)):
            try:
                found[name].append(look(name, Path(sys.argv[1]), int(options["clients"]), float(options["seconds"])))
            except Exception as error:
                print("!", name, repr(error), file=sys.stderr)
    with Table("server", "alone p50 ms", "added ms", "saturated requests/s") as table:
        for name, rows in found.items():
            if rows:
                alone, added, rate = (median(column) for column in zip(*rows, strict=True))
                table.row(name, f"{alone:.2f}", f"{added:.2f}", f"{rate:.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
