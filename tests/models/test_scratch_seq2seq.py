"""A small encoder-decoder and its tokenizer from nothing but texts."""

import pytest
import torch
from sides import REPLY, of_transformers

from millis import models
from millis.errors import MillisError
from millis.models.scratch_seq2seq import ScratchSeq2seq
from millis.models.spec import Shape

PAIRS = [("the cat sat on the mat", "die Katze saß"), ("a dog sat", "ein Hund saß auf der 猫")] * 4
SMALL = ScratchSeq2seq(2, 1, 24, 4, 40, vocab_size=300, max_length=50, dropout=0.0)
UNKNOWN = (REPLY._replace(width=0),)


@pytest.fixture(scope="module")
def made():
    torch.manual_seed(0)
    model, tokenizer = SMALL(UNKNOWN, PAIRS)
    return model.eval(), tokenizer


@pytest.fixture
def rows(made):
    encoding = made[1].encode("a dog sat", "ein Hund")
    parts = (encoding.ids, encoding.attention_mask, encoding.type_ids)
    return tuple(torch.tensor([part]) for part in parts)


def test_model_and_tokenizer_fit(made):
    model, tokenizer = made
    vocabulary = tokenizer.get_vocab_size()
    assert model.spec.outputs == (REPLY._replace(width=vocabulary),) and model.spec.rows == vocabulary <= 300
    assert model.spec.around == ((1,), (3,)) and model.spec.starts == (3,) and model.spec.ends == (2,)
    assert model.spec.encoder == Shape(6, (4, 4), (40, 40)) and model.spec.decoder == Shape(6, (4,), (40,))
    assert model.spec.cross == (4,) and models.max_length(model.spec) == 50
    assert models.read(model.spec.to_json()) == model.spec


def test_it_is_the_t5_of_transformers_and_its_loss(made, rows):
    """Nats of an answer are those of the loss of T5ForConditionalGeneration with the same weights."""
    model, (ids, mask, types) = made[0], rows
    read = int((types == 0).sum()) - 1
    with torch.no_grad():
        logits = model(ids, mask, types)[0, read:-1]
        theirs = of_transformers(model)(input_ids=ids[:, :read], labels=ids[:, read + 1 :])
    ours = torch.nn.functional.cross_entropy(logits, ids[0, read + 1 :])
    assert ours.item() == pytest.approx(theirs.loss.item(), rel=1e-5)


def test_before_training_every_token_is_about_as_likely(made, rows):
    model, (ids, mask, types) = made[0], rows
    read = int((types == 0).sum()) - 1
    loss = torch.nn.functional.cross_entropy(model(ids, mask, types)[0, read:-1], ids[0, read + 1 :]).item()
    assert loss == pytest.approx(torch.tensor(float(model.spec.rows)).log().item(), abs=0.1)


def test_the_same_texts_and_seed_give_the_same_model(made):
    torch.manual_seed(0)
    again, tokenizer = SMALL(UNKNOWN, PAIRS)
    assert tokenizer.to_str() == made[1].to_str()
    assert all(torch.equal(one, other) for one, other in zip(again.parameters(), made[0].parameters(), strict=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 30}, "model.hidden_size=30 is not a multiple of model.heads=4: use for example 28"),
        ({"vocab_size": 260}, "model.vocab_size=260 holds only the 260 bytes and special tokens: use some thousands"),
    ],
)
def test_faults(settings, message):
    with pytest.raises(MillisError) as error:
        ScratchSeq2seq(**settings)
    assert str(error.value) == message


def test_no_texts():
    with pytest.raises(MillisError, match="the vocabulary is learned from the training texts, and there are none"):
        SMALL(UNKNOWN, [])


def test_attention_begins_with_what_is_near(made):
    """Slopes 2^-2 and 2^-4 for each way in the encoder, 2^-1 to 2^-4 in the decoder, of four heads."""
    encoder, decoder = (
        side.block[0].layer[0].SelfAttention for side in (made[0].encoder.encoder, made[0].encoder.decoder)
    )
    found = torch.stack([side.compute_bias(5, 5)[0] for side in (encoder, decoder)])  # [2, H, query, key]
    back, ahead = found[0, :, 2, 1], found[0, :, 2, 3]
    assert back.tolist() == [-0.25, -2.25, -0.0625, -2.0625]
    assert ahead.tolist() == [-2.25, -0.25, -2.0625, -0.0625]
    assert found[1, :, 4, 2].tolist() == [-1.0, -0.5, -0.25, -0.125]
    assert found[:, :, 2, 2].abs().max() == 0 and found.min() >= -8
