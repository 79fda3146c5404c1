"""What `millis benchmark` refuses to say of an artifact whose requests do not all cost the same."""

import pytest
from signatures import answering
from specs import transformer

from millis.benchmark.latency import HERE
from millis.errors import MillisError
from millis.pipeline.analysis import Analysis, check
from millis.storage.cascade_spec import CASCADE, CascadeSpec
from millis.storage.manifest import Manifest

BOTH = CascadeSpec(threshold=0.5, members={"fast": {"backend": "eager"}, "accurate": {"backend": "eager"}})


def manifest(backend="onnxruntime", options=(), **spec):
    spec = BOTH if backend == CASCADE else transformer(**spec)
    return Manifest("tiny", backend, spec, answering("no", "yes"), ("input_ids",), 8, options=dict(options))


@pytest.mark.parametrize("asked", ["limit", "profile"])
@pytest.mark.parametrize(
    "dynamic",
    [manifest(tokens=[0, 1]), manifest(exits=[0]), manifest(CASCADE)],
    ids=["tokens", "exits", "cascade"],
)
def test_what_every_request_costs_is_not_told_of_a_dynamic_model(asked, dynamic):
    with pytest.raises(MillisError, match=f"{asked}=true is about .*, and 'dynamic' computes more for one than for"):
        check(Analysis(**{asked: True}), HERE, {"plain": manifest(), "dynamic": dynamic})


@pytest.mark.parametrize("fast", [manifest("cuda"), manifest(options={"device": "cuda"})], ids=["cuda", "onnxruntime"])
@pytest.mark.parametrize("asked", ["limit", "profile"])
def test_what_is_told_is_told_of_the_processor(asked, fast):
    with pytest.raises(MillisError, match=f"{asked}=true is about this machine's processor, and 'fast' runs on a GPU"):
        check(Analysis(**{asked: True}), HERE, {"plain": manifest(), "fast": fast})


@pytest.mark.parametrize("asked", ["limit", "profile", "curves"])
def test_of_another_machine_only_latency_is_told(asked):
    with pytest.raises(
        MillisError, match=f"{asked}=true is about the machine it runs on, and benchmark.where=http://ph"
    ):
        check(Analysis(**{asked: True}), "http://phone:1", {"plain": manifest()})


def test_an_agent_takes_no_cascade():
    with pytest.raises(MillisError, match=r"'both' is a cascade, and an agent takes artifacts of one model"):
        check(Analysis(), "http://phone:1", {"plain": manifest(), "both": manifest(CASCADE)})


def test_other_models_are_told_of():
    check(Analysis(limit=True), HERE, {"plain": manifest(exits=None, tokens=[])})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            Analysis(goal="latent"),
            "goal='latent' is unknown: expected one of latency, throughput (did you",
        ),
        (Analysis(goal="throughput", curves=True), "goal=throughput needs the latency it may cost: add bound_ms=..."),
        (Analysis(goal="latency"), "goal=latency is read off the curves: add curves=true"),
    ],
)
def test_a_goal_that_cannot_be_is_refused(asked, message):
    with pytest.raises(MillisError) as caught:
        check(asked, HERE, {})
    assert str(caught.value).startswith(message)
