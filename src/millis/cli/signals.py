"""A command that is to end (Ctrl-C, SIGTERM) does so within half a minute, with a sentence and a shell's status for it.

Both signals are a KeyboardInterrupt, which every stage cleans up after. Where that is not seen in time, because a
library is deep in a call of its own or swallows it, the process is ended from a thread.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
GRACE_S = 18.0  # for a command to clean up
LEAVE_S = 8.0  # for the interpreter to end after it


class Ending:
    """Which signal ended a command, if one did."""

    number = signal.SIGINT

    def __init__(self) -> None:
        self.unhurried = threading.Event()

    def take_time(self) -> None:
        """From now on the command ends by itself, however long that takes."""
        self.unhurried.set()

    @property
    def status(self) -> int:
        """What a shell makes of a process that a signal ended: 128 + its number."""
        return 128 + self.number

    @property
    def sentence(self) -> str:
        """For the user."""
        return f"{WORDS[self.number]}; run the same command again to go on from here"


@contextmanager
def stoppable() -> Iterator[Ending]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt within this, and see to it that this ends `GRACE_S` after.

    A command that has to finish something first calls `take_time` of what is yielded.
    Signals that are ignored, as SIGINT is in a shell's background, stay so. Not in the main thread, nothing changes.
    """
    ending = Ending()
    if threading.current_thread() is not threading.main_thread():
        yield ending
        return

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        ending.number = signal.Signals(number)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in WORDS}
    taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    with _watched(ending):
        for number in taken:
            signal.signal(number, interrupt)
        try:
            yield ending
        finally:
            for number in taken:
                signal.signal(number, before[number])


@contextmanager
def _watched(ending: Ending) -> Iterator[None]:
    """A thread hears of signals the moment they arrive, whatever the main thread is at."""
    heard, wakes = os.pipe()
    os.set_blocking(wakes, False)
    before = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)

    def watch() -> None:
        while number := os.read(heard, 1):
            if number[0] in WORDS and not ending.unhurried.wait(GRACE_S):
                ending.number = signal.Signals(number[0])
                _end(ending.status, ending.sentence)

    thread = threading.Thread(target=watch, name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.take_time()
        signal.set_wakeup_fd(before)
        os.close(wakes)  # the thread reads the end of it
        thread.join()
        os.close(heard)


def leave_within(status: int, seconds: float = LEAVE_S) -> None:
    """End the process with `status` if it is still there then: libraries may wait for something when it ends."""
    timer = threading.Timer(seconds, _end, (status, ""))
    timer.daemon = True
    timer.start()


def _end(status: int, sentence: str) -> NoReturn:
    with suppress(OSError):
        os.write(2, f"{sentence}\n".encode() if sentence else b"")
    os._exit(status)  # children read from this process, and leave when its pipes close
