"""Thresholds are drawn to the share asked for, then obeyed; an interrupted run ends where an unbroken one does."""

import pytest
import pytorch_lightning as pl
import rounded
import torch
from labelled import counted

from millis.distillation.objective import Distillation
from millis.errors import MillisError
from millis.models.token_pruning import tokens_left
from millis.token_pruning.recipe import TokenPruning
from millis.training.fit import Fit
from millis.training.module import TextModule
from millis.training.optim import AdamW
from millis.training.token_pruning import TokenPruningCallback

SHARE = 0.6


class Break(RuntimeError):
    pass


class BreakOff(pl.Callback):
    """Ends the run in the middle of an epoch."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            raise Break


@pytest.fixture
def fit(encoded, tmp_path):
    def texts(count, seed):
        generator = torch.Generator().manual_seed(seed)
        rows = [torch.randint(4, rounded.VOCABULARY, (8,), generator=generator).numpy() for _ in range(count)]
        return encoded(rows, [int(row[3] % 3) for row in rows], classes=3)

    def run(folder="run", callbacks=(), epochs=6, start=None, **settings):
        recipe = TokenPruning(**{"kept": SHARE, "soft": 0.7} | settings)
        callback = TokenPruningCallback(recipe)
        model = recipe.attach(rounded.model())
        if start is not None:
            model.thresholds.logarithms.data.copy_(start)
        module = TextModule(
            model, Distillation(alpha=0).objective(counted([1, 1, 1])), AdamW(lr=1e-3, head_lr=1e-3), lambda *_: 50.0
        )
        trainer = Fit(max_epochs=epochs, batch_size=8, patience=10, accelerator="cpu")
        trainer(
            module, texts(160, 0), texts(16, 1), 0,
            folder=tmp_path / folder, seed=0, title="toy", callbacks=[callback, *callbacks],
        )  # fmt: skip
        return module.model.eval(), callback

    return run


def share_left(model):
    ids, mask, _ = rounded.batch(seed=9, rows=64, length=8)
    ids, mask = ids.clamp(min=4), torch.ones_like(mask)
    return float(torch.stack(tokens_left(model, ids, mask)).float().mean() / 8)


def test_the_share_asked_for_is_the_share_that_stays(fit):
    model, callback = fit()
    assert callback.settled and model.between.temperature is None
    assert not model.thresholds.logarithms.requires_grad
    assert share_left(model) == pytest.approx(SHARE, abs=0.08)


def test_tokens_that_are_to_stay_come_back(fit):
    high = torch.tensor([0.125, 0.125]).log()  # with 8 tokens, about half lie below
    model, _ = fit(kept=1.0, epochs=3, start=high)
    assert share_left(model) > 0.95


@pytest.mark.parametrize("step", [70, 110])  # while thresholds are learned, and after
def test_a_broken_run_goes_on(fit, step):
    unbroken, _ = fit("whole")
    with pytest.raises(Break):
        fit("broken", callbacks=[BreakOff(step)])
    resumed, callback = fit("broken")
    assert callback.settled
    expected = unbroken.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


def test_several_processes_are_refused():
    class Two:
        world_size = 2

    with pytest.raises(MillisError, match=r"tokens on 2 processes: .* Choose trainer.devices=1, or tokens=none"):
        TokenPruningCallback(TokenPruning()).on_train_start(Two(), None)
