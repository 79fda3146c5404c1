"""The family `transformer`: what its spec builds, and how long a text that takes."""

import pytest

from millis import models
from millis.models.encoder import Transformer
from millis.models.exits import Exiting
from millis.models.token_pruning import TokenPruned
from millis.models.transformer import whole


@pytest.mark.parametrize(
    ("part", "made"), [({}, Transformer), ({"exits": [0, 2]}, Exiting), ({"tokens": [1]}, TokenPruned)]
)
def test_a_spec_names_what_stands_in_the_layers(spec, part, made):
    assert type(models.build(spec(**part))) is made


@pytest.mark.parametrize("part", [{"exits": [0, 2]}, {"tokens": [1]}])
def test_what_stands_there_can_be_taken_out(spec, model, batch, part):
    larger = model(spec(**part))
    smaller = whole(larger)
    assert type(smaller) is Transformer
    assert smaller.spec == spec()
    assert not smaller.training
    assert all((value == larger.state_dict()[name]).all() for name, value in smaller.state_dict().items())


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
