"""Answering requests: text in, answer out. This is the code that a request pays for.

A request passes through named stages (`Runner.stages`), and `predict` is exactly their composition, so that what is
served is what is timed; nobody else lists them. The tokenizer is called directly, and nothing is allocated that can be
kept: masks and token types are views made once, one a length. One thread of a 2.6 GHz server core, 10 words, a model
that does almost nothing: tokenize 2 (`millis.serving.quick_tokens`; else 15), feed 2, compute 12, decode 1.5 µs.

A runner may be asked from several threads at once; sessions see to that, each in the cheapest way its runtime has. A
process that was forked has none of a runtime's threads, and locks as they were: there a runner refuses.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from threading import RLock
from time import perf_counter_ns
from typing import Any, ClassVar, NoReturn, cast, overload
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.serving.about import About
from millis.serving.reader import Encoded, Reader, TextKeeper
from millis.storage.manifest import Manifest, size_bytes
from millis.tasks.contract import Answer, Task
from millis.types import Answered, Features, Outputs, Session, Stage, Stepwise, Text, Timed


class Runner:
    """Answers requests, each caller's one at a time; callers may be several threads, all of the process that made it.

    Args:
        manifest: What the artifact is.
        reader: Of the artifact's requests.
        session: The weights on a backend.
        task: That of the manifest, with what it carries; None where the manifest has it all.
    """

    def __init__(
        self, manifest: Manifest, reader: Reader | TextKeeper, session: Session, task: Task | None = None
    ) -> None:
        self.manifest = manifest
        self._answer = (task or manifest.answers).answer
        self._reader, self._session = reader, session
        # Sessions that may stop early say which of their steps they took, and can be given a deadline.
        self._stepwise = cast(Stepwise, session) if hasattr(session, "answer") else None
        self._learning = RLock()
        _RUNNERS.add(self)

    @overload
    def predict(self, text: Text) -> Answer: ...

    @overload
    def predict(self, text: Text, deadline_ms: float) -> Timed: ...

    def predict(self, text: Text, deadline_ms: float | None = None) -> Answer | Timed:
        """The answer to one request.

        Args:
            text: The request.
            deadline_ms: Milliseconds from this call within which to answer. A model that may stop early takes as many
                of its steps as were measured to fit, at least one; any other takes what it takes. Whether the deadline
                was kept, and where the time went, is in the answer. Call `learn_times` before: else the first such
                request does, within its own time, and is late where that takes longer.

        Raises:
            MillisError: `text` is neither a string nor a pair of strings, the deadline is no positive number, or this
                process is a fork of the one that loaded the artifact.
        """
        if deadline_ms is not None:
            return self._predict_within(text, deadline_ms)
        given: Any = text
        for stage in self._STAGES.values():
            given = stage(self, given)
        answer: Answer = given
        return answer

    def _predict_within(self, text: Text, deadline_ms: float) -> Timed:
        check_deadline(deadline_ms)
        start = perf_counter_ns()
        if self._stepwise is not None and not self._stepwise.knows_times:
            with self._learning:  # one of several threads measures, the others wait for what it finds
                if not self._stepwise.knows_times:
                    self.learn_times()
        stamps = [perf_counter_ns()]
        encoding = self.tokenize(text)
        stamps.append(perf_counter_ns())
        features = self.feed(encoding)
        stamps.append(perf_counter_ns())
        outputs, taken = self.answer(features, start + int(deadline_ms * 1e6))
        stamps.append(perf_counter_ns())
        answer = self.decode(outputs, encoding)
        stamps.append(perf_counter_ns())
        steps = 1 if self._stepwise is None else len(self._stepwise.steps)
        return self._timed(answer, (int(taken[0]), steps), start, stamps, deadline_ms)

    def _timed(
        self, answer: Answer, steps: tuple[int, int], start_ns: int, stamps: Sequence[int], deadline_ms: float
    ) -> Timed:
        """An answer with what it took; `stamps` stand before the first stage and after each."""
        elapsed_ms = (stamps[-1] - start_ns) / 1e6
        spent = {name: (b - a) / 1e6 for name, (a, b) in zip(self._STAGES, pairwise(stamps), strict=True)}
        return Timed(answer, *steps, elapsed_ms, elapsed_ms <= deadline_ms, spent)

    def learn_times(self) -> None:
        """Measure the steps of a model that may stop early, which `deadline_ms` needs; any other has none to measure.

        Takes as long as some 10 requests of each of 1, 2, 4, ... tokens. Call it after loading, where the first request
        may have a deadline.
        """
        if self._stepwise is not None:
            with self._learning:
                self._stepwise.learn_times(self._reader.examples())

    @property
    def about(self) -> About:
        """What is said of it."""
        manifest, answers = self.manifest, self.manifest.answers
        pairs = "token_type_ids" in manifest.inputs and not answers.reads_offsets
        named = (manifest.name, manifest.backend, answers.summary)
        return About(*named, pairs, False, manifest.max_length, size_bytes(manifest), manifest.fingerprint)

    @property
    def judged_as_written(self) -> bool:
        """Whether metrics judge what is written, for which this is a `millis.serving.writer.Writer`."""
        return self.manifest.answers.judged_as_written

    @property
    def _sessions(self) -> tuple[Session, ...]:
        """Everything that a runtime has loaded for it."""
        return (self._session,)

    def request(self, text: Text) -> Text:
        """What a user would send of a text of the data: the text."""
        return text

    def shape(self, text: Text) -> tuple[int, ...]:
        """By what runtimes plan memory: how many tokens are read of a text."""
        return (len(self.tokenize(text).ids),)

    def outputs(self, texts: Iterable[Text]) -> list[Outputs]:
        """Outputs of each text, one at a time: the very path that answers requests."""
        return [self.compute(self.feed(self.tokenize(text))) for text in texts]

    def logits(self, texts: Iterable[Text]) -> NDArray[np.float32]:
        """Logits [N, C] of a model that gives one row a text; see `outputs`."""
        rows = [outputs[0] for outputs in self.outputs(texts)]
        return np.concatenate(rows) if rows else np.empty((0, self.manifest.signature.outputs[0].width), np.float32)

    def tokenize(self, text: Text) -> Encoded:
        """Text to at most `max_length` tokens; of a long text no more is read than settles these."""
        return self._reader.tokenize(text)

    def feed(self, encoding: Encoded) -> Features:
        """Tokens to the model's inputs, [1, S]."""
        return self._reader.feed(encoding)

    def compute(self, features: Features) -> Outputs:
        """Inputs to the model's outputs."""
        return self._session(features)

    def answer(self, features: Features, until_ns: int | None = None) -> Answered:
        """Inputs [B, S] to outputs, and how many of the model's steps each row took.

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

    def decode(self, outputs: Outputs, encoding: Encoded) -> Answer:
        """A request's outputs and its tokens to the answer, as the artifact's task says."""
        return self._answer(outputs, encoding)

    def _feed(self, encoding: Encoded) -> tuple[Features, Encoded]:
        return self._reader.feed(encoding), encoding

    def _compute(self, fed: tuple[Features, Encoded]) -> tuple[Outputs, Encoded]:
        return self._session(fed[0]), fed[1]

    def _decode(self, computed: tuple[Outputs, Encoded]) -> Answer:
        return self._answer(*computed)

    # Functions, not methods of one runner: a runner that held its own methods would not go when it is let go.
    _STAGES: ClassVar[dict[str, Callable[["Runner", Any], Any]]] = {
        "tokenize": tokenize, "feed": _feed, "compute": _compute, "decode": _decode
    }  # fmt: skip

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What a request passes through, by name: the first takes the text, each other what the one before returned,
        and the last returns the answer."""
        return tuple((name, partial(stage, self)) for name, stage in self._STAGES.items())

    def truncated(self, texts: Sequence[Text]) -> int:
        """How many of `texts` are longer than `max_length` tokens, so that their ends are not read."""
        return sum(bool(self.tokenize(text).overflowing) for text in texts)


