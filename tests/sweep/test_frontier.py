"""Frontier, probabilities and ties, on numbers that can be checked with a pencil."""

from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from json import dumps
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from millis.errors import MillisError
from millis.metrics import judged, named, score, value
from millis.metrics.accuracy import Accuracy
from millis.record import Record
from millis.report.tables import frontier_rows, headline
from millis.sweep.frontier import frontier, non_dominated

TEXTS = 100


def record(name: str, correct: int, ms: float, kind: str = "student", first_wrong: int = 0, **changes) -> Record:
    """`correct` of 100 texts right (the wrong ones start at `first_wrong`); every request takes `ms` milliseconds."""
    wrong = (first_wrong + np.arange(TEXTS - correct)) % TEXTS
    predictions = np.zeros(TEXTS, dtype=int)
    predictions[wrong] = 1
    made = Record(
        id=name,
        name=name,
        kind=kind,
        metrics={"accuracy": float(correct), "latency_p50_ms": ms, "latency_p99_ms": ms, "size_bytes": 1e6 * ms},
        intervals={},
        quality="accuracy",
        config={},
        seed=0,
        artifact=f"artifacts/{name}",
        predictions=predictions.tolist(),
        references=[0] * TEXTS,
        latency_ms=[[ms] * 4] * 3,
        reference_latency_ms=[[10.0] * 4] * 3,
        stages_ms={},
        parity={},
        environment={},
    )
    return replace(made, **changes)


def standing(records, name, **options):
    return next(s for s in frontier(records, resamples=300, **options).standings if s.name == name)


def test_non_dominated_by_hand() -> None:
    # (1, 3) and (3, 1) trade; (2, 2) trades with both; (2, 3) is beaten by (2, 2); the twin of (1, 3) is not beaten.
    costs = np.array([[1, 3], [3, 1], [2, 2], [2, 3], [1, 3]], dtype=float)
    assert non_dominated(costs).tolist() == [True, True, True, False, True]


@given(arrays(float, st.tuples(st.integers(1, 8), st.integers(1, 3)), elements=st.integers(0, 4).map(float)))
def test_non_dominated_agrees_with_the_definition(costs: np.ndarray) -> None:
    def beats(a, b):
        return all(a <= b) and any(a < b)

    expected = [not any(beats(other, row) for other in costs) for row in costs]
    assert non_dominated(costs).tolist() == expected
    assert any(expected)


def test_members_and_certain_probabilities() -> None:
    # b answers right whatever a does and is faster: a is beaten in every resample. c is fastest, so always a member.
    a, b, c = record("a", 80, 5), record("b", 90, 4), record("c", 60, 1)
    result = frontier([a, b, c], resamples=200)
    assert [s.name for s in result.members] == ["b", "c"]
    assert [s.probability for s in result.standings] == [0.0, 1.0, 1.0]
    assert result.objectives == {"accuracy": "maximize", "latency_p50_ms": "minimize"}


def test_probability_of_one_text() -> None:
    # b is as fast as a and right on one text more, all else alike. a is level, hence a member, when that text is not
    # drawn: (1 - 1/100)^100 = 0.366.
    a, b = record("a", 80, 2), record("b", 81, 2, first_wrong=1)
    assert frontier([a, b], resamples=2000).standings[0].probability == pytest.approx(0.366, abs=0.035)


def test_what_beats_no_baseline_is_said_of_all_but_dominated_students() -> None:
    # 60 of 100 texts have label 0. The linear model is right on 80; `level` on the same and slower; `constant` answers
    # 0 always; `beaten` is dominated by all of them, so nobody asks what else it does not beat.
    references, linear = [0] * 60 + [1] * 40, [0] * 60 + [1] * 20 + [0] * 20
    models = {
        "linear": ("linear", 80, 2.0, linear),
        "teacher": ("teacher", 100, 9.0, references),
        "constant": ("student", 60, 1.0, [0] * 100),
        "level": ("student", 81, 5.0, [*linear[:-1], 1]),
        "beaten": ("student", 40, 6.0, [1] * 100),
    }
    records = [
        record(name, right, ms, kind, predictions=answers, references=references)
        for name, (kind, right, ms, answers) in models.items()
    ]
    result = frontier(records, resamples=200)
    assert result.unbeaten == {"constant": "the most frequent answer to every text", "level": "linear"}
    assert result.majority == 60
    assert result.of(records[-1]).unbeaten == ""


def test_one_text_is_a_tie_and_twenty_are_not() -> None:
    best = record("best", 90, 2)
    assert standing([best, record("near", 89, 2)], "near").tied_with == ("best",)
    assert standing([best, record("far", 70, 2)], "far").tied_with == ()


def test_pairing_sees_what_marginal_intervals_hide() -> None:
    # 90 against 82: the marginal intervals (± 6 and ± 7.5) overlap. The eight texts are all lost by b and none by a,
    # so the paired difference excludes zero: e^-8 = 0.0003 of resamples draw none of them.
    assert standing([record("a", 90, 2), record("b", 82, 2)], "b").tied_with == ()


