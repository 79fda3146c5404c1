"""Runners of one artifact, a thread each: parts of a request are answered beside each other, and come in their order.

Threads rather than processes: a runtime lets go of the interpreter while it computes, its weights lie in this process
already, and a process more costs a second to start and its own copy of everything. A runner each rather than one for
all: what several threads ask of one CTranslate2, it answers one after the other (`benchmarks/translation.py` compares).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

from millis.serving.one_pass import Runner

Item = TypeVar("Item")
Found = TypeVar("Found")
AHEAD = 2  # items a thread that are handed out before the first of them is done: they take more or less long


class RunnerPool:
    """Several may ask it at once.

    Args:
        runners: Of the same artifact, one or more.
    """

    def __init__(self, runners: Sequence[Runner]) -> None:
        self.runners = tuple(runners)
        self._free = SimpleQueue[Runner]()
        for runner in self.runners:
            self._free.put(runner)
        self._threads = ThreadPoolExecutor(len(runners), "pool") if len(runners) > 1 else None

    def each(self, ask: Callable[[Any, Item], Found], items: Iterable[Item], ahead: int = AHEAD) -> Iterator[Found]:
        """What `ask(runner, item)` returns for each item, in their order; whoever stops reading ends it.

        Args:
            items: Are taken one after the other, `ahead` of them a thread before the first is done.
        """
        if self._threads is None:
            yield from (self._one(ask, item) for item in items)
            return
        pending, most = deque[Future[Found]](), ahead * len(self.runners)
        try:
            for item in items:
                pending.append(self._threads.submit(self._one, ask, item))
                while pending and (len(pending) >= most or pending[0].done()):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for one in pending:
                one.cancel()

    def _one(self, ask: Callable[[Any, Item], Found], item: Item) -> Found:
        runner = self._free.get()
        try:
            return ask(runner, item)
        finally:
            self._free.put(runner)
