"""Requests measured one after the other: two at once would time each other.

The reference's processes stay between requests that share it, so that measuring one more candidate costs the candidate
alone, and leave after ten idle minutes.
"""

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Lock, Thread
from typing import Any

from millis.benchmark.agent.blobs import Blobs
from millis.benchmark.agent.request import Request, files_of
from millis.benchmark.latency import Bench, Options
from millis.errors import MillisError
from millis.storage.manifest import FILE_NAME
from millis.store import fingerprint

log = logging.getLogger(__name__)

WAITING = 16  # requests in the queue: more clients than one device serves
REMEMBERED = 64  # answers that nobody has fetched yet
IDLE_S = 600.0


@dataclass
class Job:
    """A request on its way to its answer: `{"measurements": ...}` or `{"error": text}`."""

    request: Request
    answer: Future[dict[str, Any]] = field(default_factory=Future)


class Laboratory:
    """Measures requests in the order in which they came.

    Args:
        folder: Existing, and nobody else's; artifacts are put together here and removed when they are measured.
        blobs: The artifacts' files.
        open_bench: Makes a `Bench`.
    """

    def __init__(
        self, folder: Path, blobs: Blobs, open_bench: Callable[[Path, list[Any], Options], Bench] = Bench
    ) -> None:
        self.folder, self.blobs, self._open_bench = folder, blobs, open_bench
        self._jobs: dict[str, Job] = {}
        self._queue: Queue[Job | None] = Queue(WAITING)
        self._lock = Lock()
        self._bench: Bench | None = None  # kept between requests that share `_key`
        self._key, self._reference = "", folder
        self._thread = Thread(target=self._serve, name="measuring")
        self._thread.start()

    def submit(self, id: str, request: Request) -> list[str]:
        """Queue `request` under `id`, once however often it is sent; or return the blobs that are missing for it.

        Raises:
            Full: too many are waiting.
            MillisError: its files can never be here together.
        """
        if request.size_bytes > self.blobs.capacity_bytes:
            raise MillisError(
                f"the files of this measurement take {request.size_bytes} bytes together, and the agent keeps "
                f"{self.blobs.capacity_bytes} in all. Measure fewer or smaller artifacts at once, or raise "
                "max_kept_bytes there"
            )
        with self._lock:
            if id in self._jobs:
                return []
            if missing := self.blobs.hold(request.blobs):
                return missing
            job = Job(request)
            try:
                self._queue.put_nowait(job)
            except Full:
                self.blobs.release(request.blobs)
                raise
            self._jobs[id] = job
            finished = [name for name, one in self._jobs.items() if one.answer.done()]
            for name in finished[:-REMEMBERED]:
                del self._jobs[name]
        return []

    def answer(self, id: str) -> Future[dict[str, Any]] | None:
        """Of the request that was queued under `id`; None where there is none."""
        job = self._jobs.get(id)
        return None if job is None else job.answer

    def close(self) -> None:
        """Finish what is being measured, drop what waits, end every process."""
        with self._lock:
            while True:
                try:
                    job = self._queue.get_nowait()
                except Empty:
                    break
                if job is not None:
                    self._finish(job, {"error": "the agent was stopped before it came to this request"})
            self._queue.put_nowait(None)
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                job = self._queue.get(timeout=IDLE_S)
            except Empty:
                self._put_away()
                continue
            if job is None:
                break
            answer: dict[str, Any]
            try:
                answer = {"measurements": self._measure(job.request)}
            except MillisError as error:
                answer = {"error": str(error)}
                self._put_away()  # a worker that died or was cut off in mid-answer is no use to the next request
            except Exception as error:
                log.exception("a request failed in a way that is not its client's fault")
                answer = {"error": f"the agent failed: {type(error).__name__}: {error}. Its log says more"}
                self._put_away()
            self._finish(job, answer)
        self._put_away()

    def _finish(self, job: Job, answer: dict[str, Any]) -> None:
        self.blobs.release(job.request.blobs)
        job.answer.set_result(answer)

    def _measure(self, request: Request) -> dict[str, Any]:
        start = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            bench = self._bench_for(request)
            artifacts = {}
            for number, (name, manifest) in enumerate(request.artifacts.items()):
                same = manifest == request.reference
                artifacts[name] = self._reference if same else self._assemble(manifest, Path(place) / str(number))
            found = bench.measure(artifacts)
        log.info("measured %s in %.0f s", ", ".join(artifacts), time.monotonic() - start)
        return {name: asdict(measurement) for name, measurement in found.items()}

    def _bench_for(self, request: Request) -> Bench:
        key = fingerprint(request.reference, request.texts, asdict(request.options))
        if self._bench is None or key != self._key:
            self._put_away()
            self._reference = self._assemble(request.reference, self.folder / f"reference-{key}")
            texts = [
                tuple(text) if isinstance(text, list) else text for text in json.loads(self.blobs.read(request.texts))
            ]
            self._bench, self._key = self._open_bench(self._reference, texts, request.options), key
        return self._bench

    def _assemble(self, manifest: str, folder: Path) -> Path:
        """The artifact as a folder; the processes that load it verify every checksum again."""
        folder.mkdir()
        self.blobs.place(files_of(manifest), folder)
        (folder / FILE_NAME).write_text(manifest, encoding="utf-8")
        return folder

    def _put_away(self) -> None:
        """End the reference's processes and remove its folder."""
        if self._bench is not None:
            self._bench.close()
        self._bench = None
        for folder in self.folder.glob("reference-*"):
            shutil.rmtree(folder)
