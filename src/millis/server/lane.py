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
from functools import partial
from time import perf_counter_ns
from typing import Any, Self, TypeVar

from millis.serving.smoothed import Smoothed

T = TypeVar("T")
DEVIATIONS = 4.0  # RFC 6298, section 2: K
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
    """How long something takes, in milliseconds (`Smoothed`).

    Args:
        first_ms: Until something was measured.
    """

    def __init__(self, first_ms: float) -> None:
        self._ms = Smoothed(first_ms)

    def learn(self, took_ms: float) -> None:
        """One more was measured."""
        self._ms.learn(took_ms)

    @property
    def mean_ms(self) -> float:
        """In the mean."""
        return self._ms.mean

    @property
    def most_ms(self) -> float:
        """What hardly any takes longer than."""
        return self._ms.most(DEVIATIONS)

    def slice(self) -> int:
        """How many are answered in one go."""
        return max(1, int(SLICE_MS / max(self.mean_ms, 1e-3)))


class Lane:
    """Computes one after the other, in a thread.

    Args:
        told: Called with how many are waiting, whenever that changes.
    """

    def __init__(self, told: Callable[[int], None] = lambda waiting: None) -> None:
        self._thread = ThreadPoolExecutor(1, "compute")
        self._done_ns = 0  # when the last one was
        self._lag = ServiceTime(0.0)  # until the event loop sees what has happened
        self._tickets: set[Ticket] = set()
        self._told = told

    @property
    def waiting(self) -> int:
        """How many were admitted and are not done."""
        return len(self._tickets)

    @property
    def waiting_ms(self) -> float:
        """Expected, of all of them."""
        return sum(ticket.cost_ms for ticket in self._tickets)

    @property
    def turns_ms(self) -> float:
        """Expected until each of them has had a turn."""
        return sum(min(ticket.cost_ms, ticket.turn_ms) for ticket in self._tickets)

    def admit(self, service: ServiceTime, texts: int, until_ns: int) -> "Ticket":
        """A place in the lane, taken.

        One of several turns has others come in between; those that come after it may make it late.

        Args:
            service: What a text takes.
            until_ns: Reading of `perf_counter_ns` by which to be done.

        Raises:
            Busy: it would be late.
        """
        remaining_ms = (until_ns - perf_counter_ns()) / 1e6
        before_ms = self.waiting_ms if texts > service.slice() else self.turns_ms
        # The event loop was late to see this request, and will be late to see that it is answered.
        needed_ms = before_ms + (texts - 1) * service.mean_ms + service.most_ms + 2 * self._lag.most_ms
        if self._tickets and needed_ms > remaining_ms:
            raise Busy(self.waiting_ms)
        return Ticket(self, service, texts)

    def check(self, most_ms: float) -> None:
        """Refuse at a glance where so much is waiting that nobody could be answered within `most_ms`.

        Raises:
            Busy: as said.
        """
        if self._tickets and self.turns_ms > most_ms:
            raise Busy(self.waiting_ms)

    def close(self) -> None:
        """End the thread, once what is in it is done; what waits is dropped."""
        self._thread.shutdown(cancel_futures=True)


class Ticket:
    """A place in a lane, left at the end of a `with`; or, if its turn is not over then, when it is.

    Args:
        lane: Where.
        service: Learns what each text took from when the one before it was done: so much longer do others wait.
        texts: That are to be answered.
    """

    def __init__(self, lane: Lane, service: ServiceTime, texts: int) -> None:
        self._lane, self._service, self._each_ms = lane, service, service.mean_ms
        self.cost_ms = texts * self._each_ms
        self.turn_ms = service.slice() * self._each_ms
        self.is_left, self._computes = False, False
        lane._tickets.add(self)
        lane._told(lane.waiting)

    async def compute(self, call: Callable[[], T], texts: int = 1) -> T:
        """What `call` returns, which answers `texts`, in its turn; whoever is cancelled leaves the thread to it.

        Raises:
            TimeoutError: nobody waited for it any more when its turn came.
        """
        turn = asyncio.get_running_loop().run_in_executor(self._lane._thread, self._timed, call)
        self._computes = True
        turn.add_done_callback(partial(self._done, perf_counter_ns(), texts))
        return (await asyncio.shield(turn))[0]

    def leave(self) -> None:
        """Nobody waits for it any more."""
        self.is_left = True
        if not self._computes and self in self._lane._tickets:
            self._lane._tickets.remove(self)
            self._lane._told(self._lane.waiting)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def _timed(self, call: Callable[[], T]) -> tuple[T, int]:
        """What `call` returns, and when (`perf_counter_ns`); in the thread."""
        if self.is_left:
            raise TimeoutError
        return call(), perf_counter_ns()

    def _done(self, asked_ns: int, texts: int, turn: "asyncio.Future[tuple[Any, int]]") -> None:
        now, lane = perf_counter_ns(), self._lane
        if not turn.cancelled() and turn.exception() is None:
            self._service.learn((now - max(asked_ns, lane._done_ns)) / 1e6 / texts)
            lane._lag.learn((now - turn.result()[1]) / 1e6)
        lane._done_ns = now
        self.cost_ms = max(0.0, self.cost_ms - texts * self._each_ms)
        self._computes = False
        if self.is_left:
            self.leave()
