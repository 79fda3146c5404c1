"""Dropped tokens are absent ones: soft, masked and really shorter passes agree where they should."""

import math
from dataclasses import replace

import pytest
import rounded
import torch

from millis import models
from millis.errors import MillisError
from millis.models.selection import whole
from millis.models.token_pruning import (
    TokenDropping,
    importance,
    tokens_left,
)
from millis.models.transformer import whole as without_pruning
from millis.pruning.shrink import shrink

KINDS = ["bert", "roberta", "distilbert", "low rank"]


def pruned(kind="bert", thresholds=(0.14, 0.2), layers=(0, 1)):
    made = rounded.with_tokens_pruned(rounded.model(kind), list(layers)).eval()
    with torch.no_grad():
        made.thresholds.logarithms.copy_(torch.tensor(thresholds[: len(layers)]).log())
    return made


def test_importance_is_the_attention_received_on_average():
    # Two heads over two tokens; the third is padding and neither attends nor is attended to.
    attention = torch.tensor([[[[0.5, 0.5, 0], [0.1, 0.9, 0], [0.5, 0.5, 0]], [[1.0, 0, 0], [0.6, 0.4, 0], [1, 0, 0]]]])
    found = importance(attention, torch.tensor([[1.0, 1.0, 0.0]]))
    assert torch.allclose(found, torch.tensor([[(0.5 + 0.1 + 1.0 + 0.6) / 4, (0.5 + 0.9 + 0.0 + 0.4) / 4, 0.0]]))


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_thresholds_below_all_attention_change_nothing(kind):
    ids, mask, _ = rounded.batch()
    model = pruned(kind, thresholds=(1e-9, 1e-9))
    assert torch.allclose(model(ids, mask), rounded.model(kind)(ids, mask), atol=1e-5)
    assert all(torch.equal(left, mask.sum(1)) for left in tokens_left(model, ids, mask))


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_text_is_answered_the_same_whoever_is_in_the_batch(kind):
    ids, mask, _ = rounded.batch()
    model = pruned(kind)
    lengths = mask.sum(1).tolist()
    alone = [model(ids[row : row + 1, :length], mask[row : row + 1, :length]) for row, length in enumerate(lengths)]
    assert torch.allclose(model(ids, mask), torch.cat(alone), atol=1e-5)


@torch.no_grad()
def test_masking_is_removing():
    ids, mask, _ = rounded.batch()
    model = without_dropout(pruned())
    left = tokens_left(model, ids, mask)
    assert (left[0] < mask.sum(1)).any() and (left[1] <= left[0]).all() and (left[1] >= 1).all()
    shorter = model(ids, mask)
    assert torch.allclose(model.train()(ids, mask), shorter, atol=1e-5)


@torch.no_grad()
def test_a_sharp_gate_is_the_step():
    ids, mask, _ = rounded.batch()
    model = without_dropout(pruned())
    hard = model(ids, mask)
    left = torch.stack(tokens_left(model, ids, mask)).sum() / (2 * mask.sum())
    model.train().between.temperature = 1e-4
    assert torch.allclose(model(ids, mask), hard, atol=1e-4)
    assert model.between.soft_share() == pytest.approx(float(left), abs=1e-4)


def test_the_share_by_hand_and_its_gradient_are_the_thresholds_alone():
    model = pruned(layers=[0]).train()
    model.between.temperature = 1.0
    weights, log_scores = torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[-9.0, math.log(0.14), -80.0]])
    model.between.seen = [(weights, log_scores)]
    # The first token stays, the second lies on the threshold: (1.5 / 2), in both layers.
    share = model.between.soft_share()
    assert share.item() == pytest.approx(0.75)
    share.backward()
    touched = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    assert touched == ["thresholds.logarithms"]
    assert model.thresholds.logarithms.grad.item() == pytest.approx(-0.25 / 2)  # -σ'(0) / T · 1 token of 2


@torch.no_grad()
def test_the_first_token_always_stays():
    ids, mask, _ = rounded.batch()
    model = pruned(thresholds=(2.0, 2.0))
    assert all((left == 1).all() for left in tokens_left(model, ids, mask))
    assert model(ids, mask).isfinite().all()


def test_a_gradient_reaches_thresholds_and_weights_through_the_gate():
    ids, mask, labels = rounded.batch()
    model = pruned().train()
    model.between.temperature = 0.5
    torch.nn.functional.cross_entropy(model(ids, mask), labels).backward()
    assert (model.thresholds.logarithms.grad != 0).all()
    model.between.harden()
    assert model.between.temperature is None and not model.thresholds.logarithms.requires_grad


@torch.no_grad()
def test_specs_build_and_the_plain_model_comes_back():
    ids, mask, _ = rounded.batch()
    model = pruned()
    again = models.build(model.spec).eval()
    assert isinstance(again.between, TokenDropping)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(ids, mask), model(ids, mask))
    plain = without_pruning(model)
    assert plain.spec.tokens == ()
    assert torch.equal(plain(ids, mask), rounded.model()(ids, mask))
    small = shrink(model, whole(model.spec))
    assert torch.equal(small(ids, mask), model(ids, mask))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([2], r"tokens.layers=\[2\] asks for layer 2: the student has 2 layers, counted from 0"),
        ([], "expected at least one layer, each once, ascending; or null for every layer"),
        ([1, 0], "expected at least one layer, each once, ascending"),
    ],
)
def test_layers_that_cannot_be_are_refused(layers, message):
    with pytest.raises(MillisError, match=message):
        rounded.with_tokens_pruned(rounded.model(), layers)


def test_a_layer_without_heads_is_refused():
    spec = rounded.spec()
    spec = replace(spec, shape=replace(spec.shape, heads=(0, 2)), tokens=(0, 1))
    with pytest.raises(MillisError, match="layer 0 has no attention head left"):
        models.build(spec)
    assert isinstance(models.build(replace(spec, tokens=(1,))).between, TokenDropping)


@pytest.mark.parametrize("kind", ["gpt2", "albert"])
def test_architectures_whose_blocks_are_not_known_are_refused(kind):
    with pytest.raises(MillisError, match=f"the student is a '{kind}' model. Choose .* or tokens=none"):
        rounded.with_tokens_pruned(rounded.model(kind), [0])


def without_dropout(model):
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return model
