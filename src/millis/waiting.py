"""How long this thread waited for the CPU, and for whom: for other processes, or for its own quota.

The kernel accounts the time for which a thread is ready to run and does not (Linux, `run_delay` in schedstat). Wall
clock less that is what a request would have taken on an idle machine: on one shared by four it was stable to 0.2 %
where the wall clock tripled. But a quota (`millis.cpus`) holds back on an idle machine too: that part of it is latency.
"""

import os
from pathlib import Path
from typing import NamedTuple

from millis.cpus import limits, throttled_ns


class Waited(NamedTuple):
    """Nanoseconds since this process began to count.

    Args:
        others: While another process had the CPU.
        throttled: While the quota of the process's own control group kept it from the CPU.
    """

    others: int
    throttled: int


def split(delay_ns: int, throttled_ns: int) -> Waited:
    """A thread's wait by its cause.

    Args:
        delay_ns: How long it waited in all.
        throttled_ns: How long quotas held its control group back meanwhile, summed over CPUs: it can be more than one
            thread waited.
    """
    throttled = min(delay_ns, throttled_ns)
    return Waited(delay_ns - throttled, throttled)


class Waiting:
    """The account of the thread that makes this. Where nobody tells it stays 0.

    Args:
        schedstat: A descriptor of the thread's `schedstat`; None where there is none.
        accounts: Descriptors of the `cpu.stat` of every control group with a quota.
    """

    def __init__(self, schedstat: int | None, accounts: list[int]) -> None:
        self._schedstat, self._accounts = schedstat, accounts
        self._delay, self._throttled = 0, self._throttling()
        self._waited = Waited(0, 0)

    def __call__(self) -> Waited:
        """As of now. 1.3 µs a call; quotas' accounts are read only if the thread has waited."""
        if self._schedstat is None:
            return self._waited
        delay = int(os.pread(self._schedstat, 128, 0).split()[1])
        if delay != self._delay:
            throttled = self._throttling()
            more = split(delay - self._delay, throttled - self._throttled)
            self._waited = Waited(self._waited.others + more.others, self._waited.throttled + more.throttled)
            self._delay, self._throttled = delay, throttled
        return self._waited

    def _throttling(self) -> int:
        return throttled_ns(os.pread(account, 4096, 0).decode() for account in self._accounts)


def waited_ns() -> int:
    """How long this thread, ready to run, has waited since its start for others to leave the CPU; 0 if nobody tells."""
    return waited().others


def _open(path: str | Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY)
    except OSError:
        return None


waited = Waiting(
    _open("/proc/thread-self/schedstat"), [file for limit in limits() if (file := _open(limit.account)) is not None]
)
