"""Recipes: every config prunes to its target, masked and shrunk agree, and what makes no sense is refused."""

import copy
import math
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st

from millis import models
from millis.cli.hydra_app import conf_dir
from millis.errors import MillisError
from millis.pruning.criterion.hard_concrete import HardConcrete
from millis.pruning.criterion.magnitude import Magnitude
from millis.pruning.criterion.movement import Movement
from millis.pruning.criterion.random import Random
from millis.pruning.granularity.block import Block
from millis.pruning.granularity.element import Element
from millis.pruning.granularity.head import Head
from millis.pruning.granularity.hidden import Hidden
from millis.pruning.granularity.layer import Layer
from millis.pruning.granularity.n_m import NM
from millis.pruning.granularity.neuron import Neuron
from millis.pruning.granularity.together import HeadsAndNeurons
from millis.pruning.recipe import Pruning
from millis.pruning.schedule import Cubic, OneShot
from millis.pruning.shrink import shrink

CONF = Path(conf_dir()) / "pruning"
RECIPES = sorted(file.stem for file in CONF.glob("*.yaml") if "millis.pruning.recipe.Pruning" in file.read_text())
ARCHITECTURES = ["bert", "distilbert", "electra", "gpt2", "roberta"]
PARTS = [Head(), Neuron(), HeadsAndNeurons(), Hidden(), Layer()]


def pruning(criterion=None, part=None, schedule=None, sparsity=0.5, **settings):
    return Pruning(criterion or Magnitude(), part or Element(), schedule or OneShot(), sparsity, **settings)


def composed(name):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(f"pruning/{name}", overrides=["+seed=0"]).pruning


def pruned(recipe, model, batch, steps=2):
    """Attach, watch a few backward passes, prune to the target, settle."""
    masks = recipe.attach(model)
    model.train()
    for _ in range(steps):
        model.zero_grad()
        loss = model(*batch).square().sum()
        penalty = masks.criterion.pressure(recipe.sparsity)
        (loss if penalty is None else loss + penalty).backward()
        masks.criterion.update(1.0)
    recipe.prune(masks, 1.0)
    masks.settle()
    model.eval()
    return masks


def test_none_is_no_recipe():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        assert instantiate(compose("pruning/none").pruning) is None


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_prunes_to_its_target_and_comes_off(name, encoder, spec, batch):
    cfg = composed(name)
    if "block" in cfg.granularity._target_:
        cfg.granularity.rows = cfg.granularity.columns = 4  # the tiny encoder has 12 neurons
    recipe = instantiate(cfg)
    assert recipe.plan(total=1000, epoch=100).share(1000) == 1
    model = encoder()
    masks = pruned(recipe, model, batch)
    largest = max(group.size for group in masks.groups) / sum(
        g.size * torch.ones(g.shape).numel() for g in masks.groups
    )
    assert masks.sparsity()[0] == pytest.approx(recipe.sparsity, abs=largest)
    with torch.no_grad():
        before = model(*batch)
        plain, selection = recipe.finish(model)
        assert plain is model
        after = plain(*batch) if selection is None else shrink(plain, selection)(*batch)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    fresh = models.build(spec())
    fresh.load_state_dict(plain.state_dict())


@settings(max_examples=20)
@given(
    part=st.sampled_from(PARTS),
    model_type=st.sampled_from(ARCHITECTURES),
    sparsity=st.floats(0, 0.85),
    seed=st.integers(0, 50),
    allocation=st.sampled_from(["global", "local"]),
)
def test_masked_and_shrunk_agree(encoders, batch, part, model_type, sparsity, seed, allocation):
    recipe = pruning(Random(seed), part, sparsity=min(sparsity, 0.49 if part == Layer() else 1), allocation=allocation)
    model = copy.deepcopy(encoders[model_type])
    masks = recipe.attach(model)
    recipe.prune(masks, 1.0)
    with torch.no_grad():
        before = model(*batch)
        model, selection = recipe.finish(model)
        small = shrink(model, selection)
        torch.testing.assert_close(small(*batch), before, atol=1e-5, rtol=1e-5)
    final = recipe.final_spec(encoders[model_type].spec)
    assert final is None or final == small.spec


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_learned_gates_are_shrunk_as_they_were_validated(encoder, batch, part):
    recipe, model = pruning(HardConcrete(), part, sparsity=0.25), encoder()
    masks = recipe.attach(model)
    with torch.no_grad():
        for index, group in enumerate(masks.groups):  # gates between 0 and 1
            masks.criterion.log_alpha[index].copy_(torch.linspace(-1.5, 1.5, math.prod(group.shape)).view(group.shape))
        recipe.prune(masks, 1.0)
        before = model(*batch)
        model, selection = recipe.finish(model)
        torch.testing.assert_close(shrink(model, selection)(*batch), before, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("part", "allocation", "known"),
    [
        (Element(), "global", True), (Head(), "global", False), (Head(), "local", True), (Neuron(), "local", True),
        (HeadsAndNeurons(), "global", False), (Hidden(), "global", True), (Layer(), "global", True),
    ],
)  # fmt: skip
def test_the_final_architecture_is_told_where_it_is_known(spec, part, allocation, known):
    recipe = pruning(part=part, allocation=allocation)
    final = recipe.final_spec(spec())
    assert (final is not None) == known
    expected = {
        Element: (16, [4, 4], [12, 12]), Head: (16, [2, 2], [12, 12]), Neuron: (16, [4, 4], [6, 6]),
        Hidden: (8, [4, 4], [12, 12]), Layer: (16, [4], [12]),
    }  # fmt: skip
    if final is not None:
        found = (final.encoder["hidden_size"], list(final.shape.heads), list(final.shape.ffn))
        assert found == expected[type(part)]


