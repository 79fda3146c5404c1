"""What a server counts, for Prometheus: all workers together, whichever of them is asked.

Each worker keeps its numbers in files of its own in one folder (prometheus_client's multiprocess mode); what a dead one
counted stays. The folder is named in the environment before prometheus_client is imported, as it asks.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from millis.errors import MillisError

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """The counters of this process.

    Args:
        artifacts: Names of those whose answers will be counted: their files are there before anybody reads them.

    Raises:
        MillisError: prometheus_client is not installed.
    """

    def __init__(self, artifacts: Iterable[str] = ()) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ImportError as error:
            raise MillisError("a server needs prometheus_client: pip install 'millis[serve]'") from error
        own = CollectorRegistry()
        self._requests = Counter(
            "millis_requests", "Requests that were answered or refused.", ["artifact", "status"], registry=own
        )
        self._texts = Counter("millis_texts", "Texts that were answered.", ["artifact"], registry=own)
        self._late = Counter("millis_late", "Answers after their deadline.", ["artifact"], registry=own)
        self._seconds = Histogram(
            "millis_answer_seconds", "From a request's arrival to its answer.", ["artifact"], buckets=BOUNDS_S,
            registry=own,
        )  # fmt: skip
        self._stages = Counter(
            "millis_stage_seconds", "Time of the parts of answers.", ["artifact", "stage"], registry=own
        )
        self._waiting = Gauge(
            "millis_waiting", "Requests that were admitted and are not answered yet.", registry=own,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self._swaps = Counter("millis_swaps", "Artifacts that were loaded anew.", ["artifact"], registry=own)
        for name in artifacts:
            self._seconds.labels(name)
        Counter("millis_worker_starts", "Workers that were started.", registry=own).inc()

    def answered(self, artifact: str, elapsed_ms: float, stage_ms: dict[str, float], kept: bool) -> None:
        """One more text."""
        self._texts.labels(artifact).inc()
        self._seconds.labels(artifact).observe(elapsed_ms / 1e3)
        for stage, took in stage_ms.items():
            self._stages.labels(artifact, stage).inc(took / 1e3)
        if not kept:
            self._late.labels(artifact).inc()

    def responded(self, artifact: str, status: int) -> None:
        """One more request."""
        self._requests.labels(artifact, str(status)).inc()

    def waiting(self, requests: int) -> None:
        """So many are to be answered."""
        self._waiting.set(requests)

    def swapped(self, artifact: str) -> None:
        """One more was loaded anew."""
        self._swaps.labels(artifact).inc()

    @staticmethod
    def text() -> tuple[bytes, str]:
        """All workers' numbers, and their content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together), CONTENT_TYPE_LATEST


def forget(pid: int, folder: Path) -> None:
    """What is of living processes alone is no longer that of `pid`; an empty file that it died over cannot be read."""
    for file in folder.glob(f"*_{pid}.db"):
        if not file.stat().st_size:
            file.unlink()
    os.environ[FOLDER] = str(folder)
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