def test_a_clearly_beaten_record_is_tied_with_nobody() -> None:
    # "near" cannot be told from "slow" (same texts but one, same speed), but "fast" is as good as "slow" and twice as
    # fast, so it clearly beats "near".
    slow, near = record("slow", 91, 4), record("near", 89, 4)
    fast = record("fast", 90, 2)
    assert standing([slow, near], "near").tied_with == ("slow",)
    assert standing([slow, near, fast], "near").tied_with == ()


def test_members_tie_with_each_other() -> None:
    # Two of one speed, each right where the other is wrong: 80 each, both members.
    a, b = record("a", 80, 2), record("b", 80, 2, first_wrong=50)
    assert standing([a, b], "a").tied_with == ("b",)
    assert standing([a, b], "b").tied_with == ("a",)


def test_rounds_measured_together_are_drawn_together() -> None:
    # b is 1 % slower than a in every request, but rounds differ threefold. Drawn together, b never wins.
    rounds = [[1.0] * 4, [2.0] * 4, [3.0] * 4]
    slower = [[1.01 * ms for ms in samples] for samples in rounds]
    a = record("a", 80, 2, latency_ms=rounds)
    b = record("b", 80, 2.02, latency_ms=slower)
    assert standing([a, b], "b").probability == 0.0
    apart = replace(b, reference_latency_ms=[[11.0] * 4] * 3)
    assert standing([a, apart], "b").probability > 0.2
    assert standing([a, apart], "b").tied_with == ("a",)


def test_processes_that_differ_make_a_tie_of_what_rounds_alone_would_call_measured() -> None:
    # a's three processes take 0.94, 0.99, 1.04 ms, b's 1.05, 1.03, 0.99: the means of the differences' logs is 0.034,
    # their standard deviation 0.081, so Student's half-width is 4.303·0.081/√3 = 0.20. b is right on as many texts.
    served = [0, 1, 2] * 10
    a, b = (
        record(name, 80, ms[1], latency_ms=[[ms[process]] * 4 for process in served], processes=served)
        for name, ms in (("a", (0.94, 0.99, 1.04)), ("b", (1.05, 1.03, 0.99)))
    )
    assert standing([a, b], "b").tied_with == ("a",)
    assert 0.1 < standing([a, b], "b").probability < 0.4
    # Five such differences each 3 to 4 %: their mean is measured, whatever the processes have in common.
    served = [0, 1, 2, 3, 4] * 6
    common = np.array([1.0, 1.2, 0.9, 1.1, 1.3])
    a = record("a", 80, 1.1, latency_ms=[[common[i]] * 4 for i in served], processes=served)
    slower = common * [1.03, 1.04, 1.03, 1.04, 1.03]
    b = record("b", 80, 1.14, latency_ms=[[slower[i]] * 4 for i in served], processes=served)
    assert standing([a, b], "b").tied_with == ()
    assert standing([a, b], "b").probability < 0.05


def test_other_objectives_and_the_tail() -> None:
    # b has the better p99 although its p50 is worse: a member for p99 only. Sizes are taken as they are.
    a = record("a", 80, 1, latency_ms=[[1.0] * 9 + [9.0]] * 3)
    b = record("b", 80, 2, latency_ms=[[2.0] * 10] * 3)
    a.metrics["latency_p99_ms"] = 9.0
    assert not standing([a, b], "b").on_frontier
    tail = {"accuracy": "maximize", "latency_p99_ms": "minimize"}
    assert standing([a, b], "b", objectives=tail).on_frontier
    assert not standing([a, b], "b", objectives={"accuracy": "maximize", "size_bytes": "minimize"}).on_frontier


@pytest.mark.parametrize("name", ["macro_f1", "macro_accuracy"])
def test_any_metric_can_be_the_quality(name: str) -> None:
    # With a reference of each label, all right makes 100, and each record that errs more has less of every metric.
    references = [0] * 99 + [1]
    answers = [[1 - label if i < wrong else label for i, label in enumerate(references)] for wrong in (0, 20, 50)]
    records = [
        record(str(wrong), 100, 2, predictions=one, references=references, quality=name,
               metrics={name: score(name, one, references), "latency_p50_ms": 2.0})
        for wrong, one in enumerate(answers)
    ]  # fmt: skip
    found = frontier(records, resamples=50)
    assert found.objectives == {name: "maximize", "latency_p50_ms": "minimize"}
    assert [(s.on_frontier, s.probability) for s in found.standings] == [(True, 1.0), (False, 0.0), (False, 0.0)]


@dataclass(frozen=True)
class ErrorRate(Accuracy):
    """100 - accuracy: lower is better."""

    better: ClassVar = "lower"

    def value(self, sums: np.ndarray) -> np.ndarray:
        return 100 - super().value(sums)


def test_a_metric_may_run_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    right = [record(f"r{i}", correct, ms) for i, (correct, ms) in enumerate([(90, 3), (88, 2), (70, 2.5)])]
    wrong = [replace(one, quality="errors", metrics={**one.metrics, "errors": 100 - one.metrics["accuracy"]})
             for one in right]  # fmt: skip
    expected = frontier(right, resamples=50)
    monkeypatch.setattr("millis.sweep.frontier.metric_of", lambda records: ErrorRate())
    found = frontier(wrong, resamples=50)
    assert found.objectives == {"errors": "minimize", "latency_p50_ms": "minimize"}
    assert found.standings == expected.standings
    assert found.majority == 0.0
    refused(wrong, "objective errors is 'maximize', but lower is better: expected minimize",
            objectives={"errors": "maximize"})  # fmt: skip