def check_deadline(deadline_ms: float) -> None:
    """Refuse a deadline that is none.

    Raises:
        MillisError: as said.
    """
    if not deadline_ms > 0:
        raise MillisError(f"deadline_ms={deadline_ms}: expected a positive number of milliseconds")


class _Forked:
    """What a runner has in a forked process in place of everything that computes.

    Copies of a runtime's threads are not there after a fork, and a lock that one of them held is held for ever: a
    request could wait without end.
    """

    def __call__(self, *_: Any) -> NoReturn:
        raise MillisError(
            "this runner was loaded before the process was forked, and a runtime does not survive that. Load the "
            "artifact after the fork, in each process (millis.load), or start processes with "
            "multiprocessing.get_context('spawn')"
        )

    def __getattr__(self, name: str) -> NoReturn:
        self()


_RUNNERS: WeakSet[Runner] = WeakSet()  # of this process
_FOREIGN: list[Session] = []  # of the process this one was forked from: taking one apart could wait without end as well


def _after_fork() -> None:
    forked: Any = _Forked()
    for runner in _RUNNERS:
        _FOREIGN.extend(runner._sessions)
        runner._reader, runner._session, runner._learning = forked, forked, RLock()
        if runner._stepwise is not None:
            runner._stepwise = forked
    _RUNNERS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
