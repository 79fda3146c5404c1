"""Every way of generating, found by walking: names, descriptions and the way back, configs."""

from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from millis import generation
from millis.cli.targets import instantiate
from millis.described import described
from millis.errors import MillisError
from millis.generation.greedy import Greedy

CONF = Path(__file__).parents[2] / "conf" / "generation"


def test_a_way_is_a_file_with_a_class_of_its_name():
    assert "greedy" in generation.names()
    assert not {"contract", "writing", "text"} & set(generation.names())
    assert generation.kind("greedy") is Greedy


def test_every_way_has_a_config_with_its_defaults():
    assert {path.stem for path in CONF.glob("*.yaml")} == set(generation.names())
    for name in generation.names():
        values = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))
        made = instantiate(OmegaConf.create(values))
        assert type(made) is generation.kind(name)
        assert values == described(made)
        assert made == generation.kind(name)()


@pytest.mark.parametrize("name", generation.names())
def test_what_a_choice_says_of_itself_is_read_back(name):
    made = generation.kind(name)(max_tokens=7, min_tokens=2, stop=("\n",))
    assert generation.read(described(made)) == made
    assert generation.read({"_target_": described(made)["_target_"]}) == generation.kind(name)()


def test_an_unknown_way_is_named_with_its_nearest():
    with pytest.raises(MillisError) as caught:
        generation.kind("gredy")
    assert str(caught.value) == (
        f"generation 'gredy' is unknown; expected one of {', '.join(generation.names())}; did you mean 'greedy'?"
    )


TARGET = "millis.generation.greedy.Greedy"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"_target_": TARGET, "stops": ["x"]}, "generation has no 'stops'; did you mean 'stop'?: expected some of "),
        ({"_target_": TARGET, "max_tokens": "5"}, "generation.max_tokens is '5': expected int, got str"),
        ({"_target_": TARGET, "max_tokens": 0}, "generation.max_tokens=0: expected 1 or more"),
        ({"_target_": "os.system"}, "generation._target_ is 'os.system': expected one of millis.generation."),
        ({}, "generation._target_ is 'None': expected one of millis.generation."),
    ],
)
def test_what_no_choice_said_is_refused(given, message):
    with pytest.raises(MillisError) as caught:
        generation.read(given)
    assert str(caught.value).startswith(message)
