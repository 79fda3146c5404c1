"""An artifact loaded on its runtime: text in, prediction out. This is the code that a request pays for.

A request has four stages, each a method, and `predict` is exactly their composition, so that what is served is what is
timed. The Rust tokenizer is called directly, and nothing is allocated that can be kept: masks and token types are views
made once, one a length. One thread of a 2.6 GHz server core, 10 words, a model that does almost nothing: tokenize 15,
feed 2, compute 12, decode 1.5 µs.
"""

import os
import warnings
from collections.abc import Iterable, Sequence
from math import exp
from pathlib import Path
from time import perf_counter_ns
from typing import cast, overload

import numpy as np
from numpy.typing import NDArray

from millis.backends import cascade, stepwise
from millis.backends.reader import Encoded, Reader, TextKeeper
from millis.errors import MillisError
from millis.storage.manifest import Manifest, open_manifest
from millis.types import Answered, Features, Prediction, Session, Spec, Stepwise, Text, TimedPrediction

WIDE = 32  # labels from which NumPy answers sooner than Python does


class Runner:
    """Answers one request at a time.

    Args:
        manifest: What the artifact is.
        reader: Of the artifact's requests.
        session: The weights on a backend.
    """

    def __init__(self, manifest: Manifest, reader: Reader | TextKeeper, session: Session) -> None:
        self.manifest = manifest
        self.labels = manifest.labels
        self._likeliest = _by_python if len(manifest.labels) < WIDE else _by_numpy
        self._reader, self._session = reader, session
        # Sessions that may stop early say which of their steps they took, and can be given a deadline.
        self._stepwise = cast(Stepwise, session) if hasattr(session, "answer") else None

    @overload
    def predict(self, text: Text) -> Prediction: ...

    @overload
    def predict(self, text: Text, deadline_ms: float) -> TimedPrediction: ...

    def predict(self, text: Text, deadline_ms: float | None = None) -> Prediction | TimedPrediction:
        """The answer to one request.

        Args:
            text: The request.
            deadline_ms: Milliseconds from this call within which to answer. A model that may stop early takes as many
                of its steps as were measured to fit, at least one; any other takes what it takes. Whether the deadline
                was kept is in the answer. Call `learn_times` before: else the first such request does, within its own
                time, and is late where that takes longer.

        Raises:
            MillisError: `text` is neither a string nor a pair of strings, or the deadline is no positive number.
        """
        if deadline_ms is not None:
            return self._predict_within(text, deadline_ms)
        return self.decode(self.compute(self.feed(self.tokenize(text))))

    def _predict_within(self, text: Text, deadline_ms: float) -> TimedPrediction:
        if not deadline_ms > 0:
            raise MillisError(f"deadline_ms={deadline_ms}: expected a positive number of milliseconds")
        start = perf_counter_ns()
        if self._stepwise is not None and not self._stepwise.knows_times:
            self.learn_times()
        answered = self.answer(self.feed(self.tokenize(text)), start + int(deadline_ms * 1e6))
        label, index, score = self.decode(answered.logits)
        elapsed_ms = (perf_counter_ns() - start) / 1e6
        steps = 1 if self._stepwise is None else len(self._stepwise.steps)
        return TimedPrediction(
            label, index, score, int(answered.steps[0]), steps, elapsed_ms, elapsed_ms <= deadline_ms
        )

    def learn_times(self) -> None:
        """Measure the steps of a model that may stop early, which `deadline_ms` needs; any other has none to measure.

        Takes as long as some 10 requests of each of 1, 2, 4, ... tokens. Call it after loading, where the first request
        may have a deadline.
        """
        if self._stepwise is not None:
            self._stepwise.learn_times(self._reader.examples())

    def logits(self, texts: Iterable[Text]) -> NDArray[np.float32]:
        """Logits [N, C], one text at a time: the very path that answers requests."""
        rows = [self.compute(self.feed(self.tokenize(text))) for text in texts]
        return np.concatenate(rows) if rows else np.empty((0, len(self.labels)), np.float32)

    def tokenize(self, text: Text) -> Encoded:
        """Text to at most `max_length` tokens."""
        return self._reader.tokenize(text)

    def feed(self, encoding: Encoded) -> Features:
        """Tokens to the model's inputs, [1, S]."""
        return self._reader.feed(encoding)

    def compute(self, features: Features) -> NDArray[np.float32]:
        """Inputs to logits [1, C]."""
        return self._session(features)

    def answer(self, features: Features, until_ns: int | None = None) -> Answered:
        """Inputs [B, S] to logits [B, C], and how many of the model's steps each row took.

        Args:
            features: The inputs.
            until_ns: See `millis.types.Stepwise.answer`; for one row, after `learn_times`. No model of one piece heeds
                it.

        Raises:
            MillisError: a model that may stop early is given `until_ns` for more than one row.
        """
        if self._stepwise is not None:
            return self._stepwise.answer(features, until_ns)
        return Answered(self.compute(features), np.ones(len(features.ids), np.int64))

    def decode(self, logits: NDArray[np.float32]) -> Prediction:
        """Logits [1, C] to the likeliest label and its softmax probability, 1 / sum_c exp(logit_c - max)."""
        index, score = self._likeliest(logits[0])
        return Prediction(self.labels[index], index, score)

    def truncated(self, texts: Sequence[Text]) -> int:
        """How many of `texts` are longer than `max_length` tokens, so that their ends are not read."""
        return sum(bool(self.tokenize(text).overflowing) for text in texts)


