from dataclasses import replace
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from millis.backends.eager import Eager
from millis.cli.pipeline.runtime import Auto, Candidate, choose, settled_backend
from millis.errors import MillisError

FAST = Candidate("fast", "", 4.0, 2.0, 0.99)
SLOW = Candidate("slow", "", 2.0, 4.0, 1.0)
WRONG = Candidate("wrong", "agrees with eager on less than 90%", 9.0, 0.9, 0.5)
GONE = Candidate("gone", "it is not installed: pip install 'millis[gone]'")


def test_the_fastest_that_agrees_is_taken_and_the_others_are_told():
    choice = choose((GONE, SLOW, WRONG, FAST))
    assert choice.name == "fast"
    assert choice.sentence() == (
        "backend=auto took fast 2.00 ms, 4.00×, 99.0% the same label. Before training, beside it: "
        "slow 4.00 ms, 2.00×, 100.0% the same label; "
        "wrong 0.900 ms, 9.00×, 50.0% the same label (agrees with eager on less than 90%); "
        "gone: it is not installed: pip install 'millis[gone]'"
    )


def test_an_only_candidate_is_said_to_be_one():
    assert choose((FAST,)).sentence().endswith("Before training, beside it: there was no other")


def test_no_candidate_is_an_error_with_every_reason():
    with pytest.raises(
        MillisError, match=r"can take none of its candidates \(wrong .*less than 90%\); gone: it is not"
    ):
        choose((WRONG, GONE))


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
    cfg = OmegaConf.create({"backend": {"_target_": "millis.backends.eager.Eager"}})
    assert settled_backend(cfg, SimpleNamespace()) == (cfg, None)
