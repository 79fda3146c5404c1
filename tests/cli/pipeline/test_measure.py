"""What a recipe is called, and how long it is measured."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from millis.benchmark.latency import Measurement
from millis.cli.hydra_app import composed
from millis.cli.pipeline import measure
from millis.cli.pipeline.measure import judged_latency, of_run, recipe_name


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], "fp32"),
        (["quantization=dynamic"], "int8"),
        (["quantization=dynamic", "storage=shared"], "int8 shared 4"),
        (["backend=openvino"], "fp32 openvino"),
        (["backend=openvino", "backend.precision=bf16"], "bf16 openvino"),
        (["backend=openvino", "backend.precision=bf16", "quantization=static"], "int8 static openvino"),
        (["backend=cuda", "backend.precision=fp16"], "fp16 cuda"),
        (["backend.device=cuda"], "fp32 onnxruntime cuda"),
    ],
)
def test_a_name_tells_bits_storage_and_where_it_runs(overrides, words):
    cfg = composed("compress", ["quantization=none", *overrides])
    assert recipe_name(cfg, SimpleNamespace(name="static 192")) == f"static 192 {words}"


TEACHER = SimpleNamespace(folder=Path("teacher"))


@pytest.mark.parametrize(
    ("command", "overrides", "quantile"),
    [
        ("compress", [], None),
        ("compress", ["budget.latency_p50_ms=2"], None),
        ("compress", ["budget.latency_p99_ms=2"], 0.99),
        ("compress", ["benchmark.quantile=0.9", "budget.latency_p50_ms=2"], 0.9),
        ("compress", ["benchmark.quantile=0.999", "budget.latency_p99_ms=2"], 0.999),
        ("sweep", [], None),
        ("sweep", ["+study.directions.latency_p99_ms=minimize"], 0.99),
    ],
)
def test_a_limit_or_an_objective_on_the_tail_asks_for_its_requests(command, overrides, quantile):
    cfg = composed(command, overrides)
    with of_run(cfg, TEACHER, 2) as asked:
        assert (asked.benchmark.quantile, asked.benchmark.seed) == (quantile, 2)
    assert cfg.benchmark.seed == 0


class Bench:
    """Says whether it was closed."""

    closed = False

    def close(self):
        self.closed = True


def test_processes_of_a_further_run_end_with_it(monkeypatch):
    cfg = composed("compress", [])
    benches = {}
    monkeypatch.setattr(measure, "_benches", benches)
    for run in (0, 1):
        with of_run(cfg, TEACHER, run) as asked:
            benches[TEACHER.folder, measure.instantiate(asked.benchmark)] = Bench()
        (first, *more) = benches.values()
        assert not first.closed and not more


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

    def latency_of(cfg, teacher, planned, model=None):
        seeds.append(cfg.benchmark.seed)
        return measurement([1.0, 1.1, 1.2, 1.3])

    monkeypatch.setattr(measure, "latency_of", latency_of)
    cfg = composed("compress", [] if limit is None else [f"budget.latency_p50_ms={limit}"])
    found = judged_latency(cfg, TEACHER, SimpleNamespace(name="student"))
    assert seeds == list(range(runs))
    assert len(set(found.processes)) == 4 * runs
