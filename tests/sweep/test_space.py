"""The search space language: what it reads, what it draws, what it refuses and with which words."""

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from millis.errors import MillisError
from millis.sweep.space import Space, parse_entry

ENTRIES = {
    "student": {"choice": ["transformer", "convolution", "static"]},
    "student.layers": {"int": [1, 6], "when": {"student": "transformer"}},
    "student.width": {"choice": [384, 192], "when": {"student": ["transformer", "convolution"]}},
    "distillation.temperature": {"float": [1, 8], "log": True, "when": {"backend": "onnxruntime"}},
    "student.heads": {"choice": [2, 4], "when": {"student.layers": 6}},
}
FIXED = {"backend": "onnxruntime", "seed": 1}


def draw(space: Space, **fixed: object) -> dict[str, object]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial({key.replace("__", "."): value for key, value in fixed.items()})
    return space.sample(study.ask())


def test_entries_become_distributions_with_both_ends_in() -> None:
    assert parse_entry("k", {"int": [1, 6]}) == IntDistribution(1, 6)
    assert parse_entry("k", {"int": [1, 6], "step": 2}) == IntDistribution(1, 5, step=2)  # 1 3 5
    assert parse_entry("k", {"float": [1, 8], "log": True}) == FloatDistribution(1.0, 8.0, log=True)
    assert parse_entry("k", {"float": [0.0, 1.0], "step": 0.25}) == FloatDistribution(0.0, 1.0, step=0.25)
    assert parse_entry("k", {"choice": ["none", None, True, 1.5]}) == CategoricalDistribution(["none", None, True, 1.5])


def test_a_key_is_drawn_only_where_its_condition_holds() -> None:
    space = Space.parse(ENTRIES, FIXED)
    assert list(draw(space, student="transformer", student__layers=6)) == list(ENTRIES)
    assert list(draw(space, student="convolution")) == ["student", "student.width", "distillation.temperature"]
    assert list(draw(space, student="static")) == ["student", "distillation.temperature"]
    assert "student.heads" not in draw(space, student="transformer", student__layers=5)


def test_a_condition_on_the_base_config() -> None:
    space = Space.parse(ENTRIES, {"backend": "eager"})
    assert list(draw(space, student="static")) == ["student"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), low=st.integers(-20, 20), span=st.integers(0, 20), step=st.integers(1, 5))
def test_what_is_drawn_is_admitted(seed: int, low: int, span: int, step: int) -> None:
    entries = {**ENTRIES, "n": {"int": [low, low + span], "step": step}}
    space = Space.parse(entries, FIXED)
    drawn = space.sample(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask())
    assert space.admits(drawn)
    assert low <= drawn["n"] <= low + span
    assert (drawn["n"] - low) % step == 0
    assert ("student.layers" in drawn) == (drawn["student"] == "transformer")
    assert ("student.heads" in drawn) == (drawn.get("student.layers") == 6)


def test_replacing_an_entry_keeps_its_place_and_condition() -> None:
    space = Space.parse(ENTRIES, FIXED).with_entry("student.layers", {"choice": [2, 4]})
    assert [parameter.key for parameter in space.parameters] == list(ENTRIES)
    assert draw(space, student="transformer", student__layers=4)["student.layers"] == 4
    assert "student.layers" not in draw(space, student="static")


def test_narrowing_a_choice_leaves_conditions_that_no_longer_occur() -> None:
    space = Space.parse(ENTRIES, FIXED).with_entry("student", {"choice": ["static", "convolution"]})
    assert "student.layers" not in draw(space, student="static")


def test_a_new_entry_goes_first_so_that_conditions_can_see_it() -> None:
    space = Space.parse(ENTRIES, FIXED).with_entry("backend", {"choice": ["eager", "onnxruntime"]})
    assert space.parameters[0].key == "backend"
    assert list(draw(space, backend="eager", student="static")) == ["backend", "student"]


def test_fixing_an_unconditional_key_removes_it_and_settles_conditions() -> None:
    space = Space.parse(ENTRIES, FIXED).with_value("student", "convolution")
    assert "student" not in space
    assert list(draw(space)) == ["student.width", "distillation.temperature"]


