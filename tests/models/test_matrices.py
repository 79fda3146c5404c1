"""Finding matrices by role and by name."""

import pytest
from torch import nn

from millis import models
from millis.errors import MillisError
from millis.models.matrices import find

LAYER = "encoder.encoder.layer"


def test_roles_and_names_in_the_models_order(teacher):
    found = find(teacher, ["ffn_out", "query"], "x")
    assert list(found) == [f"{LAYER}.{i}.{part}" for i in range(4) for part in ("attention.self.query", "output.dense")]
    assert found[f"{LAYER}.1.output.dense"] is teacher.encoder.encoder.layer[1].output.dense
    assert list(find(teacher, [f"{LAYER}.[01].intermediate.*"], "x")) == [
        f"{LAYER}.{i}.intermediate.dense" for i in (0, 1)
    ]
    assert list(find(teacher, ["word_embeddings", "head"], "x")) == ["encoder.embeddings.word_embeddings", "head"]


def test_a_role_is_the_same_part_under_other_names(spec, model):
    distilbert = model(spec("distilbert"))
    assert list(find(distilbert, ["ffn_in"], "x")) == [f"encoder.transformer.layer.{i}.ffn.lin1" for i in range(4)]


def test_names_serve_where_nobody_described_the_architecture():
    config = {
        "model_type": "mpnet",
        "vocab_size": 50,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 42,
    }
    spec = {"family": "transformer", "encoder": config, "pooling": "mean", "dropout": 0.1, "num_labels": 3}
    model = models.build(models.read(spec))
    assert len(find(model, ["*.intermediate.dense"], "x")) == 2
    assert list(find(model, ["word_embeddings"], "x")) == ["encoder.embeddings.word_embeddings"]
    with pytest.raises(MillisError, match="holds 'ffn_in', which names no matrix"):
        find(model, ["ffn_in"], "adapter.matrices")


def test_models_without_an_encoder_have_names_only():
    model = nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 2))
    assert list(find(model, ["*"], "x")) == ["0", "1"]


@pytest.mark.parametrize("patterns", [[], "query"])
def test_no_list(teacher, patterns):
    with pytest.raises(MillisError) as error:
        find(teacher, patterns, "adapter.matrices")
    assert str(error.value) == (
        f"adapter.matrices={patterns!r} is no list of matrices; expected for example [ffn_in, ffn_out]"
    )
