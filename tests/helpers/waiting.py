"""What another thread or process brings about, waited for."""

import time
from collections.abc import Callable


def until(holds: Callable[[], bool], limit_s: float = 30) -> bool:
    """Whether it comes to hold in time."""
    end = time.monotonic() + limit_s
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    return holds()
