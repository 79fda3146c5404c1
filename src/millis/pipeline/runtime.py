"""Runtimes that are not named: the first that can run a recipe, or, of `backend=auto`, the fastest that is faithful.

Either is found before anything is trained, and the rest of the pipeline sees the chosen one alone, as if it had been
named: latencies, fingerprints and artifacts are the same either way. What `auto` measured is kept. Every candidate gets
the student as it is cut from the teacher (latency does not depend on what training will do to the weights) with the
recipe's quantization, and is timed in processes of its own, in turns with the teacher. A recipe that reshapes the
student before training is chosen for by the student before that.

Agreement here is that of weights before training, whose labels are often near ties: its limit is to keep a broken or
careless runtime out. What the trained model loses is the record's own `parity`.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from millis import models
from millis.backends.scratch import MachineFault, blame_machine, fp32_bytes, scratch
from millis.benchmark.agent.client import AgentBench
from millis.benchmark.latency import Bench, Measurement
from millis.benchmark.where import lacking, open_bench
from millis.errors import MillisError, Unavailable
from millis.models.spec import Spec
from millis.models.tokenizer import AnyTokenizer
from millis.pipeline import keys
from millis.pipeline.initial_student import cut, student_spec
from millis.pipeline.measure import eager_outputs, own_threads, write
from millis.pipeline.plan import Plan
from millis.pipeline.run import Run
from millis.pipeline.usual import RUNTIMES
from millis.serving.parity import parity
from millis.serving.runner import load
from millis.store import cached, locked, write_json
from millis.traits import DATA_SIZES, IMITABLE, SEGMENTS, STORES, UNDECIDED, WRITES, Traits, has
from millis.units import show

log = logging.getLogger(__name__)

ANY: Traits = (UNDECIDED, SEGMENTS, DATA_SIZES, IMITABLE, STORES, WRITES)
"""Of runtimes that are not named: candidates are asked one by one."""


@dataclass(frozen=True)
class Auto:
    """Asks for the fastest runtime instead of naming one.

    Args:
        candidates: Name → a runtime of `millis.backends`.
        agreement: Least share (0..1) of texts that must get eager's label.
        texts: How many of the validation split are compared.
        rounds, requests: Of the benchmark, in place of `benchmark.rounds` and `benchmark.requests`.

    Raises:
        MillisError: no candidates, or a share that is none.
    """

    candidates: Mapping[str, Any]
    agreement: float = 0.9
    texts: int = 128
    rounds: int = 10
    requests: int = 5

    name = "auto"
    traits: ClassVar[Traits] = ANY

    def chosen(self, run: Run) -> tuple[Run, "Choice | None"]:
        """See `with_runtime`; what was measured is kept."""
        return _compared(run)

    def __post_init__(self) -> None:
        if not self.candidates:
            raise MillisError(
                "backend=auto has no candidates: expected at least one, such as "
                "+backend@backend.candidates.onnxruntime=onnxruntime"
            )
        if not 0 <= self.agreement <= 1:
            raise MillisError(f"backend.agreement={self.agreement}: expected a share from 0 to 1")


@dataclass(frozen=True)
class First:
    """Takes the first of its candidates that can run the recipe here; nothing is timed.

    Args:
        candidates: Name → a runtime of `millis.backends`, the preferred one first.
    """

    candidates: Mapping[str, Any]

    name = "default"
    traits: ClassVar[Traits] = ANY

    def chosen(self, run: Run) -> tuple[Run, "Choice | None"]:
        """See `with_runtime`; there is nothing to say where it is the first.

        Raises:
            MillisError: none can.
        """
        refused: list[Candidate] = []
        last = [*self.candidates][-1]
        for name, backend in self.candidates.items():
            reason = backend.missing() or lacking(backend.name, run.benchmark)
            if reason is None and name != last:  # what the last one has against it is said where it is written
                reason = _refusal(run, backend)
            if reason is None:
                return _on(run, backend), Choice(name, (Candidate(name), *refused)) if refused else None
            refused.append(Candidate(name, reason))
        raise MillisError(f"no backend can run this recipe ({'; '.join(map(str, refused))}). Mend one of these")


@dataclass(frozen=True)
class Candidate:
    """How a runtime did; without a speed-up where it could not be measured.

    Args:
        refused: Why it cannot be taken; empty where it can.
    """

    name: str
    refused: str = ""
    speedup: float = 0.0
    latency_p50_ms: float = 0.0
    label_agreement: float = 0.0

    def __str__(self) -> str:
        if not self.speedup:
            return f"{self.name}: {self.refused}"
        text = (
            f"{self.name} {show('latency_p50_ms', self.latency_p50_ms)}, {show('speedup', self.speedup)}, "
            f"{self.label_agreement:.1%} the same answer"
        )
        return f"{text} ({self.refused})" if self.refused else text


@dataclass(frozen=True)
class Choice:
    """What `backend=auto` found.

    Args:
        name: Of the candidate that was taken.
        candidates: All that were tried, the one taken first.
    """

    name: str
    candidates: tuple[Candidate, ...]

    def sentence(self) -> str:
        """For the record's notes."""
        taken, *others = self.candidates
        if not taken.speedup:  # nothing was timed
            return f"{taken.name} runs it; {'; '.join(map(str, others))}"
        told = "; ".join(map(str, others)) or "there was no other"
        return f"backend=auto took {taken}. Before training, beside it: {told}"


