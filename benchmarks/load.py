"""How does latency grow with the load that a server is offered, and does it last? `millis serve`, one command.

    python benchmarks/load.py FOLDER [seconds=3] [rounds=5] [deadline_ms=50] [workers=1] [shares=...]
    python benchmarks/load.py FOLDER soak=1800 [share=0.7] [kill=1]  # half an hour at 70 %

Arrivals are those of independent users: an open loop, whose requests come when they come and wait for no answer
(`asking.opened`). A request's time runs from the moment it was due. Saturation is what closed loops of 32 connections
reach whose deadline is far off. The server has the last CPUs, the client the first one. Texts are those of the bundled
corpus. Loads take turns in an order drawn anew each round; the median of the rounds' figures is told.

A soak also tells the workers' memory in its first and last tenth, and kills a worker in the middle with `kill=1`, whose
requests alone may break off.
"""

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
from asking import Arrived, closed, opened
from results import Table

from millis.cpus import available_cpus
from millis.data.bundled import Bundled

CPUS = available_cpus()
CLIENTS = 32
COMMAND = "import sys; from millis.cli.main import main; sys.argv = ['millis', *sys.argv[1:]]; main()"
PATH = "/v1/predict"


@contextmanager
def served(folder: str, options: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server of an artifact, and its port."""
    workers = int(options["workers"])
    arguments = ["serve", f"artifact={folder}", "port=0", "log=events", f"workers={workers}"]
    child = subprocess.Popen(
        ["taskset", "-c", ",".join(map(str, CPUS[-workers:])), sys.executable, "-c", COMMAND, *arguments,
         f"deadline_ms={options['deadline_ms']}"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        yield child, int(re.search(r":(\d+)$", child.stdout.readline().strip())[1])  # type: ignore[index]
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()


def workers_of(child: subprocess.Popen[str]) -> list[int]:
    """The processes of the workers."""
    return [int(pid) for pid in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()]


def megabytes(child: subprocess.Popen[str]) -> float:
    """Resident memory of all workers."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in workers_of(child))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def saturation(port: int, texts: list[str], seconds: float) -> float:
    """Requests a second."""
    return len(asyncio.run(closed(port, PATH, texts, CLIENTS, seconds))) / seconds


def figures(found: list[Arrived], seconds: float) -> list[float]:
    """What `COLUMNS` name: of those that were answered, and how late the client itself was."""
    answered = [one.ms for one in found if one.status == 200]
    refused, broken = (sum(one.status == status for one in found) for status in (503, 0))
    assert len(answered) + refused + broken == len(found), {one.status for one in found}
    times = np.quantile(answered, [0.5, 0.99, 1.0]).tolist() if answered else [float("nan")] * 3
    late = float(np.quantile([one.late_ms for one in found], 0.99))
    return [len(answered) / seconds, 100 * refused / len(found), broken, *times, late]


COLUMNS = ("answered/s", "refused", "broken off", "p50 ms", "p99 ms", "longest ms", "client's own delay p99 ms")


def cells(rounds: list[list[float]]) -> list[str]:
    """The median round, figure by figure."""
    rate, refused, broken, p50, p99, most, late = (median(column) for column in zip(*rounds, strict=True))
    return [
        f"{rate:.0f}",
        f"{refused:.1f} %",
        f"{broken:.0f}",
        f"{p50:.2f}",
        f"{p99:.2f}",
        f"{most:.1f}",
        f"{late:.2f}",
    ]


def sweep(folder: str, options: dict[str, str], texts: list[str]) -> None:
    """From a tenth of saturation to beyond it, in an order drawn anew each round."""
    seconds, chance = float(options["seconds"]), random.Random(0)
    shares = [float(share) for share in options["shares"].split(",")]
    with served(folder, options | {"deadline_ms": "1000"}) as (_, port):
        most = median(saturation(port, texts, seconds) for _ in range(int(options["rounds"])))
    rounds: dict[float, list[list[float]]] = {share: [] for share in shares}
    with served(folder, options) as (_, port):
        for _ in range(int(options["rounds"])):
            for share in chance.sample(shares, len(shares)):
                found = asyncio.run(opened(port, PATH, texts, share * most, seconds))
                rounds[share].append(figures(found, seconds))
                time.sleep(0.5)
    title = f"deadline_ms={options['deadline_ms']}, workers={options['workers']}; saturation {most:.0f} requests/s"
    with Table("offered", "requests/s", *COLUMNS, title=title) as table:
        for share in shares:
            table.row(f"{100 * share:.0f} %", f"{share * most:.0f}", *cells(rounds[share]))


def soak(folder: str, options: dict[str, str], texts: list[str]) -> None:
    """One rate for long."""
    seconds, share = float(options["soak"]), float(options["share"])
    with served(folder, options | {"deadline_ms": "1000"}) as (_, port):
        rate = share * saturation(port, texts, 5.0)
    with served(folder, options) as (child, port):
        memory: dict[int, list[float]] = {}
        killed: list[int] = []

        def look(passed: float) -> None:
            if passed > 0.5 and options["kill"] == "1" and not killed:
                killed.append(workers_of(child)[0])
                os.kill(killed[0], signal.SIGKILL)
            memory.setdefault(int(10 * passed), [])
            if len(memory[int(10 * passed)]) < 5:
                memory[int(10 * passed)].append(megabytes(child))

        found = asyncio.run(opened(port, PATH, texts, rate, seconds, look))
        starts = counted(port, "millis_worker_starts_total")
        title = f"{seconds:.0f} s at {rate:.0f} requests/s, {100 * share:.0f} % of saturation, "
        title += f"deadline_ms={options['deadline_ms']}, workers={options['workers']}" + (
            ", one killed in the middle" if killed else ""
        )
        columns = ("requests", *COLUMNS, "MB first tenth", "MB last tenth", "workers started")
        with Table(*columns, title=title) as table:
            mb = [f"{median(memory[tenth]):.0f}" for tenth in (1, 9)]
            table.row(str(len(found)), *cells([figures(found, seconds)]), *mb, f"{starts:.0f}")


def counted(port: int, name: str) -> float:
    """One of the server's own numbers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return float(re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)[1])  # type: ignore[index]


def main() -> int:
    options = {
        "seconds": "3", "rounds": "5", "deadline_ms": "50", "workers": "1", "soak": "0", "share": "0.7", "kill": "0",
        "shares": "0.1,0.3,0.5,0.7,0.8,0.9,1.0,1.2,1.5",
    }  # fmt: skip
    options |= dict(argument.split("=", 1) for argument in sys.argv[2:])
    texts = [text for text in Bundled()().test.texts if isinstance(text, str)]
    os.sched_setaffinity(0, CPUS[:1])
    (soak if options["soak"] != "0" else sweep)(sys.argv[1], options, texts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
