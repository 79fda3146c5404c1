"""Granularities of matrices: which layers, which tiles, which of them stay."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from millis import models
from millis.errors import MillisError
from millis.pruning.granularity.block import Block
from millis.pruning.granularity.element import Element
from millis.pruning.granularity.n_m import NM
from millis.pruning.granularity.weights import matrices

PER_LAYER = 6  # query, key, value, attention output, ffn_in, ffn_out


def test_by_default_all_linear_layers_but_the_classifier(encoder):
    names = list(matrices(encoder(), None, embeddings=False))
    assert len(names) == 2 * PER_LAYER
    assert names[0] == "encoder.encoder.layer.0.attention.self.query"
    assert not [name for name in names if "embedding" in name or name.startswith("head")]


def test_early_classifiers_are_left_alone_too(spec):
    model = models.build(spec(exits=[0]))
    assert "exits.0" in dict(model.named_modules())
    assert not [group.name for group in Element().groups(model, None) if group.name.startswith(("head", "exits"))]
    assert [group.name for group in Element().groups(model, "exits")] == ["exits.0"]


def test_the_classifiers_of_several_outputs_are_left_alone_too(spec):
    outputs = [["intent", "text", 3, "one"], ["tags", "token", 5, "one"]]
    model = models.build(spec(outputs=outputs))
    assert {"head.intent", "head.tags"} < set(dict(model.named_modules()))
    assert len(matrices(model, None, embeddings=False)) == len(model.spec.shape.heads) * PER_LAYER
    assert list(matrices(model, ["head.tags$"], embeddings=False)) == ["head.tags"]


def test_embeddings_and_the_classifier_when_asked(encoder):
    model = encoder()
    names = list(matrices(model, None, embeddings=True))
    assert "encoder.embeddings.word_embeddings" in names
    assert "head" not in names
    assert list(matrices(model, ["head$", "layer.1.*query"], embeddings=False)) == [
        "encoder.encoder.layer.1.attention.self.query", "head"
    ]  # fmt: skip
    with pytest.raises(MillisError, match="matches none of the 13 prunable layers"):
        matrices(model, "word_embeddings", embeddings=False)


def test_a_model_without_linear_layers_is_refused(bag):
    with pytest.raises(MillisError) as caught:
        matrices(bag(), None, embeddings=False)
    assert str(caught.value) == (
        "pruning finds no linear layer in this student beside its classification head: choose pruning=none"
    )


def test_elements_are_units_of_their_own(net):
    [group] = Element().groups(net(), None)
    assert (group.name, group.shape, group.size) == ("body", (2, 4), 1)


def test_blocks_by_hand(net):
    # |weights| 1 2 3 4 / 5 6 7 8: tiles of 2 x 2 sum to 1+2+5+6 = 14 and 3+4+7+8 = 22.
    granularity = Block(rows=2, columns=2)
    [group] = granularity.groups(net(), None)
    scores = group.total(lambda tiles: tiles.values.abs())
    assert scores.tolist() == [[14, 22]]
    [keep] = granularity.keep([group], [scores], 0.5, "global")
    [tiles] = group.scored
    mask = tiles.spread(keep.float()) * torch.ones(2, 4)
    assert mask.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


def test_two_of_four_by_hand():
    scores = torch.tensor([[1.0, 5.0, 3.0, 2.0, 8.0, 7.0, 6.0, 9.0], [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]])
    [keep] = NM(2, 4).keep([None], [scores], 0.5, "global")
    assert keep.int().tolist() == [[0, 1, 1, 0, 1, 0, 0, 1], [0, 0, 1, 1, 1, 0, 1, 0]]


@pytest.mark.parametrize(("sparsity", "gone"), [(0.0, 0), (0.2, 0), (0.25, 1), (0.49, 1), (0.5, 2)])
def test_two_of_four_passes_through_three_of_four(sparsity, gone):
    [keep] = NM(2, 4).keep([None], [torch.rand(3, 8)], sparsity, "local")
    assert ((~keep).reshape(3, 2, 4).sum(-1) == gone).all()


@given(n=st.integers(1, 7), extra=st.integers(1, 5), rows=st.integers(1, 4), patterns=st.integers(1, 3))
def test_every_m_keep_n_and_those_of_the_highest_scores(n, extra, rows, patterns):
    m = n + extra
    scores = torch.rand(rows, patterns * m, generator=torch.Generator().manual_seed(n * m))
    [keep] = NM(n, m).keep([None], [scores], 1 - n / m, "global")
    keep, scores = keep.reshape(-1, m), scores.reshape(-1, m)
    assert (keep.sum(-1) == n).all()
    assert (scores.masked_fill(~keep, 2).amin(-1) >= scores.masked_fill(keep, -1).amax(-1)).all()


def test_a_pattern_has_its_own_sparsity():
    for sparsity in (0.6, 0.4):
        with pytest.raises(MillisError) as caught:
            NM(2, 4).check(sparsity)
        assert str(caught.value) == (
            f"2:4 has a sparsity of 0.5, not {sparsity}: set pruning.sparsity=0.5, or choose another n and m"
        )
    NM(1, 3).check(0.6666667)


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide, self.odd, self.head = nn.Linear(8, 6), nn.Linear(6, 4), nn.Linear(4, 2)


def test_what_does_not_divide_is_named():
    with pytest.raises(MillisError) as caught:
        NM(2, 4).groups(Odd(), None)
    assert str(caught.value) == (
        "2:4 sparsity needs inputs in multiples of 4, but 'odd' has 6. Choose another pruning.granularity.m, or leave "
        "that layer out with pruning.targets"
    )
    with pytest.raises(MillisError) as caught:
        Block(4, 2).groups(Odd(), None)
    assert str(caught.value) == (
        "blocks of 4x2 do not divide 'wide' of 6x8. Choose pruning.granularity.rows and columns that do, or leave that "
        "layer out with pruning.targets"
    )
    assert [group.name for group in NM(2, 4).groups(Odd(), "wide")] == ["wide"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NM(4, 4), "pruning.granularity.n=4, m=4: expected 1 <= n < m, as in 2:4"),
        (lambda: NM(0, 4), "pruning.granularity.n=0, m=4: expected 1 <= n < m, as in 2:4"),
        (lambda: Block(0, 4), "pruning.granularity.rows=0, columns=4: expected at least 1 of each"),
    ],
)
def test_settings_without_sense(make, message):
    with pytest.raises(MillisError) as caught:
        make()
    assert str(caught.value) == message
