"""What is added to a loss has the scale that the loss had."""

from types import SimpleNamespace

import pytest
import torch

from millis.training.added import add_gradient, loss_scale


def trainer(scaler=None, batches=1):
    return SimpleNamespace(precision_plugin=SimpleNamespace(scaler=scaler), accumulate_grad_batches=batches)


@pytest.mark.parametrize(
    ("scaler", "batches", "expected"),
    [(None, 1, 6.0), (None, 4, 1.5), (SimpleNamespace(get_scale=lambda: 8), 2, 24.0)],
)
def test_gradients_are_scaled_and_shared_out_and_add_up(scaler, batches, expected):
    weight = torch.tensor(3.0, requires_grad=True)
    weight.grad = torch.tensor(1.0)
    add_gradient(trainer(scaler, batches), weight.square())
    assert weight.grad.item() == 1.0 + expected


def test_without_a_scaler_the_scale_is_one():
    assert loss_scale(SimpleNamespace(precision_plugin=SimpleNamespace())) == 1.0
