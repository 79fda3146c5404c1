"""Fit: it learns, keeps the best epoch, stops early, goes on where it was broken off, and says when it diverged."""

import csv
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from labelled import said
from pytorch_lightning.loggers import CSVLogger

from millis.data.batches import Rows, model_inputs
from millis.errors import MillisError
from millis.training.callbacks import CachedTeacher
from millis.training.fit import Fit, seed_everything


@pytest.fixture
def fit(separable, tmp_path):
    """Trains a module on the separable problem in `tmp_path/<folder>`."""

    def run(module, epochs=4, folder="checkpoints", patience=10, seed=0, flags=None, **options):
        trainer = Fit(max_epochs=epochs, batch_size=8, patience=patience, accelerator="cpu", flags=flags or {})
        return trainer(
            module, separable(64), separable(32, seed=1), 0,
            folder=tmp_path / folder, seed=seed, title="toy", **options,
        )  # fmt: skip

    return run


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.model.parameters()])


@pytest.fixture
def exact(monkeypatch):
    """Every gain counts: scores that are made up have no standard error."""
    monkeypatch.setattr("millis.training.ending.standard_error", lambda *_: 0.0)


def scores(*values):
    """A metric that gives these percentages epoch by epoch."""
    following = iter(values)
    return lambda *_: next(following)


class After(pl.Callback):
    """Does `action(module)` at the end of an epoch, before it is validated."""

    def __init__(self, epoch, action):
        self.epoch, self.action = epoch, action

    def on_validation_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            self.action(pl_module)


def fill(value):
    def action(module):
        with torch.no_grad():
            for parameter in module.model.parameters():
                parameter.fill_(value)

    return action


class Steps(pl.Callback):
    """Counts them."""

    seen = 0

    def on_train_batch_start(self, *_):
        self.seen += 1


def test_a_separable_problem_is_learned(module, fit, separable):
    built = module()
    fitted = fit(built)
    assert fitted.quality == 100.0
    assert fitted.epochs == 4
    assert [row["epoch"] for row in fitted.history] == [1, 2, 3, 4]
    assert fitted.history[-1]["train/objective"] < fitted.history[0]["train/objective"]
    assert not built.model.training
    tokens = torch.arange(2, 12).unsqueeze(1)
    assert built.model(tokens, torch.ones_like(tokens)).argmax(-1).tolist() == [0, 1] * 5


def test_one_seed_gives_one_result(module, fit):
    one, two, three = module(), module(), module()
    fit(one, folder="1")
    fit(two, folder="2")
    fit(three, folder="3", seed=1)
    assert torch.equal(weights(one), weights(two))
    assert not torch.equal(weights(one), weights(three))  # another order of batches


def test_the_best_epoch_is_restored_and_not_the_last(module, fit):
    built = module(score=scores(50.0, 90.0, 70.0, 70.0))
    fitted = fit(built, callbacks=[After(1, fill(0.25))])
    assert fitted.quality == 90.0
    assert torch.equal(weights(built), torch.full_like(weights(built), 0.25))


def test_training_winds_up_within_half_its_epochs_when_patience_ends(module, fit, exact):
    fitted = fit(module(score=scores(50.0, 60.0, 60.0, 55.0, 58.0, 58.0, 99.0)), epochs=9, patience=2)
    assert (fitted.quality, fitted.epochs, len(fitted.history)) == (60.0, 6, 6)
    assert fitted.rise == 0.0
    assert fitted.note("trainer") is None


class Broken(Exception):
    pass


def break_off(_):
    raise Broken


