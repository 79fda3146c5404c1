"""Sessions that may stop: a model in segments, run one after the other until a policy is sure or the time is up.

What is not run is not computed: a segment takes the states that the one before it left, and a row that has its answer
takes no part in the next. At batch 1 that saves whole segments. In a batch a segment runs while one row still needs it,
over the rows that do, so the saving in rows is the same and the saving in time is smaller: fixed costs are paid for
fewer rows, and the batch is as slow as its slowest row.

A deadline is kept by measured times: before each segment its time at this length is looked up, and where it would end
too late the answer is the last one computed. The times are measured in the process that answers, for they are of this
machine, these threads and this load, not of the one that wrote the artifact. They are times of one text, and so a
deadline is one text's.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis import backends
from millis.early_exit import policy as policies
from millis.errors import MillisError
from millis.storage.manifest import Manifest
from millis.types import Answered, Features, Outputs, Session

Step = Callable[..., tuple[NDArray[np.float32], NDArray[np.float32]]]
"""(features) of the first segment, (states [B, S, D], mask [B, S]) of the others, in; (states, logits [B, C]) out."""

NEVER = float("inf")
TIMED = 9  # runs a length: enough for a ninth decile, and a model of 25 ms takes half a second in all
QUANTILE = 0.9  # of a segment's times that is planned with: the median would be late every second time


class StepwiseSession:
    """Segments, and the policy that says when to stop.

    Args:
        steps: The segments, first to last.
        policy: Name of a file of `millis.early_exit.policy`.
        threshold: A row leaves where the policy's score reaches it; infinity lets none leave.
    """

    def __init__(self, steps: Sequence[Step], policy: str, threshold: float) -> None:
        self.steps, self.threshold = list(steps), threshold
        self._score = policies.named(policy).score
        self._lengths: NDArray[np.int64] | None = None  # ascending, and beside them
        self._step_ns: NDArray[np.float64] | None = None  # the segments' times, [lengths, steps]

    def __call__(self, features: Features) -> Outputs:
        """Logits [B, C] of the exit that each row leaves by."""
        return self.answer(features).outputs

    def answer(self, features: Features, until_ns: int | None = None) -> Answered:
        """Run segments until every row has left.

        Args:
            features: [B, S].
            until_ns: Reading of `time.perf_counter_ns` by which to answer, as far as segments can be left out: the
                first always runs. Needs `learn_times`.

        Raises:
            MillisError: a deadline for more than one row.
        """
        if len(features.ids) == 1:
            return self._alone(features, until_ns)
        if until_ns is not None:
            raise MillisError(
                f"a deadline got {len(features.ids)} texts at once, expected one: times are measured of one text. Ask "
                "for them one by one, or without a deadline"
            )
        rows, mask = np.arange(len(features.ids)), features.mask
        answers: NDArray[np.float32] | None = None  # of rows that have left while others stayed
        taken = np.empty(len(rows), np.int64)
        states, logits = self.steps[0](features)
        passed = [logits]
        for position in range(1, len(self.steps)):
            leaves = self._score(passed) >= self.threshold
            if leaves.all():
                break
            if leaves.any():
                answers = np.empty((len(taken), logits.shape[1]), np.float32) if answers is None else answers
                answers[rows[leaves]], taken[rows[leaves]] = logits[leaves], position
                stays = ~leaves
                rows, states, mask = rows[stays], states[stays], mask[stays]
                passed = [each[stays] for each in passed]
            states, logits = self.steps[position](states, mask)
            passed.append(logits)
        taken[rows] = len(passed)
        if answers is None:
            return Answered((logits,), taken)
        answers[rows] = logits
        return Answered((answers,), taken)

    def _alone(self, features: Features, until_ns: int | None) -> Answered:
        """As `answer`, for one row: no rows to keep account of, which costs 0.03 ms an exit where caches are cold."""
        states, logits = self.steps[0](features)
        passed = [logits]
        for position in range(1, len(self.steps)):
            sure = self._score(passed)[0] >= self.threshold
            if sure or (until_ns is not None and self._ends_late(position, features.mask.shape[1], until_ns)):
                break
            states, logits = self.steps[position](states, features.mask)
            passed.append(logits)
        return Answered((logits,), np.array([len(passed)]))

    def every(self, features: Features) -> NDArray[np.float32]:
        """Logits of every exit, [E, B, C], whatever the policy says."""
        states, logits = self.steps[0](features)
        passed = [logits]
        for step in self.steps[1:]:
            states, logits = step(states, features.mask)
            passed.append(logits)
        return np.stack(passed)

    @property
    def knows_times(self) -> bool:
        """Whether `learn_times` was called."""
        return self._step_ns is not None

    def learn_times(self, examples: Sequence[Features]) -> None:
        """Measure every segment, its policy included, on requests of several lengths; none leaves before the last.

        Args:
            examples: [1, S] each, S ascending; between two of them a time is interpolated.
        """
        times = np.array([self._times(example) for example in examples])
        # Last what says that all is there: another thread may be answering.
        self._lengths, self._step_ns = np.array([example.ids.shape[1] for example in examples]), times

    def step_ms(self, length: int) -> list[float]:
        """Planned time of every segment at `length` tokens, milliseconds."""
        return [self._planned_ns(position, length) / 1e6 for position in range(len(self.steps))]

    def _times(self, example: Features) -> NDArray[np.float64]:
        runs = np.array([self._stamps(example) for _ in range(1 + TIMED)][1:])  # the first run plans memory
        times: NDArray[np.float64] = np.quantile(np.diff(runs, axis=1), QUANTILE, axis=0)
        return times

    def _stamps(self, example: Features) -> list[int]:
        stamps = [perf_counter_ns()]
        states, logits = self.steps[0](example)
        passed = [logits]
        for step in self.steps[1:]:
            self._score(passed)
            stamps.append(perf_counter_ns())
            states, logits = step(states, example.mask)
            passed.append(logits)
        return [*stamps, perf_counter_ns()]

    def _planned_ns(self, position: int, length: int) -> float:
        assert self._lengths is not None and self._step_ns is not None, "deadlines need `learn_times`"
        return float(np.interp(length, self._lengths, self._step_ns[:, position]))

    def _ends_late(self, position: int, length: int, until_ns: int) -> bool:
        return perf_counter_ns() + self._planned_ns(position, length) > until_ns


def in_steps(session: Session) -> StepwiseSession:
    """The session itself if it is one of steps, else one whose only step it is."""
    if isinstance(session, StepwiseSession):
        return session

    def whole(features: Features) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        (logits,) = session(features)
        return logits, logits  # there is no step that would read states

    return StepwiseSession([whole], "maximum_probability", NEVER)


def load_model(folder: Path, manifest: Manifest, threads: int) -> Session:
    """Open a model on its backend: in one piece, or in segments where it has exits.

    Raises:
        MillisError: an unknown backend, or as `load` and the backend's own.
    """
    backend = backends.module(manifest.backend)
    if manifest.spec.exits:
        return load(backend, folder, manifest, threads)
    session: Session = backend.load(folder, manifest, threads)
    return session


def load(backend: Any, folder: Path, manifest: Manifest, threads: int) -> StepwiseSession:
    """Open an artifact in segments on `backend`, a file of `millis.backends` with `load_segments`.

    Raises:
        MillisError: the backend has no segments, or what its loading raises.
    """
    if not hasattr(backend, "load_segments"):
        raise MillisError(
            f"this artifact is a model in segments, and backend={manifest.backend} runs whole models only. Make it "
            "again with backend=native, onnxruntime, openvino or eager"
        )
    steps = backend.load_segments(folder, manifest, threads)
    settings = manifest.early_exit or {}
    return StepwiseSession(steps, settings.get("policy", "entropy"), settings.get("threshold", NEVER))
