"""Reconstruction recovers what can be recovered, and is ridge regression as scikit-learn does it."""

import copy
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from millis.errors import MillisError
from millis.models import anatomy
from millis.models.selection import whole
from millis.pruning import reconstruct as reconstruction
from millis.pruning.reconstruct import reconstruct
from millis.pruning.shrink import shrink

TINY = runpy.run_path(str(Path(__file__).parents[1] / "models" / "conftest.py"))
FAMILIES = ["bert", "roberta", "distilbert", "electra", "gpt2"]


def make_model(model_type="bert", layers=4, **changes):
    config = {**TINY["CONFIGS"][model_type], anatomy.find(model_type).keys.layers: layers}
    shape = {"head_size": 8, "heads": [4] * layers, "ffn": [64] * layers}
    return TINY["make_model"](TINY["make_spec"](model_type, encoder=config, shape=shape, **changes))


def make_batches(count=6, rows=8, length=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(count):
        ids = torch.randint(4, 100, (rows, length), generator=generator)
        mask = (torch.arange(length) < torch.randint(3, length + 1, (rows, 1), generator=generator)).long()
        batches.append({"input_ids": ids, "attention_mask": mask})
    return batches


def logits(model, batches):
    with torch.no_grad():
        return torch.cat([model.eval()(**batch) for batch in batches])


def ffn_stream(model, layer, batches):
    """What enters the output of a post-norm layer's feed-forward, and the stream after it, token by token."""
    parts = anatomy.find(model.spec.kind).layers(model.encoder)[layer]
    found = {"z": [], "stream": []}
    handles = [
        parts.ffn_out.register_forward_pre_hook(lambda _, inputs: found["z"].append(inputs[0])),
        parts.ffn_norm.register_forward_pre_hook(lambda _, inputs: found["stream"].append(inputs[0])),
    ]
    logits(model, batches)
    for handle in handles:
        handle.remove()
    tokens = [batch["attention_mask"].bool() for batch in batches]
    return [torch.cat([v[t] for v, t in zip(values, tokens, strict=True)]).double() for values in found.values()]


@pytest.mark.parametrize("model_type", FAMILIES)
def test_what_is_whole_stays_as_it_is(model_type):
    model, batches = make_model(model_type), make_batches()
    same = shrink(model, whole(model.spec))
    reconstruct(same, model, whole(model.spec), batches)
    torch.testing.assert_close(logits(same, batches), logits(model, batches), atol=1e-5, rtol=0)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_what_another_unit_also_does_is_recovered(model_type, monkeypatch):
    """Head 1 repeats head 0 and neurons 32.. repeat 0..31, in all but their outputs: without them nothing is lost.

    Held-out texts show that the outputs have to change, so the weakest ridge is taken.
    """
    monkeypatch.setattr(reconstruction, "RIDGES", (1e-9, 1.0))
    model, batches = make_model(model_type), make_batches(count=12)
    with torch.no_grad():
        for layer in anatomy.find(model_type).layers(model.encoder):
            for linear in (layer.query, layer.key, layer.value):
                linear.weight[8:16], linear.bias[8:16] = linear.weight[:8], linear.bias[:8]
            layer.ffn_in.weight[32:], layer.ffn_in.bias[32:] = layer.ffn_in.weight[:32], layer.ffn_in.bias[:32]
    keep = replace(whole(model.spec), heads=[torch.tensor([0, 2, 3])] * 4, ffn=[torch.arange(32)] * 4)
    small, new = shrink(model, keep), make_batches(seed=1)
    assert (logits(small, new) - logits(model, new)).abs().max() > 0.05
    reconstruct(small, model, keep, batches)
    torch.testing.assert_close(logits(small, new), logits(model, new), atol=2e-4, rtol=0)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_new_texts_are_answered_more_alike(model_type):
    """Also with a layer gone, and sublayers that have nothing left."""
    model, nothing = make_model(model_type), torch.arange(0)
    everything = whole(model.spec)
    keep = replace(
        everything, layers=[0, 1, 3], heads=[torch.arange(3), nothing, torch.arange(2)],
        ffn=[torch.arange(48), torch.arange(20), nothing],
    )  # fmt: skip
    small, new = shrink(model, keep), make_batches(seed=1)
    before = (logits(small, new) - logits(model, new)).square().mean()
    reconstruct(small, model, keep, make_batches(count=40))
    after = (logits(small, new) - logits(model, new)).square().mean()
    assert after < before


def test_it_is_ridge_regression_towards_the_present_weights(monkeypatch):
    """Reference: scikit-learn's, of what the weights miss: alpha = λ · (sum of z's variances / F') · T."""
    monkeypatch.setattr(reconstruction, "RIDGES", (0.3,))
    model, batches = make_model(layers=1), make_batches()
    keep = replace(whole(model.spec), ffn=[torch.arange(10, 30)])
    small = shrink(model, keep)
    (z, now), (_, wanted) = ffn_stream(small, 0, batches), ffn_stream(model, 0, batches)
    before = anatomy.find("bert").layers(small.encoder)[0].ffn_out
    weight, bias = before.weight.detach().double(), before.bias.detach().double()
    alpha = 0.3 * float(z.var(dim=0, unbiased=False).mean()) * len(z)
    expected = Ridge(alpha=alpha).fit(z.numpy(), (wanted - now).numpy())
    reconstruct(small, model, keep, batches)
    after = anatomy.find("bert").layers(small.encoder)[0].ffn_out
    np.testing.assert_allclose(after.weight.detach().numpy(), weight.numpy() + expected.coef_, atol=1e-4)
    np.testing.assert_allclose(after.bias.detach().numpy(), bias.numpy() + expected.intercept_, atol=1e-4)


def test_the_ridge_is_the_one_that_errs_least_on_every_fourth_text(monkeypatch):
    model, batches = make_model(layers=1), make_batches(count=3, rows=6)
    keep = replace(whole(model.spec), ffn=[torch.arange(40)])
    (z, now), (_, wanted) = (ffn_stream(m, 0, batches) for m in (shrink(model, keep), model))
    numbers = torch.arange(18)[:, None].expand(18, 9)  # of the text that each token is in
    text = numbers[torch.cat([batch["attention_mask"] for batch in batches]).bool()]
    held = text % 4 == 0
    errors = {}
    for ridge in reconstruction.RIDGES:
        alpha = ridge * float(z[~held].var(dim=0, unbiased=False).mean()) * int((~held).sum())
        fitted = Ridge(alpha=alpha).fit(z[~held].numpy(), (wanted - now)[~held].numpy())
        errors[ridge] = np.square(fitted.predict(z[held].numpy()) - (wanted - now)[held].numpy()).sum()
    best = min(errors, key=errors.get)
    fits = {}
    for ridges in (reconstruction.RIDGES, *((ridge,) for ridge in reconstruction.RIDGES)):
        monkeypatch.setattr(reconstruction, "RIDGES", ridges)
        small = shrink(model, keep)
        reconstruct(small, model, keep, batches)
        fits[ridges] = anatomy.find("bert").layers(small.encoder)[0].ffn_out.weight.detach()
    chosen, *others = fits.values()
    same = [ridges[0] for ridges, fit in zip(list(fits)[1:], others, strict=True) if (fit - chosen).abs().max() < 1e-5]
    assert same == [best]


@settings(max_examples=15)
@given(neurons=st.sets(st.integers(0, 63)), count=st.integers(1, 4), seed=st.integers(0, 99))
def test_the_error_on_the_calibration_texts_never_rises(neurons, count, seed):
    model, batches = make_model(layers=1), make_batches(count=count, rows=2, seed=seed)
    keep = replace(whole(model.spec), ffn=[torch.tensor(sorted(neurons), dtype=torch.long)])
    small = shrink(model, keep)
    wanted = ffn_stream(model, 0, batches)[1]
    before = (ffn_stream(small, 0, batches)[1] - wanted).square().sum()
    reconstruct(small, model, keep, batches)
    after = (ffn_stream(small, 0, batches)[1] - wanted).square().sum()
    assert float(after) <= float(before) * (1 + 1e-5) + 1e-6


def test_a_sublayer_without_units_adds_what_is_missing_on_average():
    model, batches = make_model(layers=1), make_batches()
    keep = replace(whole(model.spec), ffn=[torch.arange(0)])
    small = shrink(model, keep)
    wanted, now = ffn_stream(model, 0, batches)[1], ffn_stream(small, 0, batches)[1]
    bias = anatomy.find("bert").layers(small.encoder)[0].ffn_out.bias
    expected = bias.detach().double() + (wanted - now).mean(dim=0)
    reconstruct(small, model, keep, batches)
    torch.testing.assert_close(bias.detach().double(), expected, atol=1e-5, rtol=0)


def test_fewer_channels_follow_the_channels_they_were():
    model, batches = make_model(layers=1), make_batches()
    keep = replace(whole(model.spec), hidden=torch.arange(0, 32, 2), ffn=[torch.arange(40)])
    small = shrink(model, keep)
    wanted = ffn_stream(model, 0, batches)[1][:, ::2]
    before = (ffn_stream(small, 0, batches)[1] - wanted).square().mean()
    reconstruct(small, model, keep, batches)
    assert (ffn_stream(small, 0, batches)[1] - wanted).square().mean() < before / 2


def test_padding_is_not_fitted():
    model, batches = make_model(layers=2), make_batches(count=2)
    keep = replace(whole(model.spec), ffn=[torch.arange(40)] * 2)
    longer = []
    for batch in batches:
        wide = {name: torch.cat([value, torch.zeros(8, 5, dtype=torch.long)], dim=1) for name, value in batch.items()}
        longer.append(wide)
    one, other = shrink(model, keep), shrink(model, keep)
    reconstruct(one, model, keep, batches)
    reconstruct(other, model, keep, longer)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_only_outputs_change_and_modes_stay():
    model, batches = make_model().train(), make_batches(count=2)
    keep = replace(whole(model.spec), ffn=[torch.arange(40)] * 4)
    small = shrink(model, keep)
    before, large = copy.deepcopy(small.state_dict()), copy.deepcopy(model.state_dict())
    reconstruct(small, model, keep, batches)
    assert small.training and model.training
    assert all(torch.equal(large[name], value) for name, value in model.state_dict().items())
    changed = {name for name, value in small.state_dict().items() if not torch.equal(before[name], value)}
    assert changed
    assert all("output.dense" in name for name in changed)
    assert not any(module._forward_pre_hooks for module in [*small.modules(), *model.modules()])


def test_a_lone_text_is_enough():
    model, batch = make_model(layers=1), make_batches(count=1, rows=1)
    keep = replace(whole(model.spec), ffn=[torch.arange(40)])
    small = shrink(model, keep)
    reconstruct(small, model, keep, batch)
    assert bool(torch.isfinite(logits(small, batch)).all())


def test_no_texts():
    model = make_model(layers=1)
    with pytest.raises(MillisError, match="no texts to reconstruct pruned layers from: pruning needs training texts"):
        reconstruct(model, model, whole(model.spec), [])
