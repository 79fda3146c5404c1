"""The pruning callback: exact zeros at the target, whatever the criterion; resumed runs end as unbroken ones."""

import runpy
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from labelled import counted
from torch import nn
from torch.nn.utils import parametrize

from millis.distillation.objective import Distillation
from millis.errors import MillisError
from millis.pruning.criterion.hard_concrete import HardConcrete
from millis.pruning.criterion.magnitude import Magnitude
from millis.pruning.criterion.movement import Movement
from millis.pruning.criterion.soft_movement import SoftMovement
from millis.pruning.criterion.taylor import Taylor
from millis.pruning.criterion.wanda import Wanda
from millis.pruning.granularity.element import Element
from millis.pruning.granularity.head import Head
from millis.pruning.granularity.hidden import Hidden
from millis.pruning.granularity.layer import Layer
from millis.pruning.granularity.n_m import NM
from millis.pruning.granularity.neuron import Neuron
from millis.pruning.granularity.together import HeadsAndNeurons
from millis.pruning.mask import masks_of
from millis.pruning.recipe import Pruning
from millis.pruning.schedule import Cubic, Linear, OneShot
from millis.pruning.shrink import shrink
from millis.training.fit import Fit
from millis.training.module import TextModule
from millis.training.optim import AdamW
from millis.training.pruning import KeepZeros, PruningCallback

tiny_encoder = runpy.run_path(str(Path(__file__).parents[1] / "pruning" / "conftest.py"))["tiny_encoder"]

EPOCHS, STEPS = 3, 8  # of 64 rows in batches of 8


def percent(predictions, references):
    return 100 * sum(one == two for one, two in zip(predictions, references, strict=True)) / len(references)


def text_module(seed=0, lr=0.01, score=percent):
    model = tiny_encoder(seed=seed, num_labels=2)
    return TextModule(model, Distillation(alpha=0.0).objective(counted([1, 1])), AdamW(lr=lr, head_lr=lr), score)


@pytest.fixture
def train(separable, tmp_path):
    """Trains a module under a recipe; the callback and what came of it."""

    def run(module, pruning, folder="run", epochs=EPOCHS, callbacks=(), **flags):
        callback = PruningCallback(pruning)
        fitted = Fit(max_epochs=epochs, batch_size=8, patience=10, accelerator="cpu", **flags)(
            module, separable(64), separable(32, seed=1), 0,
            folder=tmp_path / folder, seed=0, title="tiny", callbacks=[callback, *callbacks],
        )  # fmt: skip
        return callback, fitted

    return run


