from dataclasses import replace

import pytest
import rounded
import torch

from millis.errors import MillisError
from millis.models.spec import Shape
from millis.token_pruning.recipe import COLD, HOT, PRESSURE, TokenPruning


def test_every_layer_with_heads_by_default():
    spec = rounded.spec()
    deeper = replace(spec, shape=Shape(8, (2, 0, 2), (32,) * 3))
    assert TokenPruning().spec(deeper).tokens == (0, 2)


def test_the_foretold_architecture_is_the_one_that_is_made():
    recipe, model = TokenPruning(layers=[0]), rounded.model()
    assert recipe.attach(model).spec == recipe.spec(model.spec)


def test_the_share_falls_to_the_target_and_the_gates_cool():
    recipe = TokenPruning(kept=0.4)
    assert [recipe.share(progress) for progress in (0, 0.35, 0.7, 1)] == pytest.approx([1, 0.7, 0.4, 0.4])
    assert [recipe.temperature(progress) for progress in (0, 0.5, 1)] == pytest.approx([HOT, (HOT * COLD) ** 0.5, COLD])
    assert recipe.penalty(torch.tensor(0.5), 1.0).item() == pytest.approx(PRESSURE * 0.01)
    assert recipe.rate(200) == pytest.approx(0.1)
    assert recipe.describe() == "tokens 40%"


def test_a_share_that_the_layers_before_exceed_is_refused():
    assert TokenPruning(kept=0.6, layers=[1]).spec(rounded.spec()).tokens == (1,)
    with pytest.raises(MillisError, match=r"tokens.kept=0.5 cannot be reached from layer 1 on: .* are 0.50 of all"):
        TokenPruning(kept=0.5, layers=[1]).attach(rounded.model())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kept": 0}, "tokens.kept=0: expected the share of tokens that stays, above 0 and up to 1"),
        ({"kept": 1.5}, "tokens.kept=1.5: expected the share"),
        ({"soft": 1.0}, "tokens.soft=1.0: expected the share of the steps that learns thresholds"),
    ],
)
def test_values_that_cannot_be_are_refused(settings, message):
    with pytest.raises(MillisError, match=message):
        TokenPruning(**settings)


def test_a_student_without_layers_is_refused():
    with pytest.raises(MillisError, match="the student is a 'static' model"):
        TokenPruning().spec(rounded.spec("static"))
