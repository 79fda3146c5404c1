"""The family `transformer`: what its spec builds, and how long a text that takes."""

import copy
import pickle

import pytest
import torch
from torch import nn

from millis import models
from millis.models import heads
from millis.models.between import Between
from millis.models.encoder import Transformer
from millis.models.exits import Exits
from millis.models.token_pruning import TokenDropping
from millis.models.transformer import whole


@pytest.mark.parametrize(
    ("part", "made"), [({}, Between), ({"exits": [0, 2]}, Exits), ({"tokens": [1]}, TokenDropping)]
)
def test_a_spec_names_what_stands_in_the_layers(spec, part, made):
    model = models.build(spec(**part))
    assert type(model) is Transformer and type(model.between) is made


@pytest.mark.parametrize("part", [{"exits": [0, 2]}, {"tokens": [1]}])
def test_what_stands_there_can_be_taken_out(spec, model, batch, part):
    larger = model(spec(**part))
    smaller = whole(larger)
    assert type(smaller) is Transformer and type(smaller.between) is Between
    assert smaller.spec == spec()
    assert not smaller.training
    assert all((value == larger.state_dict()[name]).all() for name, value in smaller.state_dict().items())


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ({"exits": [0, 2]}, ["exits.0.bias", "exits.0.weight", "exits.2.bias", "exits.2.weight"]),
        ({"tokens": [1]}, ["thresholds.logarithms"]),
    ],
)
def test_weights_are_called_as_in_artifacts(spec, part, names):
    plain = models.build(spec()).state_dict()
    assert sorted(models.build(spec(**part)).state_dict().keys() - plain.keys()) == names


@torch.no_grad()
@pytest.mark.parametrize("part", [{"exits": [0, 2]}, {"tokens": [1]}])
def test_a_copy_has_weights_of_its_own(spec, model, batch, part):
    first, (ids, mask) = model(spec(**part)), batch(2, 9)
    expected = first(ids, mask)
    second = pickle.loads(pickle.dumps(copy.deepcopy(first)))
    assert torch.equal(second(ids, mask), expected)
    for parameter in first.parameters():
        parameter.zero_()
    assert torch.equal(second(ids, mask), expected)
    used = [*second.between.classifiers.values(), *second.between.thresholds]
    assert used and all(any(one is own for own in [*second.modules(), *second.parameters()]) for one in used)


def test_what_takes_a_classifiers_place_is_asked(spec):
    made = models.build(spec(exits=[0, 2]))
    made.exits["2"] = low = nn.Sequential(nn.Linear(32, 2), nn.Linear(2, 3))
    assert made.between.classifiers[2] is low
    assert heads.classifying(made) == ("head", "exits") and heads.classifying(nn.Linear(1, 1)) == ()
    assert made.classifiers() == [made.head, made.exits["0"], low]


@pytest.mark.parametrize(
    ("model_type", "expected"), [("bert", 40), ("roberta", 38), ("electra", 40), ("distilbert", 40)]
)
def test_longest_sequence_runs_and_one_more_does_not(spec, model, batch, model_type, expected):
    """RoBERTa's 40 positions begin at pad_token_id + 1 = 2."""
    ours = model(spec(model_type))
    assert models.max_length(ours.spec) == expected
    ours(*batch(1, expected))
    with pytest.raises((IndexError, RuntimeError)):
        ours(*batch(1, expected + 1))
