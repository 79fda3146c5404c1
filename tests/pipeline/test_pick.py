"""The student of elastic weights that keeps a budget: which are made, what is picked, and what is refused."""

from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.backends.cuda import Cuda
from millis.backends.native import Native
from millis.backends.onnxruntime_genai import OnnxRuntimeGenai
from millis.benchmark.latency import Measurement, Options
from millis.cli.recipes import bundled_run
from millis.elastic.latency import SettingTable, probes
from millis.elastic.setting import Setting
from millis.errors import MillisError
from millis.pipeline import pick as picking
from millis.pipeline.bundle import bundled
from millis.pipeline.compress import Compressed, Skipped
from millis.pipeline.elastic import ensure_elastic
from millis.pipeline.pick import largest_within, pick
from millis.pipeline.place import Place
from millis.pipeline.student import plan
from millis.quantization.spec import Quantization
from millis.record import Record
from millis.storage.manifest import open_manifest

SIZES = ["student=elastic", "student.elastic.layers=[1,2]", "student.elastic.heads=[1.0]", "student.elastic.samples=8"]
BRIEF = Options(rounds=3, requests=4, warmup_seconds=0.2, settle_ms=0, processes=1)


@pytest.fixture(scope="module")
def folder(asked):
    run = asked(*SIZES)
    ensure_elastic(run)
    return bundled(run)


@pytest.fixture(scope="module")
def found(folder):
    """Makes a run under the bundled weights."""

    def make(backend=None, **budget):
        return bundled_run(
            folder, Place.under(folder.parents[1]), backend=backend or Native(), quantization=Quantization(),
            benchmark=BRIEF, budget=budget,
        )  # fmt: skip

    return make


class Machine:
    """Latencies by the sum 0.1 + L · (0.1 + neurons / 1000) ms, `slower` than what the table was measured with; 1000
    bytes a layer and 10 a neuron; the quality of a student is ten times its layers and a thousandth of its neurons."""

    def __init__(self, slower=1.0, noise=0.0, deeper=1.0):
        self.slower, self.noise, self.deeper, self.made = slower, noise, deeper, []

    def ms(self, setting):
        return 0.1 + setting.layers * (0.1 + setting.ffn / 1000)

    def quality(self, setting):
        return 10 * setting.layers + setting.ffn / 1000

    def size(self, setting):
        return 1000 * setting.layers + 10 * setting.ffn

    def bytes(self, run, axes):
        return SettingTable.from_probes(axes, {one: [self.size(one)] for one in probes(axes)})

    def table(self, run, axes, quantiles):
        return SettingTable.from_probes(axes, {one: [self.ms(one)] for one in probes(axes)}, quantiles)

    def compress(self, run):
        setting = run.recipe.student.setting(run.teacher.manifest.spec)
        self.made.append(setting)
        ms = self.slower * self.ms(setting) * (self.deeper if setting.layers == 2 else 1.0)
        samples, limit = [[ms] * 4] * 12, run.budget["latency_p50_ms"]
        metrics = {"latency_p50_ms": ms, "latency_p99_ms": ms, "speedup": 1 / ms, "size_bytes": self.size(setting)}
        over = {"latency_p50_ms": ms / limit - 1}
        if "size_bytes" in run.budget:
            over["size_bytes"] = metrics["size_bytes"] / run.budget["size_bytes"] - 1
        served = [0, 1, 2, 3] * 3
        if max(over.values()) > 0:
            measured = Measurement(metrics, {}, samples, samples, {}, [], {}, served)
            return Skipped(run.recipe.student.describe(plan(run).spec), measured, over, float(ms <= limit))
        quality = self.quality(setting) - self.noise * (setting.layers == 2)
        record = self.record(str(setting), "student", metrics, quality, samples, served)
        return Compressed(record, 0.0, over, 1.0)

    def record(self, name, kind, metrics, quality, samples, served):
        return Record(
            id=name, name=name, kind=kind,
            metrics={**metrics, "accuracy": quality, "validation_accuracy": quality}, intervals={}, quality="accuracy",
            config={}, seed=0, artifact="a", predictions=[0, 1], references=[0, 0], latency_ms=samples,
            reference_latency_ms=samples, stages_ms={}, parity={}, environment={"measuring": []}, processes=served,
        )  # fmt: skip

    def teacher(self, run):
        metrics = {"latency_p50_ms": 9.0, "latency_p99_ms": 9.0, "speedup": 1.0, "size_bytes": 9e9}
        return self.record("teacher", "teacher", metrics, 25.0, [[9.0] * 4] * 12, [0, 1, 2, 3] * 3)


