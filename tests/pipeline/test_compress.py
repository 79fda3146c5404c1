"""What is refused before anything is trained, and what is skipped."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from recipes import recipe, tuning

from millis.backends.inductor import Inductor
from millis.benchmark.latency import HERE, Measurement, Options
from millis.errors import MillisError
from millis.generation.draft.smaller_model import SmallerModel
from millis.generation.greedy import Greedy
from millis.pipeline import compress as pipeline
from millis.pipeline.compress import Skipped, check_request, compress


def test_what_no_agent_takes_is_measured_here_only():
    compiled = recipe(backend=Inductor())
    check_request(compiled, tuning(), Options(where=HERE), {})
    check_request(recipe(), tuning(), Options(where="http://phone:1"), {})
    with pytest.raises(MillisError, match=r"'the student' is made by backend=inductor, .* an agent runs no code that"):
        check_request(compiled, tuning(), Options(where="http://phone:1"), {})


def test_no_agent_takes_a_draft_with_a_model_of_its_own():
    drafted = recipe(generation=Greedy(draft=SmallerModel(artifact="smaller")))
    check_request(drafted, tuning(), Options(where=HERE), {})
    with pytest.raises(MillisError, match=r"^generation\.draft has a model of its own, and an agent takes"):
        check_request(drafted, tuning(), Options(where="http://phone:1"), {})


def test_a_draft_is_read_before_anything_is_trained_for_it(asked, monkeypatch, tmp_path):
    monkeypatch.setattr(pipeline, "settled", lambda *_: pytest.fail("the recipe was carried out"))
    run = asked("quantization=dynamic", "backend=onnxruntime")
    drafted = replace(run.recipe, generation=Greedy(draft=SmallerModel(artifact=str(tmp_path))))
    with pytest.raises(MillisError, match=r"is not a millis artifact: it has no manifest"):
        compress(run.with_recipe(drafted))


def test_a_probability_that_is_none_is_refused():
    with pytest.raises(MillisError, match=r"budget\.probability=2"):
        check_request(recipe(), tuning(), Options(), {"probability": 2.0})


@pytest.mark.parametrize("name", ["latency_p50", "latency_p95_ms"])
def test_a_limit_that_there_is_not_is_refused(name):
    with pytest.raises(
        MillisError, match=rf"^budget has '{name}' \(did you mean 'latency_p\d\d_ms'\?\): expected one of lat"
    ):
        check_request(recipe(), tuning(), Options(), {name: 2.0})


def test_what_is_over_a_limit_is_not_trained(asked, monkeypatch):
    samples = [[3.0] * 4] * 12
    measured = Measurement(
        metrics={"latency_p50_ms": 3.0, "size_bytes": 50.0}, intervals={}, latency_ms=samples,
        reference_latency_ms=samples, stages_ms={}, notes=[], environment={}, processes=[0, 1, 2, 3] * 3,
    )  # fmt: skip
    monkeypatch.setattr(pipeline, "judged_latency", lambda *_: measured)
    monkeypatch.setattr(pipeline, "ensure_student", lambda *_: pytest.fail("a student was asked for"))
    outcome = compress(asked("budget.latency_p50_ms=2", "budget.size_bytes=100", "quantization=dynamic"))
    assert outcome == Skipped(
        "transformer 2x32 f64 int8", measured, {"latency_p50_ms": 0.5, "size_bytes": -0.5}, pytest.approx(0, abs=1e-6)
    )


def test_an_archives_size_is_known_when_it_is_there(asked, monkeypatch):
    record = SimpleNamespace(metrics={"size_bytes": 150.0}, name="archived")
    measured = SimpleNamespace(metrics={"size_bytes": 500.0}, latency_ms=[], processes=[])
    monkeypatch.setattr(pipeline, "judged_latency", lambda *_: measured)
    monkeypatch.setattr(pipeline, "ensure_student", lambda *_: (None, SimpleNamespace(seconds=7.0)))
    monkeypatch.setattr(pipeline, "ensure_record", lambda *_: record)
    outcome = compress(asked("budget.size_bytes=100", "storage=archive"))
    assert (outcome.record, outcome.excess, outcome.seconds) == (record, {"size_bytes": 0.5}, 7.0)
