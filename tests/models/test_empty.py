"""Linears without inputs or outputs against nn.Linear of the same sizes, which PyTorch computes in eager mode."""

import pytest
import torch
from torch import nn

from millis.models.empty import Empty, NoHeads, replace_module


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_without_outputs_it_gives_what_a_linear_of_no_rows_gives():
    states = torch.randn(2, 3, 4)
    assert Empty(4, 0)(states).shape == nn.Linear(4, 0)(states).shape == (2, 3, 0)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_without_inputs_it_gives_the_bias_for_each_position_in_training_and_once_otherwise():
    empty, linear, states = Empty(0, 2), nn.Linear(0, 2), torch.randn(5, 3, 0)
    with torch.no_grad():
        empty.bias.copy_(torch.tensor([1.0, -2.0]))
        linear.bias.copy_(empty.bias)
    assert torch.equal(empty.train()(states), linear(states))
    assert empty.eval()(states).tolist() == [1.0, -2.0]


def test_it_has_a_linears_members_and_is_none():
    empty = Empty(3, 0)
    assert (empty.in_features, empty.out_features) == (3, 0)
    assert [(name, tuple(value.shape)) for name, value in empty.state_dict().items()] == [
        ("weight", (0, 3)), ("bias", (0,))
    ]  # fmt: skip
    assert not isinstance(empty, nn.Linear)


def test_an_attention_without_heads_runs_what_follows_them_alone():
    attention = nn.Module()
    attention.query, attention.out, attention.scaling = nn.Linear(2, 2), Empty(0, 2), 0.5
    with torch.no_grad():
        attention.out.bias.copy_(torch.tensor([3.0, 4.0]))
    states = torch.zeros(1, 2, 2)
    output, weights = NoHeads(attention, ("out",)).eval()(states, attention_mask=None, past_key_values=None)
    assert output.tolist() == [3.0, 4.0]
    assert weights is None
    through, _ = NoHeads(attention, ())(states)
    assert through is states
    assert set(NoHeads(attention, ()).state_dict()) == set(attention.state_dict())


def test_replacing_a_module_at_any_depth():
    old, new = nn.Linear(1, 1), nn.Identity()
    root = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU(), old))
    replace_module(root, old, new)
    assert root[1][1] is new
    assert isinstance(root[0], nn.ReLU)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_without_a_bias_it_gives_zeros():
    empty, linear, states = Empty(0, 2, biased=False), nn.Linear(0, 2, bias=False), torch.randn(5, 3, 0)
    assert list(empty.state_dict()) == ["weight"]
    assert torch.equal(empty.train()(states), linear(states))
    assert empty.eval()(states).tolist() == [0.0, 0.0]
