"""What general distillation asks of a model, and settings that cannot be."""

import pytest
import torch
from shaped import transformer

from millis.distillation.hidden import Hidden
from millis.errors import MillisError
from millis.training.general import General, Inside, Reading, unasked

HIDDEN = {"hidden": Hidden(1.0, "mse", "uniform")}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0}, r"^general.lr=0: expected above 0; 5e-4 is usual"),
        ({"max_epochs": 0}, r"^general.max_epochs=0: expected at least 1; general=none leaves it out"),
        ({"terms": {}}, r"^distillation.terms: there are none, so nothing would be learned"),
        ({"cache_budget_mb": -1}, r"^distillation.cache_budget_mb=-1: expected 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(MillisError, match=message):
        General(**{"texts": "texts.txt", "terms": HIDDEN, **settings})


def test_what_is_inside_a_model_is_its_states_and_its_head_is_nobody_s():
    model = transformer("bert").eval()
    inside, ids = Inside(model), torch.tensor([[2, 5, 3]])
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    assert torch.equal(inside(**given), model.states(**given))
    assert {id(one) for one in inside.parameters()} == {id(one) for one in model.encoder.parameters()}


def test_of_texts_alone_nothing_is_asked():
    split, reading = unasked(["a", "b"]), Reading()
    assert (split.texts, split.references, reading.outputs) == (["a", "b"], [None, None], ())
    assert reading.references.targets(split.texts, split.references, [None, None]) == ()
