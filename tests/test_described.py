"""What objects say they were made of, held against the configs that they are made of."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from millis.cli.hydra_app import composed
from millis.cli.targets import instantiate
from millis.data.labels import number
from millis.described import described
from millis.errors import MillisError
from millis.models.student import TransformerStudent
from millis.pruning.criterion.soft_movement import SoftMovement
from millis.training.fit import Fit
from millis.training.length import Length

CONF = Path(__file__).parents[1] / "conf"
GROUPS = (
    "adapter", "augmentation", "backend", "data", "distillation", "early_exit", "factorization", "model", "optimizer",
    "pruning", "quantization", "storage", "student", "task", "tokens", "trainer",
)  # fmt: skip


def test_a_dataclass_says_its_fields():
    assert described(TransformerStudent(layers=2)) == {
        "_target_": "millis.models.student.TransformerStudent",
        "layers": 2, "hidden_size": None, "heads": None, "ffn_size": None, "init": "teacher",
    }  # fmt: skip


def test_parts_are_said_too():
    said = described({"fit": Fit(Length(steps=5)), "folder": Path("a"), "seeds": (1, 2)})
    assert said["fit"]["max_epochs"]["steps"] == 5
    assert said["folder"] == "a" and said["seeds"] == [1, 2]


def test_an_object_that_keeps_its_parameters_says_them():
    assert described(SoftMovement(lr=0.5)) == {
        "_target_": "millis.pruning.criterion.soft_movement.SoftMovement", "lr": 0.5, "penalty": 100.0
    }  # fmt: skip


class Several:
    def __init__(self, *sizes):
        self.sizes = sizes


class Named:
    def __init__(self, **sizes):
        self.sizes = sizes


class Forgetful:
    def __init__(self, size):
        self.double = 2 * size


@pytest.mark.parametrize(
    "silent",
    [Forgetful(1), Several(1), Named(a=1), Forgetful(1).__init__, number, Forgetful, object(), partial(number)],
)
def test_what_does_not_say_what_it_was_made_of_is_refused(silent):
    with pytest.raises(MillisError, match="does not say what it was made of: expected a frozen dataclass, or an obj"):
        described(silent)


def test_derived_fields_are_left_out():
    @dataclass(frozen=True)
    class Derived:
        size: int
        double: int = field(init=False, default=0)

    assert described(Derived(1)) == {"_target_": f"{__name__}.{Derived.__qualname__}", "size": 1}


OPTIONS = [
    (group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))
]  # fmt: skip
MISSING = {
    "data": ["data.path=somewhere"], "model": ["model.name=somewhere", "model.path=somewhere"],
    "task": ["task.collection=here"],
}  # fmt: skip


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_what_every_config_makes_says_what_makes_it_again(group, option):
    text = (CONF / group / f"{option}.yaml").read_text()
    if "defaults:" in text or "${" in text or "???" in text:
        missing = [one for one in MISSING.get(group, []) if f"{one.split('.')[1].split('=')[0]}: ???" in text]
        node = composed("compress", [f"{group}={option}", *missing])[group]
    else:
        node = OmegaConf.create(text)
    said = described(instantiate(node))
    if said is None:  # the option is `none`
        assert "none" in yaml.safe_load((CONF / group / f"{option}.yaml").read_text())["_target_"]
        return
    assert said["_target_"] == node._target_
    assert described(instantiate(said, _convert_="all")) == said
