import pytest

from millis.models import read
from millis.models.work import Work, count

ENCODER = {
    "model_type": "bert", "vocab_size": 50, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 16, "type_vocab_size": 2,
}  # fmt: skip
TRANSFORMER = {"family": "transformer", "encoder": ENCODER, "pooling": "mean", "dropout": 0.0, "num_labels": 3}


def test_a_transformer_by_hand():
    # S = 5, D = 8, F = 16, L = 2, C = 3. A layer: 4 D² + 2 D F = 512 weights, 2·5·512 = 5120 operations, attention
    # 4·5²·8 = 800. Head: 2·8·3 = 48. Rows: words, positions, types: 3 of 8 numbers a token.
    assert count(read(TRANSFORMER), 5) == Work(2 * (5120 + 800) + 48, 2 * 512 + 24, 3 * 5 * 8)


def test_pruned_heads_and_neurons_are_not_counted():
    shape = {"head_size": 4, "heads": [1, 2], "ffn": [6, 0]}
    # Layer 1: 4·8·4 + 2·8·6 = 224 weights, attention 4·25·4; layer 2: 4·8·8 = 256, attention 4·25·8.
    assert count(read({**TRANSFORMER, "shape": shape}), 5) == Work(
        2 * 5 * (224 + 256) + 4 * 25 * (4 + 8) + 48, 224 + 256 + 24, 120
    )


def test_convolutions_by_hand():
    spec = {
        "family": "convolution", "vocab_size": 50, "embedding_size": 4, "filters": 6, "widths": [3], "dropout": 0.0,
        "num_labels": 2,
    }  # fmt: skip
    # 6 filters of 3·4 = 12 weights at 5 places: 2·5·72; head 2·6·2.
    assert count(read(spec), 5) == Work(720 + 24, 72 + 12, 20)


def test_recurrence_by_hand():
    spec = {
        "family": "bilstm", "vocab_size": 50, "embedding_size": 4, "hidden_size": 3, "dropout": 0.0, "num_labels": 2
    }  # fmt: skip
    # A direction: 4 gates of 3·(4 + 3) = 84 weights at 5 places; head 2·6·2. Both read the same rows.
    assert count(read(spec), 5) == Work(2 * 2 * 5 * 84 + 24, 2 * 84 + 12, 20)


@pytest.mark.parametrize("length", [1, 7])
def test_a_bag_of_tokens_multiplies_in_its_head_alone(length):
    spec = {"family": "static", "vocab_size": 50, "size": 8, "dropout": 0.0, "num_labels": 3}
    assert count(read(spec), length) == Work(48, 24, length * 9)  # a vector and a weight a token
