"""Attention spelled out is the fused one, whatever is padded; and a model is left as it was found."""

import pytest
import rounded
import torch

from millis.models.blocks import FAR, post_norm_types, spelled_out, written_mask
from millis.models.exits import exit_logits


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "low rank"])
@torch.no_grad()
def test_spelled_out_attention_is_the_fused_one(kind):
    ids, mask, _ = rounded.batch()
    model = rounded.model(kind)
    fused, before = model(ids, mask), model.encoder.config._attn_implementation
    with spelled_out(model):
        assert model.encoder.config._attn_implementation == "eager" != before
        assert torch.allclose(model(ids, mask), fused, atol=1e-5)
    assert model.encoder.config._attn_implementation == before
    assert torch.equal(model(ids, mask), fused)


@torch.no_grad()
def test_segments_are_spelled_out_with_their_model():
    ids, mask, _ = rounded.batch()
    model = rounded.with_exits(rounded.model(), [0]).eval()
    fused = exit_logits(model, ids, mask)
    with spelled_out(model):
        spelled = exit_logits(model, ids, mask)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(spelled, fused, strict=True))


@pytest.mark.parametrize("kind", ["gpt2", "albert", "static"])
def test_what_is_not_known_stays_as_it_is(kind):
    model = rounded.model(kind)
    before = getattr(getattr(model, "encoder", None), "config", None)
    before = before and before._attn_implementation
    with spelled_out(model):
        assert before is None or model.encoder.config._attn_implementation == before


def test_masks_are_written_for_the_attention_that_takes_them():
    mask = torch.tensor([[1, 1, 0]])
    model = rounded.model()
    assert written_mask(model.encoder.config, mask).tolist() == [[[[True, True, False]]]]
    with spelled_out(model):
        assert written_mask(model.encoder.config, mask).tolist() == [[[[0.0, 0.0, FAR]]]]


def test_the_post_norm_architectures_are_named():
    assert {"bert", "roberta", "distilbert", "electra"} <= set(post_norm_types())
    assert "gpt2" not in post_norm_types()