def test_fixing_a_conditional_key_fixes_it_under_its_condition() -> None:
    space = Space.parse(ENTRIES, FIXED).with_value("student.layers", 6)
    assert draw(space, student="transformer")["student.layers"] == 6
    assert "student.heads" in draw(space, student="transformer")
    assert "student.layers" not in draw(space, student="static")


def test_admits_tells_recipes_that_a_narrowed_space_lost() -> None:
    space = Space.parse(ENTRIES, FIXED).with_value("student", "static")
    assert space.admits({"student": "static"})
    assert not space.admits({"student": "transformer", "student.layers": 3})
    assert not Space.parse(ENTRIES, FIXED).admits({"student.layers": 7})
    assert not Space.parse(ENTRIES, FIXED).admits({"student.layers": True})  # not the number 1
    assert not Space.parse(ENTRIES, FIXED).admits({"student.width": "384"})


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"a": [1, 2]}, r"a: got \[1, 2\]; write \{choice"),
        ({"a": {"chioce": [1]}}, r"expected exactly one of choice, int, float \(did you mean 'choice'"),
        ({"a": {"int": [1, 2], "float": [1, 2]}}, "expected exactly one of"),
        ({"a": {"choice": []}}, "at least one value, got \\[\\]"),
        ({"a": {"choice": "abc"}}, "needs a list of at least one value, got 'abc'"),
        ({"a": {"choice": [[1], [2]]}}, r"a text, a number, true, false or null, got \[1\]"),
        ({"a": {"choice": [1, 2, 1]}}, "names a value twice"),
        ({"a": {"int": [6, 1]}}, r"low 6 is above high 1; write \[1, 6\]"),
        ({"a": {"int": [1, 2.5]}}, r"'int' needs two whole numbers \[low, high\], got \[1, 2.5\]"),
        ({"a": {"int": 3}}, "needs two whole numbers"),
        ({"a": {"float": [0.0, 1.0], "log": True}}, "'log' needs a low above 0"),
        ({"a": {"float": [0.0, 1.0], "log": "yes"}}, "'log' is true or false, got 'yes'"),
        ({"a": {"int": [1, 6], "step": 0}}, "'step' is above 0 and made of whole numbers, got 0"),
        ({"a": {"int": [1, 6], "stepp": 2}}, r"'int' has no option 'stepp' \(did you mean 'step'"),
        ({"a": {"choice": [1], "log": True}}, "'choice' has no option 'log'"),
        ({"a": {"choice": [1], "when": "b"}}, "'when' is a mapping"),
        ({"a": {"choice": [1], "when": {"b": 1}}, "b": {"choice": [1]}}, "'b', which is not above it"),
        (
            {"a": {"choice": [1], "when": {"backends": 1}}},
            r"nor in the config \(did you mean 'backend'",
        ),
        (
            {"s": {"choice": ["static"]}, "a": {"int": [1, 2], "when": {"s": "statics"}}},
            r"waits for s='statics', which is never drawn \(did you mean 'static'",
        ),
        ({"s": {"int": [1, 3]}, "a": {"int": [1, 2], "when": {"s": 4}}}, "s is a whole number from 1 to 3"),
        (["a"], "must be a mapping"),
    ],
)
def test_refusals(entries: object, message: str) -> None:
    with pytest.raises(MillisError, match=message):
        Space.parse(entries, FIXED)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"student.layer": 3}, r"'student.layer', which is not in the search space \(did you mean 'student.layers'"),
        ({"student.layers": 7}, "student.layers=7; expected a whole number from 1 to 6"),
        ({"distillation.temperature": 9.0}, "expected a number from 1.0 to 8.0"),
        ({"student": "rnn"}, "expected one of 'transformer', 'convolution', 'static'"),
    ],
)
def test_recipes_to_try_first_are_checked(recipe: dict[str, object], message: str) -> None:
    with pytest.raises(MillisError, match=message):
        Space.parse(ENTRIES, FIXED).check(recipe)
