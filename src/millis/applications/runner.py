"""An application loaded, ready to answer: what `millis.load` gives for the folder of one.

It answers as a runner of an artifact does (`millis.serving.one_pass.Runner`), so whatever serves, asks or times an
artifact does so with an application: `predict`, `stages`, `about`.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from time import perf_counter_ns
from typing import Any, cast, overload

from millis import applications, schema
from millis.applications.contract import Application, Asked, Request, Row, Spreading
from millis.applications.manifest import ApplicationManifest, bytes_of, is_application, open_application
from millis.applications.measure import Measure
from millis.errors import MillisError
from millis.serving.about import About
from millis.serving.one_pass import Runner, check_deadline
from millis.serving.runner import load as load_artifact
from millis.tasks.contract import Answer
from millis.types import Stage, Timed

READ = "read"  # the first stage of all applications
LONGEST = 128  # words: the longest request that an application is warmed with


def load(
    folder: Path | str, threads: int = 1, verify: bool = True, trust_code: bool = False
) -> "Runner | ApplicationRunner":
    """Load an artifact, or an application with all its parts.

    Args:
        folder: Of either.
        threads, verify, trust_code: As of `millis.serving.runner.load`, for every part; but that a part which is asked
            for several things of a request at once (`millis.applications.contract.Spreading`) has a thread for each.

    Raises:
        MillisError: as that does; a part that is missing or another one, or settings that are not those of the kind.
    """
    folder = Path(folder)
    if not is_application(folder):
        return load_artifact(folder, threads, verify, trust_code)
    manifest = open_application(folder, verify)
    # Their files are checked already.
    kind = applications.answering(manifest.kind)
    spread = getattr(kind, "SPREAD", None)
    parts = {
        name: load_artifact(folder / name, 1 if name == spread else threads, False, trust_code)
        for name in manifest.parts
    }
    try:
        settings = schema.checked(manifest.settings, kind.Settings, "settings")
        application: Application = kind.assemble(settings, parts, folder)
        if spread is not None and threads > 1:
            beside = [load_artifact(folder / spread, 1, False, trust_code) for _ in range(threads - 1)]
            cast(Spreading, application).spread(beside)
    except MillisError as error:
        raise MillisError(f"application {folder} cannot answer: {error}. Build it again") from error
    return ApplicationRunner(manifest, application, parts, bytes_of(folder))


class ApplicationRunner:
    """Answers requests with the steps of an application.

    Args:
        manifest: What it is.
        application: Of its kind.
        parts: Loaded, by name.
        size_bytes: On disk.
    """

    judged_as_written = False

    def __init__(
        self, manifest: ApplicationManifest, application: Application, parts: Mapping[str, Runner], size_bytes: int
    ) -> None:
        self.manifest, self.application, self.parts = manifest, application, dict(parts)
        self._size_bytes = size_bytes
        self._steps = tuple(application.steps)

    @property
    def about(self) -> About:
        """What is said of it."""
        manifest, application = self.manifest, self.application
        return About(
            manifest.name,
            manifest.kind,
            application.summary,
            False,
            application.State is not None,
            LONGEST,
            self._size_bytes,
            manifest.fingerprint,
            application.word,
        )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What a request passes through, by name."""
        return ((READ, self._read), *self._steps)

    @overload
    def predict(self, asked: Asked) -> Answer: ...

    @overload
    def predict(self, asked: Asked, deadline_ms: float) -> Timed: ...

    def predict(self, asked: Asked, deadline_ms: float | None = None) -> Answer | Timed:
        """The answer to one request.

        Args:
            asked: A text, or a text with a state.
            deadline_ms: As of `Runner.predict`: whether it was kept, and where the time went, is in the answer.

        Raises:
            MillisError: no text, or a state that is not the application's.
        """
        if deadline_ms is not None:
            check_deadline(deadline_ms)
            return self._timed(asked, deadline_ms)
        given: Any = self._read(asked)
        for _, step in self._steps:
            given = step(given)
        answer: Answer = given
        return answer

    @property
    def writes(self) -> bool:
        """Whether its answer comes in pieces, for `write_within`."""
        return self.application.writes

    def write_within(self, asked: Asked, deadline_ms: float, say: Callable[[str], bool]) -> Timed:
        """The answer of an application that `writes`, in pieces while it is made.

        Args:
            asked: As of `predict`.
            deadline_ms: As of `predict`.
            say: Called with each piece as soon as it is final; where it returns False, nobody reads on, and no more is
                done.

        Raises:
            MillisError: as `predict`.
        """
        check_deadline(deadline_ms)
        return self._timed(asked, deadline_ms, say)

    def _timed(self, asked: Asked, deadline_ms: float, say: Callable[[str], bool] | None = None) -> Timed:
        begun = perf_counter_ns()
        given: Any = self._read(asked)._replace(until_ns=begun + int(deadline_ms * 1e6), say=say)
        stages, stamps = self.stages, [begun, perf_counter_ns()]
        for _, step in self._steps:
            given = step(given)
            stamps.append(perf_counter_ns())
        elapsed_ms = (stamps[-1] - stamps[0]) / 1e6
        spent = {name: (b - a) / 1e6 for (name, _), (a, b) in zip(stages, pairwise(stamps), strict=True)}
        return Timed(given, 1, 1, elapsed_ms, elapsed_ms <= deadline_ms, spent)

    def judge(self, rows: Sequence[Row]) -> Sequence[Measure]:
        """How good the answers to rows of its corpus are, end to end."""
        return self.application.judge(rows)

    def request(self, asked: Asked) -> Asked:
        """What a user would send: the same."""
        return asked

    def learn_times(self) -> None:
        """Measure the steps of parts that may stop early."""
        for part in self.parts.values():
            part.learn_times()

    def shape(self, asked: Asked) -> tuple[int, ...]:
        """By what runtimes plan memory: how many tokens each part would read of the text."""
        text = self._read(asked).text
        return tuple(shape for part in self.parts.values() for shape in part.shape(text))

    def _read(self, asked: Asked) -> Request:
        """A request that is what it should be.

        Raises:
            MillisError: it is not.
        """
        text, state = asked if isinstance(asked, tuple) else (asked, None)
        if not isinstance(text, str):
            raise MillisError(f"a request got a {type(text).__name__}, expected a string")
        if state is None:
            return Request(text)
        if isinstance(state, str):
            raise MillisError("a request got a pair of texts, expected one text")
        if self.application.State is None:
            raise MillisError("a request got a state, and this application keeps none: leave it out")
        try:
            return Request(text, schema.checked(state, self.application.State, "state"))
        except MillisError as error:
            raise MillisError(f"{error}. Send the state of the last answer as it came, or none") from error