def test_a_broken_run_goes_on_and_ends_as_an_unbroken_one(module, fit, tmp_path):
    unbroken = module()
    whole = fit(unbroken, folder="whole")
    with pytest.raises(Broken):
        fit(module(), folder="broken", callbacks=[After(2, break_off)])
    assert (tmp_path / "broken" / "last.ckpt").is_file()

    resumed, steps = module(), Steps()
    rest = fit(resumed, folder="broken", callbacks=[steps])
    assert steps.seen == 2 * 8  # of 4 epochs of 64 / 8 steps, two were done
    assert torch.equal(weights(resumed), weights(unbroken))
    assert (rest.quality, rest.epochs) == (whole.quality, whole.epochs)
    for one, other in zip(rest.history, whole.history, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    seconds = [row["seconds"] for row in rest.history]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= rest.seconds


def test_a_broken_run_goes_on_from_its_last_epoch_even_where_another_was_better(module, fit):
    with pytest.raises(Broken):
        fit(module(score=scores(90.0, 80.0)), callbacks=[After(0, fill(0.25)), After(2, break_off)])
    resumed, steps = module(score=scores(70.0, 70.0)), Steps()
    assert fit(resumed, callbacks=[steps]).quality == 90.0
    assert steps.seen == 2 * 8
    assert torch.equal(weights(resumed), torch.full_like(weights(resumed), 0.25))


def test_a_model_in_evaluation_mode_is_trained_in_the_other(module, fit):
    modes = []
    made = module()
    made.model.eval()
    fit(made, epochs=1, callbacks=[Modes(modes)])
    assert set(modes) == {True}
    assert not made.model.training, "what comes back is to be used"


class Modes(pl.Callback):
    """Notes whether the model trains."""

    def __init__(self, modes):
        self.modes = modes

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.modes.append(pl_module.model.training)


def test_a_resumed_run_remembers_an_earlier_best(module, fit):
    with pytest.raises(Broken):
        fit(module(score=scores(50.0, 90.0)), callbacks=[After(1, fill(0.25)), After(2, break_off)])
    resumed = module(score=scores(60.0, 60.0))
    assert fit(resumed).quality == 90.0
    assert torch.equal(weights(resumed), torch.full_like(weights(resumed), 0.25))


def test_a_run_that_was_done_is_not_done_again(module, fit):
    first, again = module(), module()
    done = fit(first)
    fitted = fit(again, callbacks=[After(0, break_off)])
    assert torch.equal(weights(again), weights(first))
    assert (fitted.quality, fitted.epochs) == (done.quality, 4)


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
import pytorch_lightning as pl
from toy import toy_module, toy_split
from millis.training.fit import Fit

class Interrupt(pl.Callback):
    def on_validation_start(self, trainer, pl_module):
        os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background is started with it ignored
fit = Fit(max_epochs=4, batch_size=8, accelerator="cpu")
for folder in ("once", "twice"):
    try:
        fit(
            toy_module(), toy_split(64), toy_split(32, seed=1), 0,
            folder=Path(sys.argv[1]) / folder, seed=0, title="toy", callbacks=[Interrupt()],
        )
    except KeyboardInterrupt:
        print("interrupted", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def test_ctrl_c_stays_an_interrupt_and_works_twice(tmp_path):
    # In a process of its own: an interrupt that goes astray would take all other tests with it.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.stdout.splitlines() == ["interrupted True"] * 2, run.stderr


def test_weights_that_are_not_finite_are_refused(module, fit):
    with pytest.raises(MillisError) as caught:
        fit(module(), epochs=1, callbacks=[After(0, fill(float("nan")))])
    assert str(caught.value) == "training diverged: weights are not finite. Lower optimizer.lr"


def test_a_run_that_diverged_late_keeps_its_best_epoch(module, fit):
    built = module()
    fitted = fit(built, callbacks=[After(2, fill(float("inf")))])
    assert fitted.quality == 100.0
    assert torch.isfinite(weights(built)).all()


def test_a_metric_that_is_not_finite_is_refused(module, fit):
    with pytest.raises(MillisError) as caught:
        fit(module(score=lambda *_: float("nan")), epochs=1)
    assert str(caught.value) == ("training gave no finite validation metric; lower optimizer.lr or check the data")


def test_every_term_is_logged_before_its_weight(module, separable, tmp_path):
    # One step on all 64 rows with fresh weights, so the terms can be computed beside it.
    built, beside = module(alpha=0.25), module(alpha=0.25)
    teacher = torch.randn(64, 2).numpy()
    logger = CSVLogger(tmp_path, "curves", version="v")
    Fit(max_epochs=1, batch_size=64, accelerator="cpu", flags={"log_every_n_steps": 1})(
        built, separable(64), separable(32), 0,
        folder=tmp_path, seed=0, title="toy", callbacks=[CachedTeacher(said(teacher))], logger=logger,
    )  # fmt: skip
    with (tmp_path / "curves" / "v" / "metrics.csv").open() as file:
        logged = {name: float(value) for row in csv.DictReader(file) for name, value in row.items() if value}
    batch = Rows(separable(64), 0).__getitems__(list(range(64)))
    batch["teacher_logits/logits"] = torch.from_numpy(teacher)
    total, terms = beside.objective([beside.model(**model_inputs(batch))], batch)
    assert logged["train/cross_entropy"] == pytest.approx(terms["cross_entropy"].item(), rel=1e-5)
    assert logged["train/softened_kl"] == pytest.approx(terms["softened_kl"].item(), rel=1e-5)
    assert logged["train/objective"] == pytest.approx(total.item(), rel=1e-5)
    assert logged["train/objective"] == pytest.approx(
        0.75 * logged["train/cross_entropy"] + 0.25 * logged["train/softened_kl"], rel=1e-5
    )
    assert "validation/quality" in logged


class Settling(pl.Callback):
    """Has the model's final form from `epoch` on."""

    def __init__(self, epoch):
        self.epoch, self.settled = epoch, False

    def on_train_epoch_start(self, trainer, pl_module):
        self.settled = trainer.current_epoch >= self.epoch


def test_the_best_epoch_is_looked_for_once_the_model_is_settled(module, fit, tmp_path):
    built = module(score=scores(99.0, 98.0, 60.0, 50.0))
    fitted = fit(built, callbacks=[Settling(2), After(0, fill(0.1)), After(2, fill(0.25))])
    assert (fitted.quality, fitted.epochs) == (60.0, 4)
    assert torch.equal(weights(built), torch.full_like(weights(built), 0.25))


def test_patience_counts_settled_epochs(module, fit, exact):
    # 99 is not to be beaten, and epochs 0 to 2 are not counted: 50 is the first, 60 better, then two that are not, and
    # the four in which training winds up.
    built = module(score=scores(99.0, 10.0, 10.0, 50.0, 60.0, 60.0, *[55.0] * 5, 99.0))
    fitted = fit(built, epochs=12, patience=2, callbacks=[Settling(3)])
    assert (fitted.quality, fitted.epochs) == (60.0, 11)


def test_all_callbacks_have_to_be_settled(module, fit):
    fitted = fit(module(score=scores(99.0, 98.0, 97.0, 50.0)), callbacks=[Settling(1), Settling(3)])
    assert fitted.quality == 50.0


def test_a_run_broken_off_before_it_settled_goes_on(module, fit):
    with pytest.raises(Broken):
        fit(module(score=scores(99.0, 98.0)), callbacks=[Settling(3), After(2, break_off)])
    resumed = module(score=scores(97.0, 60.0))
    fitted = fit(resumed, callbacks=[Settling(3)])
    assert (fitted.quality, len(fitted.history)) == (60.0, 4)
    assert [row["epoch"] for row in fitted.history] == [1, 2, 3, 4]


def test_a_run_that_never_settles_is_refused(module, fit):
    with pytest.raises(MillisError) as caught:
        fit(module(), epochs=2, callbacks=[Settling(2)])
    assert str(caught.value) == (
        "training ended after 2 epochs, before the model had its final form: shorten the schedule of pruning, tokens "
        "or quantization (a longer cooldown ends it sooner) or raise trainer.max_epochs"
    )


@pytest.mark.parametrize(
    ("setting", "got"),
    [
        ({"max_epochs": -1}, "trainer.max_epochs=-1"),
        ({"max_epochs": 1, "batch_size": 0}, "trainer.batch_size=0"),
        ({"max_epochs": 1, "budget_s": 0}, "trainer.budget_s=0"),
    ],
)
def test_settings_without_sense(setting, got):
    with pytest.raises(MillisError, match=f"^{got}: expected"):
        Fit(**setting)


def test_no_epoch_is_no_training(module, fit):
    assert not Fit(max_epochs=0).trains
    with pytest.raises(MillisError, match=r"^trainer.max_epochs=0: expected at least 1$"):
        fit(module(), epochs=0)


def test_flags_reach_the_trainer(module, fit):
    class Steps(pl.Callback):
        def on_train_end(self, trainer, _):
            self.total = trainer.global_step

    steps = Steps()
    fit(module(), epochs=3, flags={"limit_train_batches": 1}, callbacks=[steps])
    assert steps.total == 3


def test_a_seed_reaches_every_generator():
    drawn = []
    for _ in range(2):
        seed_everything(7)
        drawn.append((random.random(), np.random.rand(), torch.rand(()).item()))
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(("every", "steps"), [(1, 8), (3, 3)])  # batches 1-3, 4-6, 7-8 of an epoch make a step each
def test_schedules_count_optimizer_steps_when_gradients_accumulate(module, fit, every, steps):
    built, rates = module(), []

    class Rates(pl.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            rates.append(optimizer.param_groups[0]["lr"])

    fit(built, epochs=2, flags={"accumulate_grad_batches": every}, callbacks=[Rates()])
    assert built.steps == len(rates) == 2 * steps
    left = 2 * steps - max(1, round(0.1 * 2 * steps))  # after the warm-up, in equal steps to zero
    assert rates[-1] == pytest.approx(0.05 / left)