def with_runtime(run: Run) -> tuple[Run, Choice | None]:
    """`run` with the runtime that `backend=auto` takes, and how it was found; `run` itself where one is named.

    Raises:
        MillisError: no candidate can be taken; each one's reason is in the message.
    """
    return run.recipe.backend.chosen(run) if has(run.recipe.backend, UNDECIDED) else (run, None)


def usual() -> "First":
    """The runtime of whoever names none."""
    return First({one.name: one for one in RUNTIMES})


def _compared(run: Run) -> tuple[Run, Choice]:
    key = keys.runtime(run.teacher.fingerprint, run.recipe, run.benchmark)
    path = run.teacher.inputs.cache / "runtime" / f"{key}.json"
    with locked(path, "the choice of a runtime, which another process makes"):
        if not path.is_file():
            compared = _compare(run)
            fastest(tuple(compared))  # that none can be taken is not kept: the cause may pass
            write_json(path, [asdict(candidate) for candidate in compared])
    with cached(path):
        found = tuple(Candidate(**values) for values in json.loads(path.read_text()))
    choice = fastest(found)
    return _on(run, run.recipe.backend.candidates[choice.name]), choice


def fastest(candidates: tuple[Candidate, ...]) -> Choice:
    """The fastest that is not refused.

    Raises:
        MillisError: all are.
    """
    ranked = sorted(candidates, key=lambda one: (bool(one.refused), -one.speedup))
    if ranked[0].refused:
        reasons = "; ".join(map(str, ranked))
        raise MillisError(
            f"backend=auto can take none of its candidates ({reasons}). Mend one of these, add a candidate, lower "
            "backend.agreement, or name a backend"
        )
    return Choice(ranked[0].name, tuple(ranked))


def _compare(run: Run) -> list[Candidate]:
    recipe = run.recipe
    model = cut(run).eval()
    if recipe.tokens is not None:  # an operator more in every layer, which runtimes like more or less
        model = recipe.tokens.attach(model)
    planned = replace(Plan.probe(model.spec, student_spec(run.teacher, recipe.student)[1]), name="candidate")
    found: list[Candidate] = []
    folders: dict[str, Path] = {}
    with scratch(fp32_bytes(model)) as place:
        for name, backend in recipe.backend.candidates.items():
            try:
                if lacking := backend.missing():
                    raise MillisError(lacking)
                candidate = _on(run, backend)
                folders[name] = place / name
                write(candidate, model, folders[name], planned)
            except MachineFault:  # it says nothing about the runtime
                raise
            except MillisError as error:
                blame_machine(error, fp32_bytes(model))
                folders.pop(name, None)
                found.append(Candidate(name, str(error)))
        return found + _measured(run, model, planned, folders)


