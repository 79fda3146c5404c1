"""What a recipe is called, and how long it is measured."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from recipes import TEACHER, recipe, run

from millis.backends.eager import Eager
from millis.benchmark.latency import Measurement
from millis.pipeline import measure
from millis.pipeline.measure import judged_latency, recipe_name, repeated


def test_a_name_is_the_architectures_and_what_is_deployed():
    assert recipe_name(recipe(backend=Eager()), SimpleNamespace(name="static 192")) == "static 192 fp32 eager"


class Bench:
    """Says whether it was closed."""

    closed = False

    def close(self):
        self.closed = True


def test_processes_of_a_further_run_end_with_it(monkeypatch):
    benches = {}
    monkeypatch.setattr(measure, "_benches", benches)
    for number in (0, 1):
        with repeated(run(), number) as asked:
            benches[TEACHER.folder, asked.benchmark] = last = Bench()
        (first, *more) = benches.values()
        assert not first.closed and not more
    assert last.closed


def measurement(processes_ms):
    """Of three rounds a process, in each of which every request of one process takes the same."""
    served = [*range(len(processes_ms))] * 3
    samples = [[processes_ms[process]] * 4 for process in served]
    blank = Measurement(
        metrics={"peak_memory_bytes": 1.0}, intervals={}, latency_ms=samples, reference_latency_ms=samples,
        stages_ms={}, notes=[], environment={}, processes=served,
    )  # fmt: skip
    middle = sorted(processes_ms)[len(processes_ms) // 2]
    return replace(blank, metrics={"latency_p50_ms": middle, "speedup": 1.0, "peak_memory_bytes": 1.0})


@pytest.mark.parametrize(
    ("limit", "runs"),
    [
        (None, 1),
        (3.0, 1),  # far above 1.0, 1.1, 1.2, 1.3 ms: surely kept
        (0.5, 1),  # surely broken
        # 1.2 ms: the mean of the logs is 0.135 and s = 0.113, so the limit's log, 0.182, is 0.83 standard errors above
        # it in 4 processes (3 degrees of freedom): 77 %; in 8: 1.27, 88 %; in 12: 1.59, 93 %; in 16: 1.86, 96 %.
        (1.2, 4),
    ],
)
def test_a_latency_near_a_limit_is_measured_again(monkeypatch, limit, runs):
    seeds = []

    def latency_of(asked, planned, model=None):
        seeds.append(asked.benchmark.seed)
        return measurement([1.0, 1.1, 1.2, 1.3])

    monkeypatch.setattr(measure, "latency_of", latency_of)
    found = judged_latency(run(budget={"latency_p50_ms": limit}), SimpleNamespace(name="student"))
    assert seeds == list(range(runs))
    assert len(set(found.processes)) == 4 * runs
