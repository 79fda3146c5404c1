"""Modules of low rank, in every architecture."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from millis import models
from millis.errors import MillisError
from millis.models import anatomy
from millis.models.low_rank import LowRankEmbedding, LowRankLinear, break_even, install
from millis.models.matrices import ROLES, find


def test_linear_is_the_product_of_its_factors():
    """U = [[1], [2]], V = [[3, 4]], b = (10, 20): W = [[3, 4], [6, 8]], so (1, 1) gives (17, 34)."""
    layer = LowRankLinear(2, 2, 1)
    layer.set_factors(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0, 4.0]]), nn.Linear(2, 2))
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([10.0, 20.0]))
        assert layer(torch.ones(1, 2)).tolist() == [[17, 34]]
    assert layer.weight.tolist() == [[3, 4], [6, 8]]
    assert list(layer.state_dict()) == ["down.weight", "up.weight", "up.bias"]


def test_embedding_is_the_product_of_its_factors():
    """Rows 1 and 2 of one number each, times (3, 4)."""
    table = LowRankEmbedding(2, 2, 1, padding_idx=0)
    table.set_factors(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0, 4.0]]), None)
    assert table(torch.tensor([[1, 0]])).tolist() == [[[6, 8], [3, 4]]]
    assert table.weight.tolist() == [[3, 4], [6, 8]]
    assert table.table.padding_idx == 0
    assert list(table.state_dict()) == ["table.weight", "projection.weight"]


def test_bias_is_there_where_it_was_and_taken_over():
    whole = nn.Linear(4, 3)
    layer = LowRankLinear(4, 3, 1)
    layer.set_factors(torch.ones(3, 1), torch.ones(1, 4), whole)
    assert torch.equal(layer.bias, whole.bias)
    bare = LowRankLinear(4, 3, 1, bias=False)
    bare.set_factors(torch.ones(3, 1), torch.ones(1, 4), nn.Linear(4, 3, bias=False))
    assert bare.bias is None


def test_break_even_by_hand():
    """6 x 3 = 18 weights; rank 2 holds 2 * 9 = 18."""
    assert break_even(6, 3) == 2


@pytest.mark.parametrize("model_type", anatomy.supported())
def test_every_role_of_every_architecture(spec, model, batch, model_type):
    whole = model(spec(model_type))
    ranks = dict.fromkeys(find(whole, ROLES, "x"), 3)
    assert len(ranks) == 4 * 6 + 1
    small = models.build(replace(whole.spec, ranks=ranks)).eval()
    assert small(*batch(2, 6)).shape == (2, 3)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in whole.parameters())
    assert not [name for name in find(small, ["*"], "x") if name in ranks]


def test_a_spec_that_names_no_matrix(spec):
    with pytest.raises(MillisError) as error:
        models.build(spec(ranks={"encoder.encoder.layer.0.intermediate.dence": 4}))
    assert str(error.value) == (
        "the spec gives a rank to 'encoder.encoder.layer.0.intermediate.dence', which is no matrix of its model (did "
        "you mean 'encoder.encoder.layer.0.intermediate.dense'?). Load the artifact with the millis that wrote it, or "
        "make it again"
    )
    with pytest.raises(MillisError, match="'1', which is no matrix"):
        install(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), {"1": 1})
