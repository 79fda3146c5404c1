"""Criteria that need no gradient: magnitude, the random control, and weight times activation."""

import pytest
import torch
from torch import nn

from millis.pruning.criterion.magnitude import Magnitude
from millis.pruning.criterion.random import Random
from millis.pruning.criterion.wanda import Wanda
from millis.pruning.granularity.element import Element
from millis.pruning.granularity.neuron import Neuron
from millis.pruning.mask import Masks


def test_magnitude_is_that_of_the_weights_now(net):
    model = net()
    masks = Masks(model, Element().groups(model, None), Magnitude())
    assert masks.criterion.scores(0).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    with torch.no_grad():
        model.body.parametrizations.weight.original[0, 0] = -9
    masks.set([torch.zeros(2, 4, dtype=torch.bool)])  # a masked weight keeps its magnitude
    assert masks.criterion.scores(0)[0].tolist() == [9, 2, 3, 4]


def test_random_is_drawn_once_from_its_own_seed(net):
    drawn = []
    for seed, torch_seed in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(torch_seed)
        model = net()
        criterion = Masks(model, Element().groups(model, None), Random(seed)).criterion
        assert torch.equal(criterion.scores(0), criterion.scores(0))
        drawn.append(criterion.scores(0))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_wanda_by_hand(net):
    # Tokens (3, 0, 1, 0) and (4, 2, 0, 0): norms 5, 2, 1, 0. |w| = 1 2 3 4 / 5 6 7 8.
    model = net()
    masks = Masks(model, Element().groups(model, None), Wanda())
    model.train()
    model(torch.tensor([[3.0, 0.0, 1.0, 0.0]]))
    model(torch.tensor([[4.0, 2.0, 0.0, 0.0]]))
    model.eval()
    model(torch.full((1, 4), 100.0))  # evaluation is not looked at
    assert masks.criterion.scores(0).tolist() == [[5, 4, 3, 0], [25, 12, 7, 0]]
    masks.settle()
    model.train()
    model(torch.full((1, 4), 100.0))
    assert masks.criterion.scores(0).tolist() == [[5, 4, 3, 0], [25, 12, 7, 0]]
    assert not model.body._forward_pre_hooks
    assert not model._forward_pre_hooks


@pytest.mark.parametrize("by_name", [True, False])
def test_wanda_leaves_padding_out(net, by_name):
    model = net()
    masks = Masks(model, Element().groups(model, None), Wanda())
    model.train()
    x, mask = torch.ones(2, 3, 4), torch.tensor([[1, 1, 0], [1, 0, 0]])
    x[0, 2], x[1, 1:] = 50.0, 50.0
    _ = model(x, attention_mask=mask) if by_name else model(x, mask)
    assert masks.criterion.powers[0].tolist() == [3, 3, 3, 3]


def test_wanda_counts_the_tokens_of_a_table():
    class Lookup(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding.from_pretrained(torch.ones(3, 2), freeze=False)

        def forward(self, ids):
            return self.table(ids)

    model = Lookup().train()
    masks = Masks(model, Element(embeddings=True).groups(model, None), Wanda())
    model(torch.tensor([[0, 0, 0, 0, 2]]))
    assert masks.criterion.scores(0).tolist() == [[2, 2], [0, 0], [1, 1]]


def test_wanda_sums_over_the_weights_of_a_neuron(encoder, batch):
    model = encoder().train()
    masks = Masks(model, Neuron().groups(model, None), Wanda())
    layer = model.encoder.encoder.layer[0]
    seen = {}
    for name, linear in (("in", layer.intermediate.dense), ("out", layer.output.dense)):
        linear.register_forward_pre_hook(lambda _, x, name=name: seen.update({name: x[0][batch[1].bool()]}))
    model(*batch)
    norms = {name: x.norm(dim=0) for name, x in seen.items()}
    weights = layer.intermediate.dense.weight.abs() @ norms["in"]
    expected = weights + layer.output.dense.weight.abs().sum(0) * norms["out"]
    torch.testing.assert_close(masks.criterion.scores(0), expected)
