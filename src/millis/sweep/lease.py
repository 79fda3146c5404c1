"""Signs of life: a worker counts up while it is at a trial, and who sees the count stand still takes it for dead.

A lease with a heartbeat, as Optuna's storages have one, judged by the observer's own clock alone: machines need not
agree on the time. It finds what no lock shows: a worker on another machine, or one that is frozen.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)

BEAT_S = 15.0
LEASE_S = 60.0  # four beats: a busy disk or server may delay one or two


@contextmanager
def beating(beat: Callable[[], None], every_s: float = BEAT_S) -> Iterator[None]:
    """Call `beat` every so often, in a thread of its own; one that fails is made up for by the next."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(every_s):
            try:
                beat()
            except Exception as error:  # the storage is away; whoever needs it in the foreground will say so
                log.debug("a sign of life could not be given: %s", error)

    thread = threading.Thread(target=run, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Observed:
    """What one worker has seen of the others' beats.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Hashable, tuple[Any, float]] = {}

    def silent(self, who: Hashable, beat: Any) -> bool:
        """Whether `beat` has been the same for longer than a lease, as seen from here; never at first sight."""
        now = self._clock()
        last, since = self._seen.get(who, (None, now))
        if who not in self._seen or beat != last:
            self._seen[who] = (beat, now)
            return False
        return now - since > LEASE_S
