"""Rungs: who passes them all ends as if there were none; who is ended goes on from there, as if there had been none."""

from dataclasses import dataclass, field

import pytest
import torch

from millis.training.fit import Fit
from millis.training.length import Length
from millis.training.rungs import Rungs, Stopped


@dataclass
class Deciding:
    """A judge that ends trainings at the rungs that it is given reasons for."""

    reasons: dict = field(default_factory=dict)
    shares: tuple = (0.25, 0.5, 1.0)
    asked: list = field(default_factory=list)

    def __call__(self, share, quality):
        self.asked.append((share, quality))
        return self.reasons.get(share)


@pytest.fixture
def fit(separable, tmp_path):
    """Trains a module on the separable problem in `tmp_path/<folder>`, judged or not."""

    def run(module, judge=None, folder="judged", epochs=4, planned=4, before=0, last=True):
        trainer = Fit(max_epochs=epochs, batch_size=8, patience=10, accelerator="cpu")
        callbacks = [] if judge is None else [Rungs(judge, planned, before, last)]
        return trainer(
            module, separable(64), separable(32, seed=1), 0,
            folder=tmp_path / folder, seed=0, title="toy", callbacks=callbacks,
        )  # fmt: skip

    return run


def scores(*values):
    """A metric that gives these percentages epoch by epoch."""
    following = iter(values)
    return lambda *_: next(following)


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))


def untimed(fitted):
    return [{**row, "seconds": 0} for row in fitted.history]


def test_who_passes_all_rungs_ends_bit_for_bit_as_without_them(module, fit):
    plain, judged, judge = module(), module(), Deciding()
    without, within = fit(plain, folder="plain"), fit(judged, judge)
    assert [share for share, _ in judge.asked] == [0.25, 0.5]  # the last epoch ends by itself
    assert same_weights(judged, plain)
    assert untimed(within) == untimed(without)


def test_a_rung_at_the_end_of_a_phase_is_judged_if_another_phase_comes(module, fit):
    first = Deciding()
    fit(module(), first, epochs=2, planned=4, last=False)
    assert [share for share, _ in first.asked] == [0.25, 0.5]


@pytest.mark.parametrize(("share", "epoch"), [(0.07, 7), (0.28, 28), (0.55, 55), (0.555, 56)])
def test_a_rung_is_the_first_epoch_that_reaches_its_share_and_not_a_rounding_later(share, epoch):
    rungs = Rungs(Deciding(shares=(share,)), planned=100)
    assert [done for done in range(1, 101) if rungs._rung(done) is not None] == [epoch]


def test_who_was_ended_at_each_rung_and_went_on_ends_bit_for_bit_as_unbroken(module, fit, tmp_path):
    plain = module()
    whole = fit(plain, folder="plain")
    for share, epochs in ((0.25, 1), (0.5, 2)):
        with pytest.raises(Stopped, match="enough") as ended:
            fit(module(), Deciding({share: "enough"}))
        assert (ended.value.share, ended.value.quality) == (
            share,
            max(row["validation/quality"] for row in whole.history[:epochs]),
        )
        assert ended.value.seconds > 0
        done = torch.load(tmp_path / "judged" / "last.ckpt", weights_only=True)["loops"]["fit_loop"]["epoch_progress"]
        assert done["current"]["processed"] == epochs
    judged, judge = module(), Deciding()
    rest = fit(judged, judge)
    assert judge.asked == []  # both rungs lie behind it
    assert same_weights(judged, plain)
    assert untimed(rest) == untimed(whole)


def test_the_best_epoch_so_far_is_judged(module, fit):
    judge = Deciding()
    fit(module(score=scores(80.0, 50.0, 90.0, 60.0)), judge)
    assert judge.asked == [(0.25, 80.0), (0.5, 80.0)]


def test_an_epoch_that_reaches_two_rungs_is_judged_at_the_higher(module, fit):
    judge = Deciding()
    fit(module(score=scores(50.0, 80.0)), judge, epochs=2, planned=2)
    assert judge.asked == [(0.5, 50.0)]


def test_the_epochs_of_phases_before_count(module, fit):
    judge = Deciding()
    fit(module(score=scores(50.0, 80.0)), judge, epochs=2, planned=4, before=1)
    assert judge.asked == [(0.5, 50.0)]  # epoch 2 of 4; the phase's last is not judged


def test_what_is_prolonged_is_judged_at_the_end_that_was_planned(module, fit, monkeypatch):
    monkeypatch.setattr("millis.training.ending.standard_error", lambda *_: 0.0)
    judge = Deciding({1.0: "enough"})
    with pytest.raises(Stopped) as ended:
        fit(module(score=scores(50.0, 60.0, 70.0)), judge, epochs=Length(1, 2, 4), planned=2)
    assert (ended.value.share, ended.value.quality) == (1.0, 60.0)


def test_a_model_without_its_final_form_is_not_judged(module, fit, monkeypatch):
    judge = Deciding()
    monkeypatch.setattr("millis.training.rungs.settled", lambda trainer: trainer.current_epoch >= 1)
    fit(module(score=scores(90.0, 50.0, 60.0, 60.0)), judge)
    assert [share for share, _ in judge.asked] == [0.5]


def test_a_phase_that_trains_no_answers_is_not_judged(module, fit):
    judge, features = Deciding(), module()
    features.objective.answers = False
    fit(features, judge)
    assert judge.asked == []
