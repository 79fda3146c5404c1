"""Every way of generating, found by walking: names, descriptions and the way back, configs."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from millis import generation
from millis.cli.targets import instantiate
from millis.described import described
from millis.errors import MillisError
from millis.generation.greedy import Greedy

CONF = Path(__file__).parents[2] / "conf"


def test_a_way_is_a_file_with_a_class_of_its_name():
    assert "greedy" in generation.names()
    assert not {"contract", "writing", "text"} & set(generation.names())
    assert generation.kind("greedy") is Greedy


def composed(option):
    """What an option of `generation`, or of a group in it, composes to."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=[f"+generation{option}"]).generation


def test_every_way_has_a_config_with_its_defaults():
    folder = CONF / "generation"
    assert {path.stem for path in folder.glob("*.yaml")} == {"none", *generation.names()}
    assert {path.stem for path in folder.glob("draft/*.yaml")} == {"none", *generation.drafts()}
    for name in generation.names():
        config = composed(f"={name}")
        made = instantiate(config)
        assert type(made) is generation.kind(name)
        assert made == generation.kind(name)()
        assert {**config, "draft": None} == described(made)
    for name in generation.drafts():
        config, default = composed(f"/draft={name}").draft, generation.draft_kind(name)()
        for key in [key for key in config if OmegaConf.is_missing(config, key)]:  # what only the user knows
            config[key] = getattr(default, key)
        assert instantiate(config) == default
        assert config == described(default)


@pytest.mark.parametrize("draft", [None, *generation.drafts()])
@pytest.mark.parametrize("name", generation.names())
def test_what_a_choice_says_of_itself_is_read_back(name, draft):
    guessing = draft and generation.draft_kind(draft)(tokens=3)
    if name == "beam" and draft:  # a search writes by no guesses
        with pytest.raises(
            MillisError, match=r"generation\.draft with generation=beam: a search follows several texts"
        ):
            generation.kind(name)(draft=guessing)
        return
    made = generation.kind(name)(max_tokens=7, min_tokens=2, stop=("\n",), draft=guessing)
    assert generation.read(described(made)) == made
    assert generation.read({"_target_": described(made)["_target_"]}) == generation.kind(name)()


def test_an_unknown_way_is_named_with_its_nearest():
    with pytest.raises(MillisError) as caught:
        generation.kind("gredy")
    assert str(caught.value) == (
        f"generation 'gredy' is unknown; expected one of {', '.join(generation.names())} (did you mean 'greedy'?)"
    )
    with pytest.raises(MillisError) as caught:
        generation.draft_kind("loockup")
    known = ", ".join(generation.drafts())
    assert str(caught.value) == (
        f"generation.draft 'loockup' is unknown; expected one of {known} (did you mean 'lookup'?)"
    )


TARGET = "millis.generation.greedy.Greedy"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"_target_": TARGET, "stops": ["x"]}, "generation has no 'stops' (did you mean 'stop'?); expected some of "),
        ({"_target_": TARGET, "max_tokens": "5"}, "generation.max_tokens is '5': expected int, got str"),
        ({"_target_": TARGET, "max_tokens": 0}, "generation.max_tokens=0: expected 1 or more"),
        ({"_target_": TARGET, "draft": 3}, "generation.draft is 3: expected an object or null"),
        (
            {"_target_": TARGET, "draft": {"_target_": TARGET}},
            f"generation.draft._target_ is {TARGET!r}: expected one of millis.generation.draft.lookup.Lookup, ",
        ),
        (
            {"_target_": TARGET, "draft": {"_target_": "millis.generation.draft.lookup.Lookup", "tokens": 0}},
            "generation.draft.tokens=0: expected 1 or more; for none choose generation/draft=none",
        ),
        ({"_target_": "os.system"}, "generation._target_ is 'os.system': expected one of millis.generation."),
        ({}, "generation._target_ is None: expected one of millis.generation."),
    ],
)
def test_what_no_choice_said_is_refused(given, message):
    with pytest.raises(MillisError) as caught:
        generation.read(given)
    assert str(caught.value).startswith(message)
