"""The encoder, pooled and with its head, against transformers' own modules."""

import pytest
import torch
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
    assert str(error.value) == "model.pooling='maen' is unknown; expected one of mean, cls; did you mean 'mean'?"
