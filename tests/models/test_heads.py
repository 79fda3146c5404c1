"""Heads of texts and of tokens, on every family that gives them."""

from dataclasses import asdict

import pytest
import torch
from torch import nn

from millis.models import build, read
from millis.models.anatomy import full_shape
from millis.models.heads import Heads, answers, classifiers, head, start
from millis.types import Output

LABEL, TAGS = Output("intent", "text", 3), Output("tags", "token", 5)
BOTH = {"outputs": [["intent", "text", 3, "one"], ["tags", "token", 5, "one"]]}
CONFIG = {
    "model_type": "bert", "vocab_size": 20, "num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 16,
}  # fmt: skip
SPECS = {
    "transformer": {
        "family": "transformer", "encoder": CONFIG, "shape": asdict(full_shape(CONFIG)), "pooling": "mean",
        "dropout": 0.1,
    },
    "bilstm": {"family": "bilstm", "vocab_size": 20, "embedding_size": 8, "hidden_size": 6, "dropout": 0.1},
    "convolution": {
        "family": "convolution", "vocab_size": 20, "embedding_size": 8, "filters": 4, "widths": [1, 3], "dropout": 0.1,
    },
}  # fmt: skip


def made(family, **outputs):
    torch.manual_seed(0)
    return build(read({**SPECS[family], **(outputs or BOTH)})).eval()


def run(model, *rows):
    length = max(map(len, rows))
    ids = torch.tensor([[*row, *[7] * (length - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    with torch.inference_mode():
        return model(ids, mask)


def test_by_hand():
    found = head(2, (LABEL, TAGS))
    assert isinstance(found, Heads) and [one.out_features for one in classifiers(found)] == [3, 5]
    states = torch.randn(4, 6, 2)
    label, tags = answers(found, states, lambda states: states[:, 0], nn.Identity())
    assert torch.equal(label, found["intent"](states[:, 0])) and torch.equal(tags, found["tags"](states))


def test_one_answer_a_text_needs_no_more_than_a_linear_layer():
    found = head(2, (LABEL,))
    assert isinstance(found, nn.Linear) and classifiers(found) == [found]
    assert isinstance(head(2, (TAGS,)), Heads)


def test_texts_are_not_pooled_where_only_tokens_are_asked():
    def pool(_):
        raise AssertionError

    assert answers(head(2, (TAGS,)), torch.zeros(1, 3, 2), pool, nn.Identity()).shape == (1, 3, 5)


@pytest.mark.parametrize("family", SPECS)
def test_shapes(family):
    label, tags = run(made(family), [1, 2, 3], [4])
    assert label.shape == (2, 3) and tags.shape == (2, 3, 5)
    assert run(made(family, outputs=[["tags", "token", 5, "one"]]), [1, 2]).shape == (1, 2, 5)
    assert run(made(family, num_labels=3), [1, 2]).shape == (1, 3)


@pytest.mark.parametrize("family", SPECS)
def test_what_stands_beside_a_text_changes_nothing(family):
    model, text = made(family), [1, 2, 3]
    alone, beside = run(model, text), run(model, text, [4, 5, 6, 8, 9])
    torch.testing.assert_close(beside[0][0], alone[0][0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(beside[1][0, :3], alone[1][0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", SPECS)
def test_each_token_is_answered_in_its_place(family):
    """Of a text read from its other end, what depends on a token alone is found at the token's place there."""
    model = made(family)
    _, tags = run(model, [5, 6, 7, 8])
    _, changed = run(model, [5, 6, 7, 9])
    moved = (tags - changed).abs().amax(dim=2)[0]
    assert moved.argmax() == 3


def test_a_bilstm_reads_each_token_with_both_neighbourhoods():
    """The state at a token holds the forward LSTM's after it and the backward one's after all that follows."""
    model = made("bilstm", outputs=[["tags", "token", 5, "one"]])
    ids = torch.tensor([[4, 9, 2]])
    with torch.inference_mode():
        forwards = model.forwards(model.embedding(ids))[0]
        backwards = model.backwards(model.embedding(ids.flip(1)))[0].flip(1)
        expected = model.head["tags"](torch.cat([forwards, backwards], dim=2))
    torch.testing.assert_close(run(model, [4, 9, 2]), expected)


def vector(width):
    return Output("vector", "text", width, "vector")


@pytest.mark.parametrize("width", [2, 4, 6])
def test_a_vectors_head_starts_with_the_texts_own_as_far_as_it_goes(width):
    found = head(4, (vector(width),))
    assert isinstance(found, nn.Linear) and torch.equal(found.weight, torch.eye(width, 4))
    assert torch.equal(found.bias, torch.zeros(width))
    beside = head(4, (LABEL, vector(width)))
    assert torch.equal(beside["vector"].weight, torch.eye(width, 4))


@pytest.mark.parametrize("family", SPECS)
@pytest.mark.parametrize("width", [8, 16, 20])
def test_no_family_draws_it_again(family, width):
    model = made(family, outputs=[["vector", "text", width, "vector"]])
    (found,) = classifiers(model.head)
    assert torch.equal(found.weight, torch.eye(*found.weight.shape)) and not found.bias.any()
    both = made(family, outputs=[["intent", "text", 3, "one"], ["vector", "text", width, "vector"]])
    label, own = classifiers(both.head)
    assert torch.equal(own.weight, torch.eye(*own.weight.shape)) and label.weight.std() > 0.005


@pytest.mark.parametrize("width", [8, 16, 20])
def test_an_encoder_gives_its_pooled_states_before_it_is_trained(width):
    model = made("transformer", outputs=[["vector", "text", width, "vector"]])
    ids = torch.tensor([[1, 2, 3, 4]])
    with torch.inference_mode():
        pooled = model.pooled(ids, torch.ones_like(ids))
    expected = torch.nn.functional.pad(pooled, (0, width - 16))
    torch.testing.assert_close(run(model, [1, 2, 3, 4]), expected)


def test_what_says_the_next_token_has_no_bias():
    (found,) = classifiers(head(2, (Output("next", "token", 9, "next"),)))
    assert found.bias is None and found.weight.shape == (9, 2)
    start(found)
    assert found.bias is None
