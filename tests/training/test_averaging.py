"""What is kept is the average; it goes on after a break; and what cannot be averaged is refused."""

import pytest
import pytorch_lightning as pl
import torch

from millis.errors import MillisError
from millis.training.averaging import EVERY, Averaging
from millis.training.fit import Fit


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.model.parameters()])


@pytest.fixture
def fit(separable, tmp_path):
    def run(module, epochs=4, averaging=0.9, folder="checkpoints", callbacks=()):
        trainer = Fit(max_epochs=epochs, batch_size=8, patience=10, accelerator="cpu", averaging=averaging)
        return trainer(
            module, separable(64), separable(32, seed=1), 0,
            folder=tmp_path / folder, seed=0, title="toy", callbacks=callbacks,
        )  # fmt: skip

    return run


class Path(pl.Callback):
    """The weights after every step."""

    def __init__(self):
        self.steps = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.steps.append(weights(pl_module).clone())


def test_the_decay_warms_up_to_the_one_asked_for():
    averaging = Averaging(0.5)
    mean = [torch.tensor([0.0])]
    averaging._move(mean, [torch.tensor([1.0])], torch.tensor(1))  # (1 + 4) / (10 + 4), over four steps
    first = 1 - (5 / 14) ** 4
    assert mean[0].item() == pytest.approx(first)
    averaging._move(mean, [torch.tensor([1.0])], torch.tensor(1000))  # 4001 / 4010 is above 0.5
    assert mean[0].item() == pytest.approx(1 - (1 - first) * 0.5**4)


def test_counts_are_taken_over_as_they_are():
    counts = [torch.tensor([3])]
    Averaging(0.5)._move(counts, [torch.tensor([8])], torch.tensor(1))
    assert counts[0].tolist() == [8]


def test_the_average_of_the_path_is_what_is_kept(module, fit):
    rising = iter([1.0, 2.0])  # the last epoch is the best
    path, built = Path(), module(score=lambda *_: next(rising))
    fit(built, epochs=2, callbacks=[path])
    mean, updates = None, 0
    for step, current in enumerate(path.steps, start=1):
        if step % EVERY:
            continue
        decay = min(0.9, (1 + EVERY * updates) / (10 + EVERY * updates)) ** EVERY
        mean = current if mean is None else decay * mean + (1 - decay) * current
        updates += 1
    assert torch.allclose(weights(built), mean, atol=1e-6)
    assert not torch.allclose(weights(built), path.steps[-1], atol=1e-4)


class Broken(Exception):
    pass


class BreakOff(pl.Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 2:
            raise Broken


def test_a_broken_run_goes_on_and_ends_as_an_unbroken_one(module, fit):
    whole, again = module(), module()
    fit(whole, folder="whole")
    with pytest.raises(Broken):
        fit(module(), folder="broken", callbacks=[BreakOff()])
    fit(again, folder="broken")
    assert torch.equal(weights(again), weights(whole))


@pytest.mark.parametrize("decay", [0.0, 1.0, 1.5])
def test_a_decay_that_averages_nothing_is_refused(module, fit, decay):
    with pytest.raises(MillisError, match=f"trainer.averaging={decay}: expected a decay above 0 and below 1"):
        fit(module(), averaging=decay)


def test_a_model_that_changes_its_form_is_not_averaged(module, fit):
    class Pruning(pl.Callback):
        settled = False

    with pytest.raises(MillisError, match=r"averaging=0.9 would mix weights from before and after Pruning changed"):
        fit(module(), callbacks=[Pruning()])
