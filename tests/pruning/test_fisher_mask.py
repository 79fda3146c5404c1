"""Gate gradients against finite differences, one example at a time; rearranging against all swaps."""

import copy
import runpy
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.models import anatomy
from millis.models.selection import whole
from millis.pruning.fisher_mask import gate_gradients, rearrange
from millis.pruning.shrink import shrink

TINY = runpy.run_path(str(Path(__file__).parents[1] / "models" / "conftest.py"))


def make_model(model_type="bert", **changes):
    return TINY["make_model"](TINY["make_spec"](model_type, **changes)).double()


def make_batch(rows=5, seed=0):
    """Random ids; the last two rows end in padding."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, 100, (rows, 6), generator=generator)
    mask = torch.ones_like(ids)
    mask[-2:, 4:] = 0
    labels = torch.randint(0, 3, (rows,), generator=generator)
    return {"input_ids": ids, "attention_mask": mask, "rows": torch.arange(rows), "target/logits": labels}


def split(batch, *sizes):
    parts = {name: value.split(sizes) for name, value in batch.items()}
    return [{name: values[i] for name, values in parts.items()} for i in range(len(sizes))]


@torch.no_grad()
def loss_with_gate(model, linear, columns, gate, example):
    """The example's loss when what enters `linear` through `columns` is multiplied with `gate`."""
    kept = linear.weight.clone()
    linear.weight[:, columns] *= gate
    loss = F.cross_entropy(model(example["input_ids"], example["attention_mask"]), example["target/logits"])
    linear.weight.copy_(kept)
    return float(loss)


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "gpt2"])
def test_gradients_are_those_of_finite_differences_example_by_example(model_type):
    model, batch, step = make_model(model_type), make_batch(), 1e-5
    found = gate_gradients(model, [batch])
    layers = anatomy.find(model_type).layers(model.encoder)
    for index, example in enumerate(split(batch, 1, 1, 1, 1, 1)):
        for layer in (0, 3):
            units = [(layers[layer].attention_output, slice(8 * h, 8 * h + 8), found.heads[layer], h) for h in (0, 3)]
            units += [(layers[layer].ffn_out, slice(n, n + 1), found.ffn[layer], n) for n in (0, 17, 63)]
            for linear, columns, gradients, unit in units:
                up = loss_with_gate(model, linear, columns, 1 + step, example)
                down = loss_with_gate(model, linear, columns, 1 - step, example)
                # rel/abs: float32 gates on a double model.
                assert float(gradients[index, unit]) == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-7)


def test_batches_of_any_size_give_the_same():
    model, batch = make_model(), make_batch()
    whole_batch = gate_gradients(model, [batch])
    pieces = gate_gradients(model, split(batch, 2, 1, 2))
    for one, other in zip([*whole_batch.heads, *whole_batch.ffn], [*pieces.heads, *pieces.ffn], strict=True):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-5)
    assert [tuple(g.shape) for g in whole_batch.heads] == [(5, 4)] * 4
    assert [tuple(g.shape) for g in whole_batch.ffn] == [(5, 64)] * 4
    assert whole_batch.hidden_size == 32


def test_fisher_is_the_mean_of_squares_and_no_square_of_a_mean():
    model, batch = make_model(), make_batch()
    heads, ffn = gate_gradients(model, [batch]).fisher()
    gradients = gate_gradients(model, split(batch, 1, 1, 1, 1, 1))
    torch.testing.assert_close(heads[1], torch.stack([row**2 for row in gradients.heads[1]]).mean(0))
    torch.testing.assert_close(ffn[2], torch.stack([row**2 for row in gradients.ffn[2]]).mean(0))
    assert bool((ffn[2] > gradients.ffn[2].mean(0) ** 2 + 1e-12).any())


def test_the_model_stays_as_it_was():
    model, batch = make_model().train(), make_batch()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = gate_gradients(model, [batch])
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(gate_gradients(model, [batch]).ffn[0], first.ffn[0])  # no dropout
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "gpt2"])
def test_sublayers_without_units_have_no_gates(model_type):
    model = make_model(model_type)
    keep = whole(model.spec)
    keep.heads[1], keep.ffn[2] = torch.arange(0), torch.arange(0)
    found = gate_gradients(shrink(model, keep), [make_batch()])
    assert [tuple(g.shape) for g in (*found.heads, *found.ffn)] == [
        (5, 4), (5, 0), (5, 4), (5, 4), (5, 64), (5, 64), (5, 0), (5, 64)
    ]  # fmt: skip
    assert bool(found.heads[2].abs().sum() > 0)


def test_a_silent_unit_has_no_importance():
    model = make_model()
    layer = anatomy.find("bert").layers(model.encoder)[2]
    with torch.no_grad():
        layer.ffn_out.weight[:, 5] = 0
        layer.attention_output.weight[:, 8:16] = 0
    heads, ffn = gate_gradients(model, [make_batch()]).fisher()
    assert ffn[2][5] == 0 < ffn[2][6]
    assert heads[2][1] == 0 < heads[2][0]


def test_no_examples():
    with pytest.raises(MillisError, match="no examples to estimate importance from: pruning needs labelled training"):
        gate_gradients(make_model(), [])


def test_an_architecture_without_anatomy():
    model = copy.copy(make_model())
    model.spec = replace(model.spec, encoder={"model_type": "mpnet"})
    with pytest.raises(MillisError, match="cannot cut a 'mpnet' model"):
        gate_gradients(model, [make_batch()])


def estimate(gradients, kept):
    removed = [unit for unit in range(gradients.shape[1]) if unit not in set(kept.tolist())]
    return float(gradients[:, removed].double().sum(dim=1).square().mean())


def test_rearranging_by_hand():
    """Gradients 1, 1, -1.2, 3 of one example. Removing 0 and 1, the smallest, costs (1 + 1)² = 4; removing 1 and 2,
    which cancel, (1 - 1.2)² = 0.04."""
    gradients = torch.tensor([[1.0, 1.0, -1.2, 3.0]])
    assert rearrange(gradients, torch.tensor([2, 3])).tolist() == [0, 3]


@given(seed=st.integers(0, 10_000), examples=st.integers(1, 4), units=st.integers(1, 7), data=st.data())
def test_rearranging_ends_where_no_swap_helps(seed, examples, units, data):
    gradients = torch.randn(examples, units, generator=torch.Generator().manual_seed(seed))
    chosen = data.draw(st.sets(st.integers(0, units - 1)))
    kept = torch.tensor(sorted(chosen), dtype=torch.long)
    better = rearrange(gradients, kept)
    assert len(better) == len(kept)
    assert better.tolist() == sorted(set(better.tolist()))
    after = estimate(gradients, better)
    assert after <= estimate(gradients, kept) + 1e-9
    for swapped in combinations(range(units), len(kept)):
        if len(set(swapped) & set(better.tolist())) == len(kept) - 1:
            assert estimate(gradients, torch.tensor(swapped, dtype=torch.long)) >= after - 1e-9
