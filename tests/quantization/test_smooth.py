import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from millis import models
from millis.backends.onnx.arithmetic import arithmetic
from millis.quantization.simulate import Simulation, logits
from millis.quantization.smooth import Divide, factors, smooth
from millis.quantization.spec import Calibration, Quantization
from millis.types import Features

STATIC = Quantization(activations="static", calibration=Calibration())
BERT = {
    "model_type": "bert",
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "pad_token_id": 0,
}


def bert(outlier=1.0):
    """Two layers of 16; channel 3 of what the layer norms give is `outlier` times as large as the others."""
    torch.manual_seed(0)
    spec = {"family": "transformer", "encoder": BERT, "affixes": [[], []], "pooling": "mean", "dropout": 0.1}
    spec |= {"shape": {"head_size": 8, "heads": [2, 2], "ffn": [32, 32]}, "num_labels": 3}
    model = models.build(models.read(spec)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
            if name.endswith("LayerNorm.weight"):
                parameter[3] *= outlier
    return model


def texts(count=12):
    generator = np.random.default_rng(0)
    rows = [generator.integers(1, 50, (1, generator.integers(2, 9))) for _ in range(count)]
    return [Features(ids, np.ones_like(ids), None) for ids in rows]


def test_the_factors_by_hand():
    # Equation 4 at α = 0.5: s = √(max|X| / max|W|); the second weight's 4 is the larger in column 0.
    largest = torch.tensor([16.0, 9.0])
    weights = [torch.tensor([[1.0, -1.0]]), torch.tensor([[-4.0, 0.5]])]
    assert factors(largest, weights, 0.5).tolist() == pytest.approx([2.0, 3.0])
    assert factors(largest, weights, 1.0).tolist() == pytest.approx([16.0, 9.0])  # activations give up all their spread
    assert factors(largest, weights, 0.0).tolist() == pytest.approx([0.25, 1.0])  # weights do


def test_a_channel_without_activations_or_weights_divides_nothing_by_zero():
    found = factors(torch.tensor([0.0, 1.0]), [torch.tensor([[1.0, 0.0]])], 0.5)
    assert torch.isfinite(found).all() and (found > 0).all()


@given(st.lists(st.floats(0.01, 100), min_size=4, max_size=4), st.floats(0, 1))
def test_the_smoothed_product_is_the_product(largest, alpha):
    torch.manual_seed(0)
    x, weight = torch.randn(5, 4) * torch.tensor(largest), torch.randn(3, 4)
    s = factors(x.abs().amax(0), [weight], alpha)
    assert torch.allclose((x / s) @ (weight * s).T, x @ weight.T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.8, 1.0])
def test_the_smoothed_model_computes_the_same(alpha):
    model, requests = bert(outlier=30.0), texts()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    done = smooth(model, requests, arithmetic(STATIC), alpha)
    assert done.smoothed > 0
    assert (
        done.tensors == 2 * 4 + 1
    )  # of each layer: query's, attention output's and the two feed-forward's; the head's
    for request in requests:
        (found,), (expected,) = logits(done.model, [request]), logits(model, [request])
        assert (found - expected).abs().max() < 1e-5
    assert list(done.model.state_dict()) == list(before)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())  # the original's


def test_outliers_cost_less_when_smoothed():
    model, requests = bert(outlier=30.0), texts()
    (reference,) = logits(model, requests)
    error = []
    for candidate in (model, smooth(model, requests, arithmetic(STATIC), 0.5).model):
        simulation = Simulation(candidate, STATIC, arithmetic(STATIC), requests)
        with simulation.rounded(simulation.layers):
            (found,) = logits(candidate, requests)
        error.append((found - reference).square().mean().item())
    assert error[1] < error[0] / 2


class OnGrid(nn.Module):
    """The vector that stands for a text's first token, and a product; both lie on their grids of step 1."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(2, 4), nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            self.table.weight.copy_(torch.tensor([[0.0, 1.0, 2.0, 255.0], [3.0, 7.0, 100.0, 0.0]]))
            self.head.weight.copy_(torch.tensor([[127.0, 1.0, 5.0, 9.0], [127.0, 64.0, 2.0, 8.0]]))

    def forward(self, ids, mask, types=None):
        return self.head(self.table(ids[:, 0]))


def test_what_smoothing_would_harm_is_left_alone():
    model = OnGrid().eval()
    requests = [Features(np.array([[token]]), np.ones((1, 1), np.int64), None) for token in (0, 1)]
    done = smooth(model, requests, arithmetic(STATIC), 0.5)
    assert (done.smoothed, done.tensors) == (0, 1)
    assert torch.equal(done.model.head.weight, model.head.weight)


def test_layers_that_read_one_tensor_share_the_quotient():
    divide = Divide(torch.tensor([0.5, 2.0]))
    x = torch.tensor([[4.0, 3.0]])
    (first,), (second,) = divide(nn.Identity(), (x,)), divide(nn.Identity(), (x,))
    assert first is second
    assert first.tolist() == [[2.0, 6.0]]
    (other,) = divide(nn.Identity(), (torch.ones(1, 2),))
    assert other.tolist() == [[0.5, 2.0]]


def test_a_table_that_is_the_output_matrix_too_keeps_its_rows():
    torch.manual_seed(0)
    table, inner = nn.Embedding(50, 16), nn.Linear(16, 16)
    table.weight.data[:, 3] *= 30  # worth smoothing

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.inner, self.head = table, inner, nn.Linear(16, 50, bias=False)
            self.head.weight = table.weight

        def forward(self, input_ids, attention_mask):
            return self.head(self.inner(self.table(input_ids)))

    model, requests = Tied().eval(), texts()
    done = smooth(model, requests, arithmetic(STATIC), 0.5)
    assert done.smoothed
    assert torch.equal(done.model.table.weight, table.weight)
    for features in requests:
        given = (torch.from_numpy(features.ids), torch.from_numpy(features.mask))
        assert torch.allclose(done.model(*given), model(*given), rtol=1e-3, atol=1e-3)