SCHEDULE = Cubic(warmup=2, cooldown="1 epoch", interval=3)
RECIPES = {
    "magnitude": Pruning(Magnitude(), Element(), SCHEDULE, 0.7),
    "movement": Pruning(Movement(), Element(), SCHEDULE, 0.7, allocation="local"),
    "soft movement": Pruning(SoftMovement(), Element(), SCHEDULE, 0.7),
    "2:4": Pruning(Wanda(), NM(2, 4), OneShot(warmup=2), 0.5),
    "heads": Pruning(Taylor(), Head(), SCHEDULE, 0.5),
    "neurons": Pruning(SoftMovement(), Neuron(), SCHEDULE, 0.5),
    "hidden": Pruning(Movement(), Hidden(), SCHEDULE, 0.25),
    "layers": Pruning(Taylor(), Layer(), SCHEDULE, 0.5),
    "l0": Pruning(HardConcrete(), HeadsAndNeurons(), Linear(2, "1 epoch", 3), 0.5),
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_target_is_met_and_the_model_comes_out_plain(name, train, batch_of):
    module, recipe = text_module(), RECIPES[name]
    names = list(module.model.state_dict())
    callback, fitted = train(module, recipe)
    groups, masks = callback.masks.groups, masks_of(module.model)
    total = sum(group.size * torch.ones(group.shape).numel() for group in groups)
    achieved, each = masks.sparsity()
    unit = max(group.size for group in groups) / total
    off = unit if recipe.allocation == "global" else unit * len(groups)  # local rounds in every layer
    assert achieved == pytest.approx(recipe.sparsity, abs=off)
    last = fitted.history[-1]
    assert last["pruning/sparsity"] == pytest.approx(achieved)
    assert {group: last[f"pruning/sparsity/{group}"] for group in each} == pytest.approx(each)
    with torch.no_grad():
        before = module.model(*batch_of)
        model, selection = recipe.finish(module.model)
        after = model(*batch_of) if selection is None else shrink(model, selection)(*batch_of)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    assert sorted(model.state_dict()) == sorted(names)


@pytest.fixture
def batch_of():
    ids = torch.randint(4, 50, (3, 6), generator=torch.Generator().manual_seed(0))
    return ids, torch.ones_like(ids)


class Broken(Exception):
    pass


class BreakOff(pl.Callback):
    def on_validation_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise Broken


@pytest.mark.parametrize("name", RECIPES)
def test_a_broken_run_goes_on_and_ends_as_an_unbroken_one(name, train):
    unbroken, broken, resumed = text_module(), text_module(), text_module()
    recipe = RECIPES[name]
    _, whole = train(unbroken, recipe, folder="whole")
    with pytest.raises(Broken):
        train(broken, recipe, folder="broken", callbacks=[BreakOff()])
    callback, rest = train(resumed, recipe, folder="broken")
    assert callback.settled
    found, expected = resumed.model.state_dict(), unbroken.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert [row["pruning/sparsity"] for row in rest.history] == [row["pruning/sparsity"] for row in whole.history]


def test_a_run_that_was_done_can_be_finished_again(train, batch_of):
    recipe, modules = RECIPES["2:4"], [text_module(), text_module(seed=1)]
    answers = []
    for module in modules:  # the second only reads what the first has left
        train(module, recipe)
        model, _ = recipe.finish(module.model)
        answers.append(model(*batch_of))
    assert torch.equal(*answers)


class Watch(pl.Callback):
    """Sparsity in the forward pass of every step."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.seen.append(round(masks_of(pl_module.model).sparsity()[0], 3))


def test_sparsity_follows_the_schedule_step_by_step(train):
    # 24 steps: warm-up 2, end 24 - 8 = 16; updates at 5, 8, 11, 14, 16 with t = 3/14, 6/14, ...
    watch = Watch()
    callback, _ = train(text_module(), Pruning(Magnitude(), Element(), Linear(2, "1 epoch", 3), 0.7), callbacks=[watch])
    expected = [0.7 * min(max(step - 2, 0), 14) / 14 for step in range(EPOCHS * STEPS)]
    held = [
        max([e for s, e in enumerate(expected[: step + 1]) if s in (5, 8, 11, 14, 16)] or [0.0]) for step in range(24)
    ]
    assert watch.seen == pytest.approx(held, abs=1e-3)
    assert (callback.plan.begin, callback.plan.end, callback.plan.total) == (2, 16, 24)


def test_one_shot_before_training_prunes_before_the_first_step(train):
    watch = Watch()
    train(text_module(), Pruning(Magnitude(), Element(), OneShot(0), 0.5), callbacks=[watch], epochs=1)
    assert watch.seen == [0.5] * STEPS


def test_one_shot_after_training_counts_as_settled(train):
    watch = Watch()
    callback, fitted = train(
        text_module(), Pruning(Movement(), Element(), OneShot("100%"), 0.5), callbacks=[watch], epochs=2
    )
    assert watch.seen == [0.0] * 2 * STEPS
    assert callback.settled
    assert [row["pruning/sparsity"] for row in fitted.history] == [0.0, 0.5]


def test_accumulated_batches_are_one_step(train):
    watch = Watch()
    callback, _ = train(
        text_module(), Pruning(SoftMovement(), Element(), Linear("1 epoch", "1 epoch"), 0.5),
        callbacks=[watch], flags={"accumulate_grad_batches": 2},
    )  # fmt: skip
    assert (callback.plan.begin, callback.plan.end, callback.plan.total) == (4, 8, 12)
    assert watch.seen[:10] == [0.0] * 10  # 4 + 1 steps of 2 batches
    assert watch.seen[10:18:2] == watch.seen[11:18:2]
    assert watch.seen[16:] == [0.5] * 8


def test_the_best_epoch_is_one_with_final_masks(train):
    scores = iter([99.0, 50.0, 70.0, 60.0])
    module = text_module(score=lambda *_: next(scores))
    _, fitted = train(module, Pruning(Magnitude(), Element(), Cubic(0, "2 epochs"), 0.6), epochs=4)
    # Final after 2 of 4 epochs: that epoch counts, the first does not.
    assert fitted.quality == 70.0
    assert masks_of(module.model).sparsity()[0] == pytest.approx(0.6, abs=1e-3)


def test_a_schedule_longer_than_training_is_refused_before_the_first_step(train):
    watch = Watch()
    with pytest.raises(MillisError) as caught:
        train(text_module(), Pruning(Magnitude(), Element(), Cubic("2 epochs", "1 epoch"), 0.5), callbacks=[watch])
    assert str(caught.value) == (
        "pruning.schedule needs at least 25 steps (warmup '2 epochs' = 16, cooldown '1 epoch' = 8), but training has "
        "24, 8 an epoch: shorten warmup or cooldown, or raise trainer.max_epochs"
    )
    assert watch.seen == []


def test_scores_and_gates_are_trained_at_their_own_rate(train):
    class Rates(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            self.found = {
                id(parameter): (group["initial_lr"], group["weight_decay"])
                for group in trainer.optimizers[0].param_groups
                for parameter in group["params"]
            }

    rates, module = Rates(), text_module()
    recipe = Pruning(HardConcrete(lr=0.3), Neuron(), SCHEDULE, 0.5)
    train(module, recipe, epochs=EPOCHS, callbacks=[rates])
    named = dict(module.model.named_parameters())
    own = {name for name in named if name.startswith("pruning.criterion.")}
    assert own == {"pruning.criterion.multipliers", *(f"pruning.criterion.log_alpha.{i}" for i in (0, 1))}
    assert {rates.found[id(named[name])] for name in own} == {(0.3, 0.0)}
    gated = "encoder.encoder.layer.0.output.dense.parametrizations.weight.original"
    assert rates.found[id(named[gated])] == (0.01, 0.01)


def test_the_penalty_closes_gates_until_the_target_is_expected(train):
    # From 1 % at the start, in 50 steps of a rate three times the usual, which overshoots a little.
    recipe = Pruning(HardConcrete(lr=0.3), HeadsAndNeurons(), Linear("1 epoch", "20%", 4), 0.5)
    callback, fitted = train(text_module(lr=0.003), recipe, epochs=8)
    assert callback.masks.criterion.sparsity().item() == pytest.approx(0.5, abs=0.25)
    assert [("pruning/penalty" in row) for row in fitted.history] == [False] + [True] * 7  # the warm-up has none


def test_mixed_precision_prunes_likewise(train):
    module = text_module()
    train(module, RECIPES["heads"], precision="bf16-mixed")
    masks = masks_of(module.model)
    assert masks.sparsity()[0] == 0.5
    assert all(mask.dtype == torch.float32 for mask in masks.masks.buffers())


def test_any_module_with_a_model_will_do():
    class Plain(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = nn.Module()
            self.model.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))

        def training_step(self, batch, _):
            return self.model.body(batch[0]).square().mean()

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), lr=0.1)

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(12, 4)), batch_size=4)
    module, callback = Plain(), PruningCallback(Pruning(Movement(), Element(), Cubic(1, 1), 0.5))
    pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[callback],
    ).fit(module, data)  # fmt: skip
    model, selection = callback.pruning.finish(module.model)
    assert selection is None
    assert sum(int((layer.weight == 0).sum()) for layer in (model.body[0], model.body[2])) == 10


def test_zeros_stay_through_a_training_that_comes_after(separable, tmp_path):
    class Half(nn.Module):
        def forward(self, weight):
            return weight / 2

    module = text_module()
    with torch.no_grad():
        layers = module.model.encoder.encoder.layer
        layers[0].output.dense.weight[:, 3:] = 0
        layers[1].output.dense.weight[2] = 0
        layers[1].output.dense.bias.zero_()
    keep = KeepZeros(module.model)
    parametrize.register_parametrization(layers[1].output.dense, "weight", Half())  # as rounding does
    Fit(max_epochs=2, batch_size=8, accelerator="cpu")(
        module, separable(64), separable(32, seed=1), 0,
        folder=tmp_path, seed=0, title="tiny", callbacks=[keep],
    )  # fmt: skip
    first, second = (layer.output.dense for layer in module.model.encoder.encoder.layer)
    assert torch.equal(first.weight == 0, (torch.arange(12) >= 3).expand(16, 12))
    assert torch.equal((second.weight == 0).all(1), torch.arange(16) == 2)
    assert (second.bias != 0).any()  # a bias that starts at zero is no pruned weight
