"""A model and a tokenizer from nothing but texts."""

import pytest
import torch
from labelled import outputs

from millis import models
from millis.errors import MillisError
from millis.models.scratch import Scratch

ENGLISH = ["The cat sat on the mat.", "A dog barked at the cat!", ("Is the dog here?", "No, it left.")] * 5


def test_model_and_tokenizer_fit():
    model, tokenizer = Scratch(2, 16, 2, 32, vocab_size=120, max_length=20)(outputs(3), ENGLISH)
    encoding = tokenizer.encode("the cat sat")
    assert encoding.tokens[0] == "[CLS]" and encoding.tokens[-1] == "[SEP]"
    assert model.spec.affixes == ((tokenizer.token_to_id("[CLS]"),), (tokenizer.token_to_id("[SEP]"),))
    assert model.spec.encoder["vocab_size"] == tokenizer.get_vocab_size() <= 120
    assert models.max_length(model.spec) == 20
    ids = torch.tensor([encoding.ids])
    assert model(ids, torch.ones_like(ids)).shape == (1, 3)
    assert models.build(model.spec).spec == model.spec


def test_no_texts():
    with pytest.raises(MillisError) as error:
        Scratch()(outputs(2), [])
    assert str(error.value) == (
        "model=scratch learns its vocabulary from the training texts, and there are none: check `data`"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"hidden_size": 30, "heads": 4},
            "model.hidden_size=30 is not a multiple of model.heads=4: use for example 28",
        ),
        (
            {"vocab_size": 5},
            "model.vocab_size=5 holds only the 5 special tokens: use some thousands",
        ),
    ],
)
def test_faults(settings, message):
    with pytest.raises(MillisError) as error:
        Scratch(**settings)
    assert str(error.value) == message
