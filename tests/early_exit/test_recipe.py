from dataclasses import replace

import pytest
import rounded

from millis.early_exit.recipe import EarlyExit
from millis.early_exit.training import Joint
from millis.errors import MillisError
from millis.models.spec import Shape


def test_every_layer_but_the_last_by_default():
    spec = rounded.spec()
    deeper = replace(spec, shape=Shape(8, (2,) * 4, (32,) * 4))
    assert EarlyExit(Joint()).spec(deeper).exits == (0, 1, 2)


def test_the_foretold_architecture_is_the_one_that_is_made():
    recipe, model = EarlyExit(Joint(), layers=[0]), rounded.model()
    assert recipe.attach(model).spec == recipe.spec(model.spec)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"policy": "entropi"}, "early_exit.policy='entropi' is unknown"),
        ({"quality_drop": -1}, "early_exit.quality_drop=-1: expected points of the metric that may be lost"),
        ({"confidence": 95}, "early_exit.confidence=95: expected a probability between 0 and 1"),
    ],
)
def test_values_that_cannot_be_are_refused(settings, message):
    with pytest.raises(MillisError, match=message):
        EarlyExit(Joint(), **settings)


def test_a_student_without_layers_is_refused():
    with pytest.raises(MillisError, match="the student is a 'static' model"):
        EarlyExit(Joint()).spec(rounded.spec("static"))
