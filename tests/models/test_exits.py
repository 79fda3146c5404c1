"""A model with exits is the plain one, cut into segments that compute the same."""

import pytest
import rounded
import torch
from specs import transformer

from millis import models
from millis.errors import MillisError
from millis.models.exits import Exits, exit_logits, segments, spans
from millis.models.features import Feature, capture
from millis.models.selection import whole
from millis.models.transformer import whole as without_exits
from millis.pruning.shrink import shrink

KINDS = ["bert", "roberta", "distilbert", "low rank"]


def exiting(kind="bert"):
    made = rounded.with_exits(rounded.model(kind), [0]).eval()
    with torch.no_grad():
        for parameter in made.exits.parameters():
            parameter.normal_()
    return made


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_last_exit_answers_as_the_plain_model(kind):
    ids, mask, _ = rounded.batch()
    assert torch.allclose(
        rounded.with_exits(rounded.model(kind), [0])(ids, mask), rounded.model(kind)(ids, mask), atol=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_segments_compute_what_the_model_does(kind):
    model = exiting(kind)
    ids, mask, _ = rounded.batch()
    first, second = segments(model)
    states, early = first(ids, mask)
    _, last = second(states, mask)
    expected = exit_logits(model, ids, mask)
    assert torch.allclose(early, expected[0], atol=1e-6)
    assert torch.allclose(last, expected[1], atol=1e-6)


def test_spans_lie_between_the_exits():
    spec = transformer([2] * 6, exits=[1, 3])
    assert spans(spec) == [range(0, 2), range(2, 4), range(4, 6)]


def test_a_spec_with_exits_is_built_and_filled():
    model = exiting()
    again = models.build(model.spec)
    assert isinstance(again.between, Exits)
    again.load_state_dict(model.state_dict())


@torch.no_grad()
def test_taking_the_exits_out_leaves_the_plain_model():
    ids, mask, _ = rounded.batch()
    plain = without_exits(exiting())
    assert plain.spec.exits == ()
    assert torch.equal(plain(ids, mask), rounded.model()(ids, mask))


def test_logits_of_exits_are_features_with_a_gradient():
    model = exiting()
    ids, mask, _ = rounded.batch()
    with capture(model, {Feature("exit", 0)}) as found:
        model(ids, mask)
    assert torch.equal(found[Feature("exit", 0)], exit_logits(model, ids, mask)[0])
    found[Feature("exit", 0)].sum().backward()
    assert model.exits["0"].weight.grad is not None
    assert model.head.weight.grad is None


@torch.no_grad()
def test_a_shrunk_model_keeps_its_exits():
    model = exiting()
    ids, mask, _ = rounded.batch()
    small = shrink(model, whole(model.spec))
    for ours, theirs in zip(exit_logits(small, ids, mask), exit_logits(model, ids, mask), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([5], r"asks for an exit after layer 5: the student has 2 layers, counted from 0, and an exit may stand after"),
        ([1], r"asks for an exit after layer 1: .* \(the last one's answer is the model's own\)"),
        ([], "expected at least one layer, each once, ascending; or null for every layer but the last"),
        ([0, 0], "expected at least one layer, each once, ascending"),
    ],
)
def test_exits_that_cannot_be_are_refused(layers, message):
    with pytest.raises(MillisError, match=message):
        rounded.with_exits(rounded.model(), layers)


@pytest.mark.parametrize("kind", ["gpt2", "albert"])
def test_architectures_whose_blocks_are_not_known_are_refused(kind):
    with pytest.raises(MillisError, match=f"the student is a '{kind}' model. Choose student=transformer"):
        rounded.with_exits(rounded.model(kind), [0])
