"""One thread that computes, and whom it can still answer in time: admission control by measured service times.

A request is admitted where what was admitted before it, and it itself, are expected to be done by its deadline; else it
is refused at once, which costs it nothing but the way here. So those that are admitted keep their deadlines however
many come. One that finds nobody before it is always admitted: an estimate that is too high could not mend itself else.

There is one thread, for a worker has CPUs for one request at a time: more would make each slower, and answer no more.
Requests are not put together into batches: see `docs/serving.md` for what that would bring.
"""

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns
from typing import TypeVar

T = TypeVar("T")
GAIN, GAIN_OF_DEVIATION, DEVIATIONS = 1 / 8, 1 / 4, 4.0  # RFC 6298, section 2: alpha, beta, K
SLICE_MS = 5.0  # of several texts as many are answered in one go as take so long: then others have their turn


class Busy(Exception):
    """There is too much to do before it.

    Args:
        wait_ms: Until what is to be done now is done.
    """

    def __init__(self, wait_ms: float) -> None:
        super().__init__(f"{wait_ms:.0f} ms of work are waiting")
        self.wait_ms = wait_ms

    @property
    def retry_after_s(self) -> int:
        """For the header `Retry-After`, which has whole seconds."""
        return max(1, math.ceil(self.wait_ms / 1000))


class ServiceTime:
    """How long something takes: a mean and a deviation that forget, as TCP has them of round trips (RFC 6298)."""

    def __init__(self, first_ms: float) -> None:
        self.mean_ms, self.deviation_ms = first_ms, first_ms / 2

    def learn(self, took_ms: float) -> None:
        """One more was measured."""
        self.deviation_ms += GAIN_OF_DEVIATION * (abs(self.mean_ms - took_ms) - self.deviation_ms)
        self.mean_ms += GAIN * (took_ms - self.mean_ms)

    @property
    def most_ms(self) -> float:
        """What hardly any takes longer than."""
        return self.mean_ms + DEVIATIONS * self.deviation_ms

    def slice(self) -> int:
        """How many are answered in one go."""
        return max(1, int(SLICE_MS / max(self.mean_ms, 1e-3)))


class Lane:
    """Computes one after the other, in a thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "compute")
        self._done_ns = 0  # when the last one was
        self._lag = ServiceTime(0.0)  # until the event loop sees what has happened
        self.waiting_ms = 0.0  # expected, of all that was admitted and is not done
        self.waiting = 0  # of them

    def admit(self, service: ServiceTime, texts: int, until_ns: int) -> "Ticket":
        """A place in the lane.

        Args:
            until_ns: Reading of `perf_counter_ns` by which to be done.

        Raises:
            Busy: it would be late.
        """
        remaining_ms = (until_ns - perf_counter_ns()) / 1e6
        # The event loop was late to see this request, and will be late to see that it is answered.
        needed_ms = self.waiting_ms + (texts - 1) * service.mean_ms + service.most_ms + 2 * self._lag.most_ms
        if self.waiting and needed_ms > remaining_ms:
            raise Busy(self.waiting_ms)
        return Ticket(self, texts * service.mean_ms)

    def check(self, most_ms: float) -> None:
        """Refuse at a glance where so much is waiting that nobody could be answered within `most_ms`.

        Raises:
            Busy: as said.
        """
        if self.waiting and self.waiting_ms > most_ms:
            raise Busy(self.waiting_ms)

    async def compute(self, call: Callable[[], T], service: ServiceTime, texts: int = 1) -> T:
        """What `call` returns, in its turn.

        Args:
            service: Learns what it took from when the one before it was done: so much longer do others wait.
            texts: That are answered by it.
        """
        asked_ns = perf_counter_ns()
        found, ended_ns = await asyncio.get_running_loop().run_in_executor(self._thread, _timed, call)
        now = perf_counter_ns()
        service.learn((now - max(asked_ns, self._done_ns)) / 1e6 / texts)
        self._lag.learn((now - ended_ns) / 1e6)
        self._done_ns = now
        return found

    def close(self) -> None:
        """End the thread, once what is in it is done; what waits is dropped."""
        self._thread.shutdown(cancel_futures=True)


def _timed(call: Callable[[], T]) -> tuple[T, int]:
    """What `call` returns, and when (`perf_counter_ns`)."""
    return call(), perf_counter_ns()


class Ticket:
    """A place in a lane, taken within a `with`."""

    def __init__(self, lane: Lane, cost_ms: float) -> None:
        self._lane, self._cost_ms = lane, cost_ms

    def __enter__(self) -> None:
        self._lane.waiting_ms += self._cost_ms
        self._lane.waiting += 1

    def __exit__(self, *_: object) -> None:
        self._lane.waiting -= 1
        self._lane.waiting_ms = self._lane.waiting_ms - self._cost_ms if self._lane.waiting else 0.0
