from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from millis.backends.onnx.arithmetic import arithmetic
from millis.quantization.simulate import Simulation, input_rounding, layer_inputs, logits, tensors
from millis.quantization.spec import Calibration, Quantization
from millis.types import Features

STATIC = Quantization(activations="static", calibration=Calibration())


class Lookup(nn.Module):
    """Logits W x of the vector x that stands for a text's first token."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding.from_pretrained(torch.tensor([[0.0, 255.0], [2.55, 1.2], [-1.0, 1.55]]))
        self.head = nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[1.27, 0.504]]))  # s = 0.01: 127 and 50

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        return self.head(self.table(input_ids[:, 0]))


def request(*tokens):
    ids = np.array([[token] for token in tokens], dtype=np.int64)
    return Features(ids, np.ones_like(ids), None)


def test_a_dynamic_product_by_hand():
    model = Lookup().eval()
    simulation = Simulation(model, Quantization(), arithmetic(Quantization()), [request(1)])
    with simulation.rounded(["head"]):
        # Row 1: range [0, 2.55], s = 0.01, z = 0: 255 and 120; 2.55 · 1.27 + 1.2 · 0.5 = 3.8385.
        # Row 2: range [-1, 1.55], s = 0.01, z = 100: -1 and 1.55 stay; -1.27 + 1.55 · 0.5 = -0.495.
        (found,) = logits(model, [request(1, 2)])
    assert found.flatten().tolist() == pytest.approx([3.8385, -0.495], abs=1e-5)
    exact = [2.55 * 1.27 + 1.2 * 0.504, -1.27 + 1.55 * 0.504]
    (found,) = logits(model, [request(1, 2)])
    assert found.flatten().tolist() == pytest.approx(exact, abs=1e-5)


def test_a_static_range_is_that_of_the_calibration_texts():
    model = Lookup().eval()
    # Token 0 gives [0, 255] and s = 1: 2.55 → 3, 1.2 → 1; what exceeds it is clipped, here -1 → 0.
    with Simulation(model, STATIC, arithmetic(STATIC), [request(0)]).rounded(["head"]):
        (found,) = logits(model, [request(1, 2)])
    assert found.flatten().tolist() == pytest.approx([3 * 1.27 + 0.5, 2 * 0.5], abs=1e-5)


def test_rows_have_a_range_for_each_token():
    by_rows = replace(arithmetic(Quantization()), activations="rows")
    x = torch.tensor([[[0.0, 2.55], [-1.0, 1.55]]])  # two tokens of one text: steps of 0.01 each, and 0.0139 together
    assert input_rounding(by_rows)(x).flatten().tolist() == pytest.approx([0, 2.55, -1, 1.55])
    assert input_rounding(arithmetic(Quantization()))(x).flatten().tolist() != pytest.approx([0, 2.55, -1, 1.55])
    model = Lookup().eval()
    with Simulation(model, Quantization(), by_rows, [request(1)]).rounded(["head"]):
        (found,) = logits(model, [request(1, 2)])  # of one vector a text, as a text's own range
    assert found.flatten().tolist() == pytest.approx([3.8385, -0.495], abs=1e-5)


def test_blocks_round_weights_alone():
    model = Lookup().eval()
    quantization = Quantization(weights=4, activations="none", block_size=32)
    with Simulation(model, quantization, arithmetic(quantization), [request(1)]).rounded(["head"]):
        # e = 1.27, s = 1.27 / -8: 1.27 is -8 of them, 0.504 is -3.17 → -3 of them.
        expected = 2.55 * 1.27 + 1.2 * (3 * 1.27 / 8)
        (found,) = logits(model, [request(1)])
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_weights_come_back_to_the_last_bit_even_after_an_error():
    model = Lookup().eval()
    before = model.head.weight.detach().clone()
    simulation = Simulation(model, Quantization(), arithmetic(Quantization()), [request(1)])
    with pytest.raises(RuntimeError, match="stop"), simulation.rounded(["head"]):
        assert not torch.equal(model.head.weight, before)
        raise RuntimeError("stop")
    assert torch.equal(model.head.weight, before)
    assert not model.head._forward_pre_hooks


def test_what_enters_a_layer():
    model = Lookup().eval()
    seen = layer_inputs(model, {"head": model.head}, request(1))
    assert seen["head"] == pytest.approx(np.array([[2.55, 1.2]]))
    assert not model.head._forward_pre_hooks


def test_token_types_are_passed_where_a_model_takes_them():
    assert len(tensors(request(1))) == 2
    assert len(tensors(request(1)._replace(token_types=request(0).ids))) == 3
