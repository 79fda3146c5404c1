"""A small Llama and its tokenizer from nothing but texts."""

import pytest
import torch
from causal import NEXT, TEXTS, of_transformers

from millis import models
from millis.errors import MillisError
from millis.models.scratch_decoder import ScratchDecoder
from millis.models.spec import Shape
from millis.types import Output

SMALL = ScratchDecoder(2, 24, 4, 2, 40, vocab_size=280, max_length=50)
UNKNOWN = (NEXT._replace(width=0),)


@pytest.fixture(scope="module")
def made():
    torch.manual_seed(0)
    model, tokenizer = SMALL(UNKNOWN, TEXTS)
    return model.eval(), tokenizer


def test_model_and_tokenizer_fit(made):
    model, tokenizer = made
    vocabulary = tokenizer.get_vocab_size()
    assert model.spec.outputs == (Output("next", "token", vocabulary, "next"),)
    assert model.spec.around == ((1,), (2,)) and model.spec.ends == (2,) and model.spec.rows == vocabulary <= 280
    assert model.spec.shape == Shape(6, (4, 4), (40, 40)) and models.max_length(model.spec) == 50
    ids = torch.tensor([tokenizer.encode("the cat").ids])
    assert model(ids, torch.ones_like(ids)).shape == (*ids.shape, vocabulary)
    assert models.read(model.spec.to_json()) == model.spec


def test_it_is_the_llama_of_transformers(made):
    """Nats of a text are those of the loss of LlamaForCausalLM with the same weights."""
    model, tokenizer = made
    ids = torch.tensor([tokenizer.encode("the dog sat on the cat").ids])
    theirs = of_transformers(model)
    with torch.no_grad():
        logits = model(ids, torch.ones_like(ids))
        loss = theirs(ids, labels=ids).loss
    torch.testing.assert_close(logits, theirs(ids).logits, atol=1e-5, rtol=0)
    ours = torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:])
    assert ours.item() == pytest.approx(loss.item(), rel=1e-6)


def test_logits_where_they_are_asked_for_alone(made):
    model, tokenizer = made
    ids = torch.tensor([tokenizer.encode("the cat sat").ids] * 2)
    mask, asked = torch.ones_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    asked[0, 1:3] = asked[1, 2] = True
    torch.testing.assert_close(model(ids, mask, asked=asked), model(ids, mask)[asked])


def test_before_training_every_token_is_about_as_likely(made):
    model, tokenizer = made
    ids = torch.tensor([tokenizer.encode("the dog sat on the cat").ids])
    logits = model(ids, torch.ones_like(ids))
    loss = torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:]).item()
    assert loss == pytest.approx(torch.tensor(tokenizer.get_vocab_size()).log().item(), abs=0.1)


def test_the_table_is_the_output_matrix(made):
    model, _ = made
    assert model.spec.tied and model.head["next"].weight is model.encoder.embed_tokens.weight
    assert model.head["next"].bias is None
    again = models.build(model.spec)
    again.load_state_dict(model.state_dict())
    assert again.head["next"].weight is again.encoder.embed_tokens.weight


def test_asked_for_a_label_it_has_a_head_of_its_own():
    model, _ = SMALL((Output("intent", "text", 3),), TEXTS)
    assert not model.spec.tied and model.head.weight.shape == (3, 24)
    assert model.spec.outputs == (Output("logits", "text", 3),)


def test_weights_follow_the_seed():
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(SMALL(UNKNOWN, TEXTS)[0].encoder.layers[1].mlp.up_proj.weight)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


@pytest.mark.parametrize(("settings", "message"), [
    ({"hidden_size": 30}, "model.hidden_size=30 is not a multiple of model.heads=4: use for example 28"),
    ({"key_value_heads": 3}, "model.heads=4 is not a multiple of model.key_value_heads=3: use for example 3"),
    ({"heads": 2, "key_value_heads": 4}, "model.heads=2 is not a multiple of model.key_value_heads=4: use for example "
     "4"),
    ({"hidden_size": 20}, "model.hidden_size=20 with model.heads=4 makes heads of 5: rotary positions turn pairs of "
     "channels, so expected an even number"),
    ({"vocab_size": 260}, "model.vocab_size=260 holds only the 260 bytes and special tokens: use some thousands"),
])  # fmt: skip
def test_faults(settings, message):
    with pytest.raises(MillisError) as error:
        ScratchDecoder(**settings)
    assert str(error.value) == message
