"""Values against the annotations of what they are bound to."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest
from omegaconf import OmegaConf

from millis.cli.hydra_app import composed
from millis.cli.kinds import KEYS, Within, bound, check, check_value, described, fits
from millis.cli.main import COMMANDS
from millis.errors import MillisError
from millis.pruning.schedule import Schedule

SEED = "expected a whole number from 0 to 4294967295"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (int, [0, -3], [1.0, True, "1", None, [1]]),
        (float, [1, 0.5, float("inf")], [True, "1.0", float("nan"), None]),
        (bool, [True], [1, "true", None]),
        (str, ["", "a"], [1, True, None, ["a"]]),
        (int | None, [None, 1], ["null"]),
        (Literal["a", "b"], ["a"], ["c", None]),
        (Sequence[int], [[], [1]], [1, "1", [1, "a"], None]),
        (tuple[int, ...], [[1, 2]], [["a"]]),
        (Sequence[Sequence[int]], [[[1], []]], [[1]]),
        (Mapping[str, float], [{}, {"a": 1}], [{"a": "x"}, [1]]),
        (float | Callable[[float], float], [0.5, {"_target_": "x"}], ["x", {"start": 1}]),
        (Schedule, [{"_target_": "x"}], [3, "linear", {"warmup": 1}]),
        (Annotated[int, Within(1)], [1, 2], [0, -1, 1.5]),
        (Annotated[int, Within(0, 2)], [0, 2], [3]),
        (Any, [1, None, [{}]], []),
    ],
)
def test_what_is_of_a_kind_and_what_is_not(kind, good, bad):
    assert [value for value in good if not fits(value, kind)] == []
    assert [value for value in bad if fits(value, kind)] == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int | float | None, "a number or null"),
        (Annotated[int, Within(1)] | None, "a whole number from 1 on or null"),
        (Sequence[Annotated[int, Within(0, 9)]], "a list [...] of whole numbers from 0 to 9"),
        (str | Sequence[Sequence[int]], "text or a list [...] of lists [...] of whole numbers"),
        (Mapping[str, Literal["minimize", "maximize"]], "a mapping {key: value} to minimize or maximize"),
        (float | Callable[[float], float], "a number or a mapping with a _target_"),
        (bool, "true or false"),
    ],
)
def test_a_kind_in_words(kind, words):
    assert described(kind) == words


def refusal(command, *overrides):
    with pytest.raises(MillisError) as caught:
        check(composed(command, overrides))
    return str(caught.value)


@pytest.mark.parametrize(
    ("command", "override", "message"),
    [
        ("train", "seed=null", f"seed=null: {SEED}"),
        ("train", "seed=-1", f"seed=-1: {SEED}"),
        ("compress", "seed=5000000000", f"seed=5000000000: {SEED}"),
        ("compress", "seed=1.5", f"seed=1.5: {SEED}"),
        ("compress", "benchmark.seed=abc", f"benchmark.seed=abc: {SEED}"),
        ("compress", "ensemble=[1,x]", "ensemble=[1,x]: expected a list [...] of whole numbers from 0 to 4294967295"),
        ("train", "teacher.trainer.max_epochs=ten", "teacher.trainer.max_epochs=ten: expected a whole number"),
        ("compress", "trainer.max_epochs=ten", "trainer.max_epochs=ten: expected a whole number"),
        ("compress", "optimizer.freeze_embeddings=1", "optimizer.freeze_embeddings=1: expected true or false"),
        (
            "compress",
            "budget.size_bytes=2MB",
            "budget.size_bytes=2MB: expected a positive number in the unit of its name",
        ),
        ("compress", "budget.latency_p99_ms=-2", "budget.latency_p99_ms=-2: expected a positive number"),
        (
            "compress",
            "data.name=2024",
            "data.name=2024: expected text. To mean it as text, quote it: 'data.name=\"2024\"'",
        ),
        ("compress", "+distillation.bata=2", "distillation.bata=2: Distillation has no 'bata'"),
        ("sweep", "study.n_trials=abc", "study.n_trials=abc: expected a whole number from 1 on"),
        ("sweep", "study.directions={quality:up}", "study.directions.quality=up: expected minimize or maximize"),
        ("report", "effects=pruning", "effects=pruning: expected a list [...] of texts"),
        ("agent", "port=70000", "port=70000: expected a whole number from 0 to 65535"),
    ],
)
def test_the_key_its_value_and_what_was_expected(command, override, message):
    assert refusal(command, override).startswith(message)


def test_what_a_constructor_refuses_is_refused_before_anything_is_trained():
    with pytest.raises(Exception, match=r"trainer\.batch_size=0") as caught:
        check(composed("compress", ["trainer.batch_size=0"]))
    assert "expected at least 1" in f"{caught.value} {caught.value.__cause__}"


def test_a_budget_of_no_lost_quality_may_be_asked_for():
    check(composed("compress", ["budget.quality_drop=0"]))
    check_value("budget.quality_drop", 0, KEYS["budget.quality_drop"])
    with pytest.raises(MillisError):
        check_value("budget.size_bytes", 0, KEYS["budget.size_bytes"])


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_key_of_a_command_is_bound_to_something(command):
    """What no `_target_` takes is in `KEYS`."""
    values = OmegaConf.to_container(composed(command, []), resolve=False)
    known = {key for key, _, _ in bound(values)}

    def unbound(node, prefix=""):
        for key, value in node.items():
            name = f"{prefix}{key}"
            if name not in known and not key.startswith("_"):
                yield from unbound(value, f"{name}.") if isinstance(value, dict) else [name]

    assert [*unbound(values)] == []