def test_texts_are_judged_resampled_and_reported() -> None:
    # Three of four texts right word for word; a model that writes nothing right is told from it, and marked.
    right = ["the parcel is on its way", ["the bill is wrong", "this bill is wrong"], "please call me back now", "yes"]
    texts = right * 10
    written = {
        "teacher": [one if isinstance(one, str) else one[0] for one in texts],
        "near": [
            text if text != "yes" else "no" for text in [one if isinstance(one, str) else one[1] for one in texts]
        ],
        "far": ["the parcel"] * 40,
    }
    metric = named("bleu", (), "written")
    records = []
    for ms, (name, answers) in zip((4.0, 2.0, 1.0), written.items(), strict=True):
        kept = value("bleu", metric, answers, texts)
        made = record(name, 90, ms, "teacher" if name == "teacher" else "student", quality="bleu")
        metrics = {**made.metrics, "bleu": kept}
        metrics = {name: value for name, value in metrics.items() if name != "accuracy"} | {"speedup": 4 / ms}
        records.append(replace(
            made, metrics=metrics, predictions=answers, references=texts, judged=judged({"bleu": metric})
        ))  # fmt: skip
    records = [Record.from_json(one.to_json()) for one in records]
    found = frontier(records, resamples=50)
    assert [one.on_frontier for one in found.standings] == [True, True, True]
    assert found.of(records[2]).unbeaten == "the most frequent answer to every text"
    rows = frontier_rows(records, found)
    assert [row.show("bleu") for row in rows if row.kind == "teacher"] == ["100 BLEU"]
    near = next(row for row in rows if row.name == "near")
    assert near.show("quality_drop").endswith(" BLEU") and 0 < near.metrics["quality_drop"] < 10
    assert " BLEU (" in headline(rows)


def test_deterministic_by_seed_and_json_able() -> None:
    records = [record(f"r{i}", 80 + i, 1 + i / 10) for i in range(4)]
    assert frontier(records, resamples=50, seed=3) == frontier(records, resamples=50, seed=3)
    dumps(asdict(frontier(records, resamples=50)))


@given(st.lists(st.tuples(st.integers(50, 100), st.integers(1, 20)), min_size=1, max_size=5))
def test_frontier_is_a_staircase(models: list[tuple[int, int]]) -> None:
    records = [record(f"r{i}", correct, float(ms)) for i, (correct, ms) in enumerate(models)]
    by_id = {r.id: r for r in records}
    members = [by_id[s.id].metrics for s in frontier(records, resamples=5).members]
    members.sort(key=lambda m: (m["latency_p50_ms"], m["accuracy"]))
    for faster, slower in pairwise(members):
        assert slower["accuracy"] > faster["accuracy"] or slower == faster


def test_draws_without_a_value_are_left_out() -> None:
    # Text 0 alone is out of scope: the metric is undefined when it is not drawn, 36.6 % of the draws, as above.
    labels = [1] + [0] * (TEXTS - 1)
    name = "out_of_scope_recall"
    recall = named(name, ["in", "oos"])
    a = record("a", 100, 2, predictions=labels, references=labels, quality=name,
               metrics={name: 100.0, "latency_p50_ms": 2.0}, judged=judged({name: recall}))  # fmt: skip
    result = frontier([a], resamples=1000)
    assert result.resamples == pytest.approx(634, abs=50)
    assert result.standings[0].probability == 1.0


def refused(records: list[Record], message: str, **options) -> None:
    with pytest.raises(MillisError, match=message):
        frontier(records, resamples=5, **options)


def test_frontier_refuses_what_cannot_be_compared() -> None:
    a, b = record("a", 80, 2), record("b", 90, 3)
    refused([], "no records to make a frontier of")
    refused([a, a], "'a' .* comes twice")
    refused([a, replace(b, references=[1] * TEXTS)], "tested on different texts")
    refused([a, replace(b, quality="f1")], "judged by f1, 'a' by accuracy")
    refused([a, b], "expected maximize or minimize", objectives={"accuracy": "up"})
    refused([a, b], r"no metric 'latency_p95_ms' \(did you mean 'latency_p9", objectives={"latency_p95_ms": "minimize"})
    refused([a, replace(b, latency_ms=[])], "0 rounds of latency samples")


def test_frontier_refuses_a_quality_that_is_not_that_of_the_predictions() -> None:
    a = record("a", 80, 2)
    refused([replace(a, metrics={**a.metrics, "accuracy": 80.1})],
            "record 'a' has accuracy 80.1, its predictions have 80: measure it again")  # fmt: skip
    assert frontier([replace(a, metrics={**a.metrics, "accuracy": 80.03})], resamples=5).members
    refused([replace(a, predictions=[], references=[])], "record 'a' holds no predictions to resample")