def test_which_of_uneven_layers_stay_is_not_known_before(spec):
    uneven = spec(shape={"head_size": 4, "heads": [4, 3], "ffn": [12, 12]})
    assert pruning(part=Layer(), allocation="local").final_spec(uneven) is None


def test_local_takes_the_same_from_every_layer_and_global_where_it_costs_least(encoder):
    found = {}
    for allocation in ("global", "local"):
        model = encoder()
        with torch.no_grad():
            model.encoder.encoder.layer[0].output.dense.weight.mul_(100)
        recipe = pruning(part=Neuron(), allocation=allocation)
        recipe.prune(recipe.attach(model), 1.0)
        found[allocation] = [len(kept) for kept in recipe.finish(model)[1].ffn]
    assert found == {"global": [12, 0], "local": [6, 6]}


def test_a_criterion_serves_many_models(encoder, batch):
    recipe = pruning(Movement())
    one, two = encoder(), encoder(seed=1)
    first, second = recipe.attach(one), recipe.attach(two)
    pruned(recipe, one, batch)
    assert any(score.any() for score in first.scores())
    assert not any(score.any() for score in second.scores())
    assert recipe.attach(one) is first


def test_targets_leave_the_rest_alone(encoder):
    model = encoder()
    recipe = pruning(targets=[r"layer\.1\..*query", r"layer\.0\.output"], sparsity=0.75)
    masks = recipe.attach(model)
    recipe.prune(masks, 1.0)
    recipe.finish(model)
    sparse = [name for name, parameter in model.named_parameters() if (parameter == 0).any()]
    assert set(sparse) <= {
        "encoder.encoder.layer.0.output.dense.weight", "encoder.encoder.layer.1.attention.self.query.weight"
    }  # fmt: skip
    zeros = sum(int((parameter == 0).sum()) for parameter in model.parameters())
    assert zeros == 0.75 * (16 * 12 + 16 * 16)


def test_part_of_the_way_is_part_of_the_sparsity(encoder):
    model = encoder()
    recipe = pruning(sparsity=0.8)
    masks = recipe.attach(model)
    for share in (0.0, 0.5, 1.0):
        recipe.prune(masks, share)
        assert masks.sparsity()[0] == pytest.approx(0.8 * share, abs=1e-3)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, float("nan"), True])
def test_a_sparsity_that_is_none(sparsity):
    with pytest.raises(MillisError) as caught:
        pruning(sparsity=sparsity)
    assert str(caught.value) == (
        f"pruning.sparsity={sparsity}: expected the share of weights to remove, from 0 up to 1, 1 excluded (0.5 "
        "removes half)"
    )


def test_a_sparsity_that_the_granularity_cannot_have():
    with pytest.raises(MillisError, match=r"2:4 has a sparsity of 0\.5, not 0\.6"):
        pruning(part=NM(2, 4), sparsity=0.6)


def test_an_allocation_that_is_none():
    with pytest.raises(MillisError, match=r"pruning\.allocation='lokal' is unknown"):
        pruning(allocation="lokal")


@pytest.mark.parametrize(
    ("part", "what"),
    [(Head(), "8 heads"), (Neuron(), "24 neurons"), (Layer(), "2 layers"), (Hidden(), "16 hidden channels")],
)
def test_nothing_left_is_refused_before_training(spec, part, what):
    for refuse in (lambda r: r.attach(models.build(spec())), lambda r: r.final_spec(spec())):
        with pytest.raises(MillisError) as caught:
            refuse(pruning(part=part, sparsity=0.99))
        assert str(caught.value) == f"pruning.sparsity=0.99 would remove all {what}: choose a smaller one"


@pytest.mark.parametrize(
    ("part", "sparsity", "message"),
    [
        (
            NM(1, 5),
            0.8,
            "1:5 sparsity needs inputs in multiples of 5, but 'encoder.encoder.layer.0.attention.self.query'",
        ),
        (Block(32, 32), 0.5, "blocks of 32x32 do not divide 'encoder.encoder.layer.0.attention.self.query' of 16x16"),
    ],
)
def test_what_cannot_be_is_refused_before_training(spec, part, sparsity, message):
    with pytest.raises(MillisError) as caught:
        pruning(part=part, sparsity=sparsity).final_spec(spec())
    assert str(caught.value).startswith(message)


def test_scores_from_training_need_training_first():
    with pytest.raises(MillisError) as caught:
        pruning(Movement(), schedule=OneShot(0)).plan(100, 10)
    assert str(caught.value) == (
        "pruning.criterion=Movement scores weights by what it sees in training, but the schedule prunes before the "
        "first step: set pruning.schedule.warmup to 1 or more, such as '10%'"
    )
    assert pruning(Magnitude(), schedule=OneShot(0)).plan(100, 10).end == 0
    assert pruning(Movement(), schedule=Cubic(0)).plan(100, 10).begin == 0  # cubic starts at 0


def test_a_model_without_masks_cannot_be_finished(net):
    with pytest.raises(MillisError) as caught:
        pruning().finish(net())
    assert str(caught.value) == "this model carries no pruning masks to finish: attach and train it first"
