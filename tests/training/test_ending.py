"""The end of a training moves: sooner where validation no longer rises, later where it still does, by the budget."""

from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl

from millis.training.ending import Ending
from millis.training.fit import Fit
from millis.training.length import Length


def ending(patience=2, most=20, budget_s=None, seconds=0.0):
    return Ending(patience, most, budget_s, SimpleNamespace(seconds=seconds))


def right(count, total=100):
    return np.arange(total) < count


def judged(callback, *counts):
    """`callback` after epochs in which the first so many of 100 texts were answered rightly."""
    for count in counts:
        callback._judge(float(count), right(count))
    return callback


def test_a_gain_within_its_standard_error_is_none():
    # 52 against 50: two texts differ, ± 1.4 points: better, but not clearly (1.96 · 1.4). 58 is: six texts, ± 2.4. Then
    # 59: one text, ± 1.0 point: not above it.
    callback = judged(ending(), 50, 52)
    assert (callback.rise, callback.stale) == (0.0, 0)
    judged(callback, 58)
    assert (callback.rise, callback.stale) == (6.0, 0)
    judged(callback, 59)
    assert (callback.rise, callback.stale, callback.best) == (0.0, 1, 58.0)


def test_small_gains_add_up():
    # Each is one text, and the second one is two texts from the best: beyond √2.
    callback = judged(ending(), 50, 51)
    assert callback.stale == 1
    judged(callback, 52)
    assert (callback.stale, callback.best) == (0, 52.0)


def test_training_winds_up_once_validation_has_not_risen_for_long_enough():
    callback = judged(ending(patience=2), 50, 50, 50)
    callback.end = 10
    assert callback._moved(done=3) == (5, None)
    callback.end = 5
    assert callback._moved(done=5) == (5, None), "it does so once"


def test_a_rise_while_training_winds_up_is_what_the_falling_rate_brings():
    callback = judged(ending(patience=1), 50, 50)
    callback.end = 9
    callback._moved(done=2)
    judged(callback, 70)
    assert (callback.rise, callback.unfinished) == (20.0, 0.0)


def test_training_goes_on_where_validation_rises_to_the_last():
    callback = judged(ending(most=20), 50, 60)
    callback.end = 6
    assert callback._moved(done=5) == (6, None)
    assert callback._moved(done=6) == (9, 0.5)
    callback.most = 8
    assert callback._moved(done=6) == (8, 0.5)


def test_a_training_that_winds_up_is_not_prolonged():
    callback = judged(ending(patience=1), 50, 50)
    callback.end = 5
    callback.end, _ = callback._moved(done=2)
    judged(callback, 70)
    assert callback._moved(done=3) == (3, None)


@pytest.mark.parametrize(("budget", "end"), [(100.0, 10), (60.0, 6), (21.0, 2), (5.0, 2)])
def test_a_budget_brings_the_end_forward(budget, end):
    # Two epochs took 20 s, so one takes 10.
    callback = judged(ending(budget_s=budget, seconds=20.0), 50, 60)
    callback.end = 10
    assert callback._moved(done=2)[0] == end


def scores(*values):
    following = iter(values)
    return lambda *_: next(following)


class Rates(pl.Callback):
    """Notes the rate of every step."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, *_):
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"] / 0.05)


@pytest.fixture
def run(module, separable, tmp_path, monkeypatch):
    """Trains on 16 rows in batches of 8: two steps an epoch. The scores are made up, so every gain counts."""
    monkeypatch.setattr("millis.training.ending.standard_error", lambda *_: 0.0)

    def train(score, length, patience=10, callbacks=(), **options):
        fit = Fit(length, batch_size=8, patience=patience, accelerator="cpu", **options)
        return fit(
            module(score=score), separable(16), separable(8, seed=1), 0,
            folder=tmp_path / "run", seed=0, title="toy", callbacks=callbacks,
        )  # fmt: skip

    return train


def test_the_rate_falls_to_zero_where_training_winds_up(run):
    rates = Rates()
    fitted = run(scores(50.0, 50.0, 50.0), Length(100, 1, 10), patience=1, callbacks=[rates])
    assert fitted.epochs == 3
    # Ten epochs of two steps are planned, two of them warm-up: at step 4 the factor is 16 / 18. From there it falls to
    # zero at step 6.
    assert rates.seen == pytest.approx([1 / 2, 1, 1, 17 / 18, 16 / 18, 8 / 18])


def test_a_training_that_still_gains_is_prolonged_and_ends_with_a_note(run):
    rates = Rates()
    fitted = run(scores(10.0, 20.0, 30.0, 40.0), Length(4, 2, 4), callbacks=[rates])
    assert (fitted.epochs, fitted.quality, fitted.rise) == (4, 40.0, 10.0)
    # Two epochs, then one from half of the peak, and, for it gained, one more.
    assert rates.seen == pytest.approx([1, 1, 2 / 3, 1 / 3, 1 / 2, 1 / 4, 1 / 2, 1 / 4])
    assert fitted.note("trainer") == (
        "validation still rose by 10.0 points in the last of 4 epochs: the model is not finished. Raise "
        "trainer.max_epochs, and trainer.budget_s where it is set"
    )


class Broken(Exception):
    pass


class Break(pl.Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, *_):
        if trainer.current_epoch == self.epoch:
            raise Broken


def test_a_prolonged_training_that_is_broken_off_goes_on_to_its_new_end(run):
    with pytest.raises(Broken):
        run(scores(10.0, 20.0, 30.0), Length(4, 2, 5), callbacks=[Break(3)])
    rates = Rates()
    fitted = run(scores(30.0, 99.0), Length(4, 2, 5), callbacks=[rates])
    # The third epoch gained, so there was to be a fourth; that does not gain.
    assert (fitted.epochs, fitted.quality) == (4, 30.0)
    assert rates.seen == pytest.approx([1 / 2, 1 / 4])
