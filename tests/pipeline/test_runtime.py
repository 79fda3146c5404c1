from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
from recipes import run

from millis.backends.eager import Eager
from millis.backends.native import Native
from millis.backends.onnxruntime import OnnxRuntime
from millis.cli.hydra_app import composed
from millis.cli.targets import instantiate
from millis.described import described
from millis.errors import MillisError, Unavailable
from millis.pipeline import runtime
from millis.pipeline.recipe import USUAL
from millis.pipeline.runtime import Auto, Candidate, First, fastest, usual, with_runtime
from millis.quantization.spec import Calibration, Quantization

FAST = Candidate("fast", "", 4.0, 2.0, 0.99)
SLOW = Candidate("slow", "", 2.0, 4.0, 1.0)
WRONG = Candidate("wrong", "agrees with eager on less than 90%", 9.0, 0.9, 0.5)
GONE = Candidate("gone", "it is not installed: pip install 'millis[gone]'")


def test_the_fastest_that_agrees_is_taken_and_the_others_are_told():
    choice = fastest((GONE, SLOW, WRONG, FAST))
    assert choice.name == "fast"
    assert choice.sentence() == (
        "backend=auto took fast 2.00 ms, 4.00×, 99.0% the same answer. Before training, beside it: "
        "slow 4.00 ms, 2.00×, 100.0% the same answer; "
        "wrong 0.900 ms, 9.00×, 50.0% the same answer (agrees with eager on less than 90%); "
        "gone: it is not installed: pip install 'millis[gone]'"
    )


def test_an_only_candidate_is_said_to_be_one():
    assert fastest((FAST,)).sentence().endswith("Before training, beside it: there was no other")


def test_no_candidate_is_an_error_with_every_reason():
    with pytest.raises(
        MillisError, match=r"can take none of its candidates \(wrong .*less than 90%\); gone: it is not"
    ):
        fastest((WRONG, GONE))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates": {}}, r"backend=auto has no candidates: expected at least one"),
        ({"agreement": 90}, r"backend.agreement=90: expected a share from 0 to 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes, message):
    with pytest.raises(MillisError, match=message):
        replace(Auto({"eager": Eager()}), **changes)


def test_a_named_runtime_is_left_alone():
    named = run()
    found, choice = with_runtime(named)
    assert found is named and choice is None


class Bench:
    """Measures what it is given, unless something that `fails` is among it."""

    def __init__(self, *fails):
        self.fails, self.asked, self.error = fails, [], MillisError

    def measure(self, folders):
        self.asked.append(list(folders))
        for name in folders:
            if name in self.fails:
                raise self.error(f"{name} died")
        return {name: SimpleNamespace(metrics={"speedup": 2.0, "latency_p50_ms": 1.0}) for name in folders}


@pytest.fixture
def settle(asked, monkeypatch):
    """Runs `backend=auto` over eager and ONNX Runtime with a bench in which some fail."""

    def settled(bench, rounds):
        monkeypatch.setattr(runtime, "open_bench", lambda *_: nullcontext(bench))
        auto, plain = Auto({"eager": Eager(), "onnxruntime": OnnxRuntime()}, rounds=rounds), asked()
        return with_runtime(plain.with_recipe(replace(plain.recipe, backend=auto)))

    return settled


def test_a_candidate_that_fails_while_it_is_timed_is_refused_and_the_others_go_on(settle):
    bench = Bench("eager")
    found, choice = settle(bench, rounds=3)
    assert bench.asked == [["eager", "onnxruntime"], ["eager"], ["onnxruntime"]]
    assert choice.name == "onnxruntime" and found.recipe.backend == OnnxRuntime()
    assert choice.candidates[1] == Candidate("eager", "eager died")
    assert choice.sentence().endswith("beside it: eager: eager died")


@pytest.mark.parametrize("attempts", [1, 2])
def test_an_agent_that_is_away_is_no_fault_of_the_candidates(settle, attempts):
    bench = Bench("eager")
    bench.error = lambda text: MillisError(text) if len(bench.asked) < attempts else Unavailable(text)
    rounds = 5 + attempts
    with pytest.raises(Unavailable, match="eager died"):
        settle(bench, rounds)
    _, choice = settle(Bench(), rounds)
    assert len(choice.candidates) == 2, "nothing was kept"


def test_candidates_that_all_fail_are_an_error_and_nothing_is_kept(settle):
    with pytest.raises(
        MillisError, match=r"none of its candidates \(eager: eager died; onnxruntime: onnxruntime died\)"
    ):
        settle(Bench("eager", "onnxruntime"), rounds=4)
    _, choice = settle(well := Bench(), rounds=4)
    assert well.asked == [["eager", "onnxruntime"]]
    assert not any(candidate.refused for candidate in choice.candidates)


class Unbuilt(Native):
    """The native runtime of a machine without a compiler."""

    def missing(self):
        return "it was not compiled"


STATIC = Quantization(activations="static", calibration=Calibration(texts=8))


@pytest.mark.skipif(Native().missing() is not None, reason="the native part is not built")
@pytest.mark.parametrize(
    ("candidates", "quantization", "name", "note"),
    [
        ([Native(), OnnxRuntime()], Quantization(), "native", None),
        ([Native(), OnnxRuntime()], STATIC, "onnxruntime", "onnxruntime runs it; native: backend=native got a quantiz"),
        ([Unbuilt(), OnnxRuntime()], Quantization(), "onnxruntime", "onnxruntime runs it; native: it was not compiled"),
        ([OnnxRuntime(), Native()], None, "onnxruntime", None),
    ],
)
def test_the_first_that_can_run_a_recipe_is_taken(asked, candidates, quantization, name, note):
    plain = asked()
    first = First({one.name: one for one in candidates})
    found, choice = with_runtime(plain.with_recipe(replace(plain.recipe, backend=first, quantization=quantization)))
    assert found.recipe == replace(plain.recipe, backend=found.recipe.backend, quantization=quantization)
    assert found.recipe.backend.name == name
    assert (None if choice is None else choice.sentence()[: len(note)]) == note


def test_where_none_can_each_ones_reason_is_said(asked):
    plain = asked()
    with pytest.raises(MillisError, match=r"no backend can run this recipe \(native: it was not compiled\)"):
        with_runtime(plain.with_recipe(replace(plain.recipe, backend=First({"native": Unbuilt()}))))


def test_an_agent_without_a_runtime_gets_no_artifact_of_it(asked, monkeypatch):
    absent = {"native": "the agent has no native"}
    monkeypatch.setattr(runtime, "lacking", lambda name, options: absent.get(name))
    found, choice = with_runtime(asked())
    assert found.recipe.backend == OnnxRuntime()
    assert choice.sentence() == "onnxruntime runs it; native: the agent has no native"


def test_the_usual_is_what_the_config_says():
    assert next(iter(usual().candidates)) == USUAL
    assert described(instantiate(composed("compress", []).backend)) == described(usual())