@pytest.fixture
def machine(monkeypatch):
    """Puts a made-up machine in the place of training and measuring."""

    def make(**how):
        made = Machine(**how)
        monkeypatch.setattr(picking, "ensure_table", made.table)
        monkeypatch.setattr(picking, "ensure_bytes", made.bytes)
        monkeypatch.setattr(picking, "teacher_record", made.teacher)
        monkeypatch.setattr(picking, "compress", made.compress)
        monkeypatch.setattr(picking, "_judged", lambda run, settings: {one: made.quality(one) for one in settings})
        return made

    return make


# The teacher has 2 layers, 2 heads and 64 neurons; of these 16, 32, 48 and 64 are trained.
# 2 layers: 0.332, 0.364, 0.396, 0.428 ms; 1 layer: 0.216, 0.232, 0.248, 0.264 ms.


def test_the_best_that_keeps_the_budget(found, machine):
    made = machine()
    picked = pick(found(latency_p50_ms=0.4))
    assert made.made == [Setting(2, 32, 2, 48), Setting(1, 32, 2, 64)]  # of the rest each is a part of one of these
    assert picked.record.name == str(Setting(2, 32, 2, 48))
    assert picked.choice.kept and picked.choice.metrics["latency_p50_ms"] == pytest.approx(0.396)
    assert [one.predicted_ms["latency_p50_ms"] for one in picked.members] == pytest.approx([0.396, 0.264])


def test_finalists_are_limited_and_what_is_deployed_decides(found, machine):
    made = machine()
    assert pick(found(latency_p50_ms=0.4), finalists=1).record.name == str(Setting(2, 32, 2, 48))
    assert len(made.made) == 1
    machine(noise=15.0)  # rounding costs those of two layers 15 points
    assert pick(found(latency_p50_ms=0.4)).record.name == str(Setting(1, 32, 2, 64))


def test_a_table_that_was_too_quick_is_corrected(found, machine):
    made = machine(slower=1.2)  # 2 layers of 16: 0.398; of 32: 0.437
    picked = pick(found(latency_p50_ms=0.4), finalists=1)
    assert made.made == [Setting(2, 32, 2, 48), Setting(2, 32, 2, 16)]
    assert picked.record.name == str(Setting(2, 32, 2, 16))


def test_a_table_that_was_too_slow_is_corrected(found, machine):
    made = machine(slower=0.7)
    picked = pick(found(latency_p50_ms=0.35), finalists=1)
    assert made.made == [Setting(2, 32, 2, 24), Setting(2, 32, 2, 64)]  # foretold 0.348 and, of what took 0.3, 0.428
    assert picked.record.name == str(Setting(2, 32, 2, 64)) and picked.choice.kept


def test_what_is_larger_than_one_that_does_not_fit_is_not_tried(found, machine):
    """One layer takes half of what was foretold, two take 5 % more: on the whole the table is scaled down."""
    made = machine(slower=0.5, deeper=2.1)
    pick(found(latency_p50_ms=0.4))
    assert made.made[:3] == [Setting(2, 32, 2, 48), Setting(1, 32, 2, 64), Setting(2, 32, 2, 44)]


def test_where_nothing_is_foretold_within_the_limit_the_fastest_tells_what_the_table_is_worth(found, machine):
    made = machine(slower=0.7)  # 1 layer: 0.216 is foretold of the fastest, and the largest takes 0.185
    assert pick(found(latency_p50_ms=0.2)).record.name == str(Setting(1, 32, 2, 64))
    assert made.made == [Setting(1, 32, 2, 16), Setting(1, 32, 2, 64)]


def test_what_is_too_large_is_not_looked_at(found, machine):
    made = machine()
    picked = pick(found(latency_p50_ms=0.4, size_bytes=2400))
    assert made.made == [Setting(2, 32, 2, 40), Setting(1, 32, 2, 64)]
    assert picked.record.name == str(Setting(2, 32, 2, 40)) and picked.choice.kept