def _refusal(run: Run, backend: Any) -> str | None:
    """Why a runtime cannot take the recipe's student, found by writing one of its shape, once a process."""
    recipe = run.recipe
    spec, tokenizer = student_spec(run.teacher, recipe.student)
    asked = recipe.quantization
    if asked is not None:  # layers and roundings are chosen by what training makes of them
        recipe = replace(recipe, quantization=asked.untrained)
    if recipe.generation is not None:  # what guesses is no fault of the runtime
        recipe = replace(recipe, generation=recipe.generation.alone)
    key = repr((spec, backend, recipe.quantization, recipe.tokens))
    if key not in _probed:
        _probed[key] = _refused(run.with_recipe(recipe), backend, spec, tokenizer)
    return _probed[key]


_probed: dict[str, str | None] = {}


def _refused(run: Run, backend: Any, spec: Spec, tokenizer: AnyTokenizer) -> str | None:
    recipe = run.recipe
    model: Any = models.build(spec).eval()
    if recipe.tokens is not None:
        model = recipe.tokens.attach(model)
    planned = replace(Plan.probe(model.spec, tokenizer), name="candidate")
    try:
        with scratch(fp32_bytes(model)) as place:
            write(_on(run, backend), model, place / "candidate", planned)
    except MachineFault:  # it says nothing about the runtime
        raise
    except MillisError as error:
        blame_machine(error, fp32_bytes(model))
        return str(error)
    return None


def _measured(run: Run, model: Any, planned: Plan, folders: dict[str, Path]) -> list[Candidate]:
    """Agreement first, which also shows what does not load; then the clock, all in turns."""
    auto, teacher, options = run.recipe.backend, run.teacher, run.benchmark
    split = teacher.inputs.dataset.validation
    expected = eager_outputs(teacher, model, planned, split, auto.texts)
    agreement: dict[str, float] = {}
    found: list[Candidate] = []
    for name, folder in folders.items():
        try:
            with own_threads():
                runner = load(folder, options.threads, verify=False, trust_code=True)  # made above
                texts = split.texts[: len(expected)]
                agreement[name] = parity(runner, texts, runner.outputs(texts), expected)["label_agreement"]
        except MillisError as error:
            found.append(Candidate(name, str(error)))
    if not agreement:
        return found
    brief = replace(options, rounds=auto.rounds, requests=auto.requests, quantile=None, processes=1, warmup_seconds=1.0)
    with open_bench(teacher.folder, teacher.inputs.dataset.test.texts, brief) as bench:
        timed, refused = _timed(bench, {name: folders[name] for name in agreement})
    for name, measurement in timed.items():
        metrics, share = measurement.metrics, agreement[name]
        low = f"agrees with eager on less than {auto.agreement:.0%}" if share < auto.agreement else ""
        found.append(Candidate(name, low, metrics["speedup"], metrics["latency_p50_ms"], share))
    return found + refused


def _timed(bench: Bench | AgentBench, folders: dict[str, Path]) -> tuple[dict[str, Measurement], list[Candidate]]:
    """All in the same rounds; where one fails there, each by itself. What was measured, and who was refused."""
    try:
        return bench.measure(folders), []
    except Unavailable:  # no fault of theirs
        raise
    except MillisError as error:
        log.warning("the candidates of backend=auto are timed one by one, for together they fail: %s", error)
    timed: dict[str, Measurement] = {}
    refused: list[Candidate] = []
    for name, folder in folders.items():
        try:
            timed |= bench.measure({name: folder})
        except Unavailable:
            raise
        except MillisError as error:
            refused.append(Candidate(name, str(error)))
    return timed, refused


def _on(run: Run, backend: Any) -> Run:
    """`run` on one of the candidates.

    Raises:
        MillisError: it cannot do what the recipe asks for.
    """
    return run.with_recipe(replace(run.recipe, backend=backend))
