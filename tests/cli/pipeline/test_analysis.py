"""What `millis benchmark` refuses to say of an artifact whose requests do not all cost the same."""

import pytest
from signatures import answering

from millis.cli.hydra_app import composed
from millis.cli.pipeline.analysis import check
from millis.errors import MillisError
from millis.storage.manifest import CASCADE, Manifest


def manifest(backend="onnxruntime", options=(), **spec):
    return Manifest("tiny", backend, spec, answering("no", "yes"), ("input_ids",), 8, options=dict(options))


@pytest.mark.parametrize("asked", ["limit", "profile"])
@pytest.mark.parametrize(
    "dynamic",
    [manifest(tokens=[0, 1]), manifest(exits=[0]), manifest(CASCADE)],
    ids=["tokens", "exits", "cascade"],
)
def test_what_every_request_costs_is_not_told_of_a_dynamic_model(asked, dynamic):
    cfg = composed("benchmark", ["artifacts=[a,b]", f"{asked}=true"])
    with pytest.raises(MillisError, match=f"{asked}=true is about .*, and 'dynamic' computes more for one than for"):
        check(cfg, {"plain": manifest(), "dynamic": dynamic})


@pytest.mark.parametrize("fast", [manifest("cuda"), manifest(options={"device": "cuda"})], ids=["cuda", "onnxruntime"])
@pytest.mark.parametrize("asked", ["limit", "profile"])
def test_what_is_told_is_told_of_the_processor(asked, fast):
    cfg = composed("benchmark", ["artifacts=[a,b]", f"{asked}=true"])
    with pytest.raises(MillisError, match=f"{asked}=true is about this machine's processor, and 'fast' runs on a GPU"):
        check(cfg, {"plain": manifest(), "fast": fast})


@pytest.mark.parametrize("asked", ["limit", "profile", "curves"])
def test_of_another_machine_only_latency_is_told(asked):
    cfg = composed("benchmark", ["artifacts=[a]", "benchmark.where=http://phone:1", f"{asked}=true"])
    with pytest.raises(
        MillisError, match=f"{asked}=true is about the machine it runs on, and benchmark.where=http://ph"
    ):
        check(cfg, {"plain": manifest()})


def test_an_agent_takes_no_cascade():
    cfg = composed("benchmark", ["artifacts=[a,b]", "benchmark.where=http://phone:1"])
    with pytest.raises(MillisError, match=r"'both' is a cascade, and an agent takes artifacts of one model"):
        check(cfg, {"plain": manifest(), "both": manifest(CASCADE)})


def test_other_models_are_told_of():
    check(composed("benchmark", ["artifacts=[a]", "limit=true"]), {"plain": manifest(exits=None, tokens=[])})
