"""An artifact as a server answers with it: loaded, warm, with the time that a request takes measured here."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from millis.applications.runner import ApplicationRunner, load
from millis.errors import MillisError
from millis.server.lane import ServiceTime
from millis.server.messages import Answer, Served, jsonable
from millis.server.settings import Settings
from millis.serving.one_pass import Runner
from millis.serving.writer import Writer
from millis.types import Timed

WARM_MS = 300.0  # of requests before the first one: caches, memory plans, and what a request takes
WARM = 20  # requests at most
UNHURRIED_MS = 2_000.0  # a text that is written for longer is cut


class Artifact:
    """Answers texts, one at a time.

    Args:
        name: By which requests choose it.
        folder: The artifact.
        threads: For one request's arithmetic.
        trust_code: As of `millis.serving.runner.load`.

    Raises:
        MillisError: as `load`.
    """

    def __init__(self, name: str, folder: Path, threads: int, trust_code: bool) -> None:
        self.name, self.runner = name, load(folder, threads, trust_code=trust_code)
        self.keeps_state = self.runner.about.keeps_state
        self._writer = _writer(self.runner)
        self.runner.learn_times()
        self.service = ServiceTime(self._warm())

    def answer(self, text: Any, arrived_ns: int, until_ns: int, say: Callable[[str], bool] | None = None) -> Answer:
        """The answer to a text, in the thread that computes.

        Args:
            text: The request: a `Text`; of an application `millis.applications.contract.Asked`.
            arrived_ns: Reading of `perf_counter_ns`.
            until_ns: By which to be done: models with steps take as many as fit.
            say: Called with each piece of what is written; see `millis.serving.writer.Writer.write_within`.

        Raises:
            TimeoutError: its time was up before it had its turn.
            MillisError: no text that the artifact can answer.
        """
        start = perf_counter_ns()
        if start >= until_ns:
            raise TimeoutError
        within_ms = (until_ns - start) / 1e6
        if say is None or self._writer is None:
            timed = self.runner.predict(text, deadline_ms=within_ms)
        else:
            timed = self._writer.write_within(text, within_ms, say)
        end = perf_counter_ns()
        stages = {"wait": _rounded((start - arrived_ns) / 1e6)}
        stages |= {name: _rounded(took) for name, took in timed.stage_ms.items()}
        return self._message(timed, _rounded((end - arrived_ns) / 1e6), stages, end <= until_ns)

    def check_writes(self) -> None:
        """Refuse to stream what has no pieces.

        Raises:
            MillisError: as said.
        """
        if self._writer is None:
            raise MillisError(
                f"artifact {self.name!r} answers with {self.runner.about.answers}, which has no pieces to "
                "stream: ask /v1/predict"
            )

    def about(self) -> Served:
        """What it is."""
        about = self.runner.about
        return Served(
            name=self.name,
            model=about.name,
            backend=about.backend,
            answers=about.answers,
            writes=self._writer is not None,
            pairs=about.pairs,
            state=about.keeps_state,
            size_bytes=about.size_bytes,
            fingerprint=about.fingerprint,
            service_ms=_rounded(self.service.mean_ms),
        )

    @staticmethod
    def _message(timed: Timed, elapsed_ms: float, stages: dict[str, float], kept: bool) -> Answer:
        answer = timed.answer
        return Answer(jsonable(answer), answer.text, elapsed_ms, stages, kept, timed.step, timed.steps)

    def _warm(self) -> float:
        """Answer texts from the longest to short ones; what the longest takes, milliseconds."""
        about, begun, first_ms = self.runner.about, perf_counter_ns(), 0.0
        for turn in range(WARM):
            words = max(1, about.longest >> (turn % 8))
            start = perf_counter_ns()
            self.runner.predict(about.word * words, deadline_ms=UNHURRIED_MS)
            now = perf_counter_ns()
            first_ms = (now - start) / 1e6 if turn % 8 == 0 else first_ms
            if (now - begun) / 1e6 > WARM_MS:
                break
        return first_ms


def _writer(runner: Runner | ApplicationRunner) -> Writer | ApplicationRunner | None:
    """What writes its answers in pieces; None where they have none."""
    if isinstance(runner, ApplicationRunner):
        return runner if runner.writes else None
    return runner if isinstance(runner, Writer) else None


def loaded(settings: Settings) -> dict[str, Artifact]:
    """The artifacts of a server by their names.

    Raises:
        MillisError: as `Artifact`.
    """
    return {
        name: Artifact(name, folder, settings.threads, settings.trust_code) for name, folder in settings.folders.items()
    }


def _rounded(ms: float) -> float:
    """To a microsecond: more is noise, and bytes."""
    return round(ms, 3)
