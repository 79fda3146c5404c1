"""The last measurement side by side: who is in it, and how often."""

from dataclasses import replace

import pytest
from recipes import run

from millis.benchmark.latency import Measurement
from millis.errors import MillisError
from millis.pipeline import study
from millis.pipeline.place import Place
from millis.pipeline.study import Study
from millis.record import Record

SERVED = [0, 1, 2, 3] * 3
SEARCH = Study("search", {"quality": "maximize", "latency_p50_ms": "minimize"})


def record(name, validation, processes_ms, kind="student"):
    samples = [[processes_ms[process]] * 5 for process in SERVED]
    middle = sorted(processes_ms)[2]
    metrics = {"accuracy": 50.0, "validation_accuracy": validation, "latency_p50_ms": middle, "peak_memory_bytes": 1.0}
    return Record(
        id=name, name=name, kind=kind, metrics=metrics, intervals={}, quality="accuracy", config={}, seed=0,
        artifact="", predictions=[0, 1], references=[0, 0], latency_ms=samples,
        reference_latency_ms=samples, stages_ms={}, parity={}, environment={"measuring": []}, processes=SERVED,
    )  # fmt: skip


def measured(one):
    return Measurement(
        one.metrics, {}, one.latency_ms, one.reference_latency_ms, {}, ["noted"], {"rounds": 12}, one.processes
    )


NEAR = (1.0, 1.1, 1.2, 1.3)  # a limit of 1.2 ms is kept with 77 %, see `test_measure`
RECORDS = [record("teacher", 95, [9.0] * 4, "teacher"), record("near", 92, NEAR), record("small", 88, [0.5] * 4)]


@pytest.mark.parametrize(
    ("limit", "near", "passed_over", "runs"),
    [
        (None, 92, (), [0]),
        (1.2, 92, (), [0, 1, 2, 3]),  # `near` would be picked if it kept the limit
        (1.2, 92, ("near",), [0]),  # it would not: a baseline is as good
        (1.2, 80, (), [0]),  # nor here: `small` is better
        (3.0, 92, (), [0]),
    ],
)
def test_runs_are_added_while_they_could_change_what_is_picked(monkeypatch, limit, near, passed_over, runs):
    named = [RECORDS[0], record("near", near, NEAR), RECORDS[2]]
    made = []

    def together(run, contenders, number):
        made.append(number)
        return {one.name: measured(one) for one in contenders}

    monkeypatch.setattr(study, "_together", together)
    asked = run(budget={"latency_p50_ms": limit})
    again, names = study._side_by_side(asked, named, named[1:], passed_over)
    assert made == runs and names == {"near", "small"}
    assert again[0] == named[0], "who was not in it keeps what it had"
    assert [len(set(one.processes)) for one in again] == [4, 4 * len(runs), 4 * len(runs)]
    assert again[1].notes == ["noted"] and again[1].environment["measuring"] == ["noted"]


def test_who_may_be_picked_is_measured_side_by_side_though_it_is_on_no_frontier(monkeypatch, tmp_path):
    # Of equal latency, `chosen` is worse on the test split, which the frontier is of, and better on validation.
    chosen = replace(record("chosen", 93, [0.5] * 4), predictions=[1, 1])
    better = replace(record("better", 90, [0.5] * 4), predictions=[0, 0])
    for one, right in ((chosen, 0.0), (better, 100.0)):
        one.metrics["accuracy"] = right
    contenders = []

    def side_by_side(run, named, among, passed_over):
        contenders.extend(one.name for one in among)
        raise InterruptedError

    monkeypatch.setattr(study, "_side_by_side", side_by_side)
    for limit, expected in ((None, ["teacher", "better"]), (2.0, ["teacher", "chosen", "better"])):
        contenders.clear()
        asked = run(budget={"latency_p50_ms": limit}, place=Place.under(tmp_path))
        with pytest.raises(InterruptedError):
            study.conclude(asked, SEARCH, [RECORDS[0], chosen, better], [], {})
        assert contenders == expected


def test_what_a_budget_passes_over_is_no_contender_for_it(monkeypatch, tmp_path):
    """`near` may keep the limit and is best on validation, but on no frontier; so it is measured only to be picked."""
    near = replace(record("near", 93, NEAR), predictions=[1, 1])
    better = replace(record("better", 90, [0.5] * 4), predictions=[0, 0])
    for one, right in ((near, 0.0), (better, 100.0)):
        one.metrics["accuracy"] = right
    asked = run(budget={"latency_p50_ms": 1.2}, place=Place.under(tmp_path))
    contenders = []

    def side_by_side(run, named, among, passed_over):
        contenders.append([one.name for one in among])
        raise InterruptedError

    monkeypatch.setattr(study, "_side_by_side", side_by_side)
    for unbeaten in ({}, {"near": "majority"}):
        monkeypatch.setattr(study.Frontier, "unbeaten", unbeaten)
        with pytest.raises(InterruptedError):
            study.conclude(asked, SEARCH, [RECORDS[0], near, better], [], {})
    assert contenders == [["teacher", "near", "better"], ["teacher", "better"]]


def test_quality_is_the_tasks_metric_and_the_other_directions_stay():
    assert SEARCH.objectives("macro_f1") == {"macro_f1": "maximize", "latency_p50_ms": "minimize"}


def test_a_search_for_the_worse_quality_is_refused():
    SEARCH.check("accuracy", "higher")
    Study("sizes", {"size_bytes": "minimize"}).check("accuracy", "lower")
    with pytest.raises(MillisError) as caught:
        SEARCH.check("accuracy", "lower")
    assert str(caught.value) == (
        "study.directions.quality=maximize, but of accuracy lower is better: expected minimize"
    )