@pytest.mark.parametrize(("drop", "kept"), [(5.0, True), (1.0, False)])
def test_a_drop_of_quality_that_is_allowed(found, machine, drop, kept):
    """The teacher has 25, the best within the time 20: the fastest would be no nearer."""
    made = machine()
    picked = pick(found(latency_p50_ms=0.4, quality_drop=drop))
    assert picked.record.name == str(Setting(2, 32, 2, 48)) and picked.choice.kept is kept
    assert made.made == [Setting(2, 32, 2, 48), Setting(1, 32, 2, 64)]


def test_sizes_that_are_asked_for(found, machine):
    made = machine()
    pick(found(latency_p50_ms=0.4), {"layers": 2, "ffn_size": 40, "heads": None})
    assert made.made == [Setting(2, 32, 2, 40)]  # between two that were trained


def test_neurons_between_those_that_were_trained_are_tried(found, machine):
    made = machine()
    pick(
        found(latency_p50_ms=0.36), finalists=1
    )  # 2 layers of 30 neurons; in 16ths of 64, 28, and 16 and 32 were trained
    assert made.made == [Setting(2, 32, 2, 28)]


def test_no_student_keeps_the_budget(found, machine):
    machine()
    message = (
        r"^no student of these elastic weights keeps the budget \(p50 ≤ 0.2 ms\): the fastest, elastic 1x32 f16, "
        r"was measured at p50 0.216 ms \(limit 0.2 ms\). Raise the budget, choose another backend or quantization, or "
    )
    with pytest.raises(MillisError, match=message):
        pick(found(latency_p50_ms=0.2))


def test_sizes_that_were_not_trained(found):
    message = "^student.layers=3 is 3, and the elastic weights are trained at 1 to 2: choose one of these, or train oth"
    with pytest.raises(MillisError, match=message):
        pick(found(latency_p50_ms=1.0), {"layers": 3})


def test_a_size_that_there_is_not(found):
    with pytest.raises(
        MillisError, match=r"^a student has no size 'layer' \(did you mean 'layers'\?\): expected layers, hi"
    ):
        pick(found(latency_p50_ms=1.0), {"layer": 2})


def test_no_limit_of_latency(found):
    with pytest.raises(
        MillisError, match=r"^millis pick looks for the best student within a time, and the budget has n"
    ):
        pick(found(quality_drop=1.0))


def test_no_finalists(found):
    with pytest.raises(MillisError, match=r"^finalists=0: expected at least 1$"):
        pick(found(latency_p50_ms=1.0), finalists=0)


def test_measured_and_exported(found):
    """With the clock of this machine: a budget that every student keeps takes the largest ones."""
    run = found(latency_p50_ms=1000.0)
    picked = pick(run, finalists=1)
    assert picked.record.name == "elastic 2x32 f64 int8"
    assert open_manifest(Path(picked.record.artifact)).spec.layers == 2
    assert picked.choice.sentence().startswith(
        "elastic 2x32 f64 int8 keeps the budget (p50 ≤ 1000 ms) with probability"
    )
    [member] = picked.members
    assert 0 < member.predicted_ms["latency_p50_ms"] < 1000
    run, _ = picking.with_runtime(run)
    foretold = picking.ensure_bytes(run, run.recipe.elastic.axes(run.teacher.manifest.spec))
    assert foretold.latency_ms(member.setting) == pytest.approx(picked.record.metrics["size_bytes"], rel=0.01)
    assert abs(member.quality - picked.record.metrics["validation_accuracy"]) <= 20  # of 15 texts, rounding may flip 3


settings = st.builds(Setting, *[st.integers(1, 3)] * 4)


@given(st.lists(settings))
def test_each_setting_is_a_part_of_one_that_is_left_and_none_of_those_of_another(given):
    left = largest_within(given)

    def part(small, large):
        return all(a <= b for a, b in zip(astuple(small), astuple(large), strict=True))

    assert all(any(part(one, other) for other in left) for one in given)
    assert not any(part(one, other) for one in left for other in left if one != other)


def test_a_backend_that_cannot_run_them(found):
    with pytest.raises(MillisError, match=r"^backend=onnxruntime_genai .*Use backend=native or backend=onnxruntime"):
        found(backend=OnnxRuntimeGenai(), latency_p50_ms=1.0)
    with pytest.raises(MillisError, match=r"^backend=cuda got quantization int8, expected none"):
        pick(found(backend=Cuda(), latency_p50_ms=1.0))
