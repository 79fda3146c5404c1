"""The encoder, pooled and with its head, against transformers' own modules."""

from dataclasses import replace

import pytest
import torch
from causal import CAUSAL, NEXT, of_transformers, spec_of, writer
from transformers import BertConfig, BertForSequenceClassification

from millis import models
from millis.errors import MillisError
from millis.models import anatomy


def reference(spec, model):
    """BertForSequenceClassification with our weights, its pooler fed with our pooling."""
    config = BertConfig(**{k: v for k, v in spec.encoder.items() if k != "model_type"}, num_labels=3)
    hf = BertForSequenceClassification(config).eval()
    missing, unexpected = hf.bert.load_state_dict(model.encoder.state_dict(), strict=False)
    assert [name for name in missing if "pooler" not in name] == unexpected == []
    hf.classifier.load_state_dict(model.head.state_dict())
    return hf


def test_mean_pooled_logits_equal_transformers(spec, teacher, batch):
    hf, (ids, mask) = reference(spec(), teacher), batch(3, 11)
    mask[1, 5:] = 0
    kinds = torch.zeros_like(ids)
    kinds[:, 7:] = 1
    with torch.no_grad():
        states = hf.bert(input_ids=ids, attention_mask=mask, token_type_ids=kinds).last_hidden_state
        pooled = torch.stack([states[0].mean(0), states[1, :5].mean(0), states[2].mean(0)])
        torch.testing.assert_close(teacher(ids, mask, kinds), hf.classifier(pooled), atol=1e-5, rtol=0)


def test_cls_pooled_logits_equal_transformers(spec, model, batch):
    ours = model(spec(pooling="cls"))
    hf, (ids, mask) = reference(spec(), ours), batch(2, 7)
    with torch.no_grad():
        states = hf.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        torch.testing.assert_close(ours(ids, mask), hf.classifier(states[:, 0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("model_type", anatomy.supported())
def test_attention_is_sdpa_without_pooler(spec, model, model_type):
    encoder = model(spec(model_type)).encoder
    assert encoder.config._attn_implementation == "sdpa"
    assert not [name for name in encoder.state_dict() if "pooler" in name]


@pytest.mark.parametrize("model_type", ["roberta", "distilbert"])
def test_second_token_type_is_left_out_where_the_encoder_has_none(spec, model, batch, model_type):
    """RoBERTa's table has one row: token type 1 would be read past its end."""
    ours, (ids, mask) = model(spec(model_type)), batch(1, 5)
    with torch.no_grad():
        assert torch.equal(ours(ids, mask, torch.ones_like(ids)), ours(ids, mask))


def test_architecture_without_anatomy_is_built_from_its_config(batch):
    config = {
        "model_type": "mpnet",
        "vocab_size": 100,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 42,
    }
    spec = {"family": "transformer", "encoder": config, "pooling": "mean", "dropout": 0.1, "num_labels": 3}
    assert models.build(models.read(spec)).eval()(*batch(2, 5)).shape == (2, 3)
    assert models.max_length(models.read(spec)) == 40


def test_unknown_pooling(spec):
    with pytest.raises(MillisError) as error:
        models.build(spec(pooling="maen"))
    assert str(error.value) == "model.pooling='maen' is unknown; expected one of mean, cls (did you mean 'mean'?)"


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "apart"])
@pytest.mark.parametrize("kind", CAUSAL)
def test_what_comes_next_is_what_transformers_say(kind, tied):
    model = writer(kind, tied=tied)
    ids = torch.randint(3, 48, (3, 11), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    with torch.no_grad():
        ours, theirs = model(ids, mask), of_transformers(model)(ids, attention_mask=mask).logits
    assert ours.shape == (3, 11, 48)
    torch.testing.assert_close(ours[mask > 0], theirs[mask > 0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", CAUSAL)
def test_tokens_look_back_only(kind):
    model = writer(kind)
    ids = torch.arange(3, 12).reshape(1, 9)
    with torch.no_grad():
        whole = model(ids, torch.ones_like(ids))
        torch.testing.assert_close(model(ids[:, :5], torch.ones(1, 5, dtype=torch.int64)), whole[:, :5])


def test_an_output_matrix_of_its_own_starts_as_a_classifier_does():
    torch.manual_seed(0)
    model = models.build(spec_of(tied=False, vocab_size=4000))
    assert model.head["next"].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert model.head["next"].weight is not model.encoder.embed_tokens.weight


def test_what_looks_ahead_cannot_say_what_comes_next(spec):
    with pytest.raises(MillisError) as error:
        models.build(replace(spec("bert"), outputs=(NEXT,)))
    assert str(error.value) == (
        "a 'bert' model cannot say what comes next: expected one whose tokens look back only (gpt2, llama, mistral, "
        "qwen2), such as model=scratch_decoder"
    )
    with pytest.raises(MillisError, match="a 'mpnet' model cannot say what comes next"):
        models.build(replace(spec("bert", encoder={"model_type": "mpnet"}, shape=None), outputs=(NEXT,)))


def test_a_layer_without_heads_keeps_no_keys_and_values():
    spec = spec_of()
    with pytest.raises(MillisError) as error:
        models.build(replace(spec, shape=replace(spec.shape, heads=(4, 0))))
    assert str(error.value) == (
        "layer 1 has no heads left, and what writes keeps keys and values of every layer: expected at least one"
    )
