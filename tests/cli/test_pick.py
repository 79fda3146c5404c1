"""`millis pick` prints what was looked at and what the budget takes; its keys reach what picks."""

from types import SimpleNamespace

import pytest

from millis.backends.onnxruntime import OnnxRuntime
from millis.budget import pick as choice_of
from millis.cli import pick as command
from millis.cli.hydra_app import settled
from millis.data.local import Local
from millis.elastic.setting import Setting
from millis.pipeline.compress import Compressed, Skipped
from millis.pipeline.pick import Member, Picked
from millis.record import Record, read_records

LIMITS = {"latency_p50_ms": 1.0, "latency_p99_ms": None, "quality_drop": None, "size_bytes": None, "probability": 0.95}
SERVED = [0, 1, 2, 3] * 3


def record(name, quality, ms):
    samples = [[ms] * 5 for _ in SERVED]
    metrics = {
        "accuracy": quality - 1, "validation_accuracy": quality, "latency_p50_ms": ms, "latency_p99_ms": ms,
        "speedup": 10 / ms, "size_bytes": 1e6,
    }  # fmt: skip
    return Record(
        id=name, name=name, kind="student", metrics=metrics, intervals={}, quality="accuracy", config={}, seed=0,
        artifact=f"outputs/artifacts/{name}", predictions=[0, 1], references=[0, 0], latency_ms=samples,
        reference_latency_ms=samples, stages_ms={}, parity={}, environment={"measuring": []}, processes=SERVED,
        notes=["a note of it"],
    )  # fmt: skip


@pytest.fixture
def picked():
    best = record("elastic 2x384 int8", 90.0, 0.8)
    over = Skipped(
        "elastic 3x384 int8", SimpleNamespace(metrics={"latency_p50_ms": 1.25}), {"latency_p50_ms": 0.25}, 0.0
    )
    foretold = {"latency_p50_ms": 0.75}
    members = [
        Member("elastic 3x384", Setting(3, 384, 12, 1536), 92.5, {"latency_p50_ms": 0.99}, over),
        Member("elastic 2x384", Setting(2, 384, 12, 1536), 90.4, foretold, Compressed(best, 0.0, {}, 0.97)),
        Member("elastic 1x384", Setting(1, 384, 12, 1536), 85.0, {"latency_p50_ms": 0.4}),
    ]
    return Picked(members, best, choice_of([best], LIMITS))


def test_what_is_printed_and_written(picked, monkeypatch, tmp_path, capsys):
    asked = []

    def bundled_run(*given, **options):
        asked.append((given, options))
        return SimpleNamespace(teacher=SimpleNamespace(inputs=SimpleNamespace(metric=SimpleNamespace(better="higher"))))

    monkeypatch.setattr(command, "bundled_run", bundled_run)
    monkeypatch.setattr(command, "pick", lambda *given: asked.append(given) or picked)
    cfg = settled("pick", [
        "artifact=outputs/elastic/mine", "budget.latency_p50_ms=1", "backend=onnxruntime", "quantization=none",
        "data=local", "data.path=there", "student.layers=2", "finalists=5", "benchmark.threads=2",
        f"paths.outputs={tmp_path}",
    ])  # fmt: skip
    assert command.run(cfg) is picked
    ((folder, place, data), options), (_, sizes, finalists) = asked
    assert (str(folder), place.outputs, data) == ("outputs/elastic/mine", tmp_path, Local("there"))
    assert (options["backend"], options["quantization"]) == (OnnxRuntime(), None)
    assert options["benchmark"].threads == 2 and options["budget"] == LIMITS
    assert sizes == {"layers": 2, "hidden_size": None, "heads": None, "ffn_size": None} and finalists == 5
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    cells = [line.split("  ") for line in lines]
    found = {row[0].strip(): [cell.strip() for cell in row[1:] if cell.strip()] for row in cells}
    assert found["elastic 3x384"] == ["92.5", "0.990 ms", "1.25 ms", "< 1 %"]
    assert found["elastic 2x384"] == ["90.4", "90.0", "0.750 ms", "0.800 ms", "97 %"]
    assert found["elastic 1x384"] == ["85.0", "0.400 ms"]
    assert "a note of it" in lines
    assert any(
        line.startswith("elastic 2x384 int8 keeps the budget (p50 ≤ 1 ms) with probability > 99 %") for line in lines
    )
    [written] = tmp_path.glob("pick/*/records.jsonl")
    assert [one.name for one in read_records(written)] == ["elastic 2x384 int8"]


def test_data_are_where_they_were_unless_they_are_named():
    assert "data" not in settled("pick", ["artifact=a"])
