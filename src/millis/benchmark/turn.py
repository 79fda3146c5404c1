"""One measurement at a time: two at once would time each other, so a user takes one lock on one machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from millis.store import locked
from millis.temporaries import private_folder

LONGEST_WAIT_S = 3600.0  # a measurement takes seconds, a few of many artifacts take minutes


@contextmanager
def my_turn() -> Iterator[None]:
    """No other process of this user measures on this machine within this.

    Raises:
        MillisError: another one measured for longer than `LONGEST_WAIT_S`.
    """
    with locked(private_folder() / "benchmark", "another measurement on this machine", at_most_s=LONGEST_WAIT_S):
        yield