def _by_python(logits: NDArray[np.float32]) -> tuple[int, float]:
    """Index and probability of the likeliest of few, where a call into NumPy takes longer than the loop."""
    row = logits.tolist()
    top = max(row)
    return row.index(top), 1.0 / sum([exp(value - top) for value in row])


def _by_numpy(logits: NDArray[np.float32]) -> tuple[int, float]:
    """As `_by_python`, of many."""
    index = int(logits.argmax())
    return index, 1.0 / float(np.exp(logits - logits[index]).sum())


def load(folder: Path | str, threads: int = 1, verify: bool = True) -> Runner:
    """Load an artifact, and run nothing that is stored in it.

    Args:
        folder: The artifact.
        threads: For one request's arithmetic; more than there are CPUs is warned of.
        verify: Hash every file first (about 1 s a GB).

    Raises:
        MillisError: not an artifact, damaged, written by a newer millis, or its runtime is not installed.
    """
    folder = Path(folder)
    if threads < 1:
        raise MillisError(f"threads={threads} cannot run anything: expected 1 or more")
    if (warning := crowded(threads)) is not None:
        warnings.warn(warning, stacklevel=2)
    manifest = open_manifest(folder, verify)
    session = _session(folder, manifest, threads)
    reader = Reader.of(folder, manifest)
    return Runner(manifest, TextKeeper(reader) if cascade.reads_apart(manifest) else reader, session)


def _session(folder: Path, manifest: Manifest, threads: int) -> Session:
    if manifest.backend == cascade.NAME:
        return cascade.load(folder, manifest, threads)
    return stepwise.load_model(folder, manifest, threads)


def dynamic_part(spec: Spec) -> str | None:
    """The key of a spec that lets a model compute more for one text than for another as long; None without such."""
    return next((part for part in ("exits", "tokens") if spec.get(part)), None)


def is_dynamic(manifest: Manifest) -> bool:
    """Whether the artifact computes more for one request than for another as long: by such a part, or as a cascade."""
    return manifest.backend == cascade.NAME or dynamic_part(manifest.spec) is not None


def bound_threads(manifest: Manifest, wanted: int) -> int:
    """As many threads as `wanted`, or as many as the code of the artifact, or a member's, is made for.

    Raises:
        MillisError: a cascade whose members are not described.
    """
    parts = cascade.members_of(manifest).values() if manifest.backend == cascade.NAME else [manifest]
    return next((int(part.options["threads"]) for part in parts if "threads" in part.options), wanted)


def crowded(threads: int) -> str | None:
    """What to know where `threads` are more than the CPUs this process may use; None where they are not."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or threads
    if threads <= cpus:
        return None
    return f"threads={threads} on {cpus} CPU{'s' * (cpus > 1)}: threads wait for each other. threads={cpus} is faster"
