"""The callback: when rounding begins, when ranges rest, and that a broken-off run ends as an unbroken one."""

import numpy as np
import pytest
import pytorch_lightning as pl
import rounded
import torch
from labelled import counted
from signatures import TEXTS

from millis.backends.onnx.arithmetic import arithmetic
from millis.backends.onnx.export import export
from millis.backends.onnx.session import open_session
from millis.distillation.objective import Distillation
from millis.errors import MillisError
from millis.quantization.inputs import SharedInput
from millis.quantization.rounding import convert, is_prepared
from millis.quantization.spec import Quantization
from millis.quantization.weights import WeightQuantizer
from millis.training.fit import Fit
from millis.training.module import TextModule
from millis.training.optim import AdamW
from millis.training.quantization import QuantizationCallback

EPOCHS, STEPS = 4, 8  # of 64 rows in batches of 8: 32 steps


def percent(predictions, references):
    return 100 * sum(one == two for one, two in zip(predictions, references, strict=True)) / len(references)


class Watch(pl.Callback):
    """What a prepared model's parts were told in every step, and the head's range after it."""

    def __init__(self):
        self.enabled, self.frozen, self.scales = [], [], []

    def on_train_batch_start(self, trainer, pl_module, *_):
        parts = [m for m in pl_module.model.modules() if isinstance(m, WeightQuantizer)]
        self.enabled.append(all(part.enabled for part in parts))
        self.frozen.append(all(part.frozen for part in parts))

    def on_train_batch_end(self, trainer, pl_module, *_):
        quantizer = pl_module.model.head.shared_input.quantizer
        if hasattr(quantizer, "observer"):
            self.scales.append(tuple(quantizer.observer.range.tolist()))


class Stop(pl.Callback):
    """Breaks the run off after so many epochs."""

    def __init__(self, epochs):
        self.epochs = epochs

    def on_train_epoch_start(self, trainer, *_):
        if trainer.current_epoch == self.epochs:
            raise KeyboardInterrupt


@pytest.fixture
def train(separable, tmp_path):
    """Trains a tiny encoder; the module, the callback, and what was seen."""

    def run(recipe="dynamic", folder="run", epochs=EPOCHS, stop=None, precision="32-true", **aware):
        module = TextModule(
            rounded.model(),
            Distillation(alpha=0.0).objective(counted([1, 1, 1])),
            AdamW(lr=0.01, head_lr=0.01),
            percent,
        )
        asked = rounded.quantization(recipe, **aware)
        callback, watch = QuantizationCallback(asked, arithmetic(asked)), Watch()
        callbacks = [callback, watch, *([Stop(stop)] if stop else [])]
        Fit(max_epochs=epochs, batch_size=8, patience=10, accelerator="cpu", precision=precision)(
            module, separable(64), separable(32, seed=1), 0,
            folder=tmp_path / folder, seed=0, title="tiny", callbacks=callbacks,
        )  # fmt: skip
        return module, callback, watch

    return run


def test_phases_follow_the_shares_of_training(train):
    _, callback, watch = train("static", start_after=0.25, freeze_after=0.5)
    assert watch.enabled == [False] * 8 + [True] * 24
    assert watch.frozen == [False] * 16 + [True] * 16
    assert callback.settled


def test_ranges_rest_once_they_are_frozen(train):
    _, _, watch = train("static", freeze_after=0.5)
    assert len(set(watch.scales[:16])) == 16
    assert len(set(watch.scales[15:])) == 1


@pytest.mark.parametrize("recipe", rounded.RECIPES)
def test_the_trained_model_is_deployed_as_it_was_validated(train, tmp_path, recipe):
    texts = rounded.requests(200)
    module, _, _ = train(recipe, ranges="lsq")
    assert is_prepared(module.model)
    simulated = rounded.answers(module.model, texts)
    export(convert(module.model), tmp_path / "m.onnx", TEXTS, rounded.quantization(recipe), texts)
    session = open_session(tmp_path / "m.onnx", threads=1)
    deployed = np.concatenate([session(text)[0] for text in texts])
    assert np.median(abs(deployed - simulated).max(axis=1)) < 1e-5 * simulated.std()
    assert (deployed.argmax(axis=1) == simulated.argmax(axis=1)).mean() >= 0.995


@pytest.mark.parametrize(("recipe", "ranges"), [("dynamic", "lsq"), ("static", "moving_average"), ("static", "lsq")])
def test_a_resumed_run_ends_as_an_unbroken_one(train, recipe, ranges):
    whole, _, _ = train(recipe, "whole", ranges=ranges, freeze_after=0.7)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, "broken", stop=2, ranges=ranges, freeze_after=0.7)
    resumed, callback, watch = train(recipe, "broken", ranges=ranges, freeze_after=0.7)
    assert len(watch.enabled) == 2 * STEPS
    assert callback.settled
    expected, got = whole.model.state_dict(), resumed.model.state_dict()
    assert set(expected) == set(got)
    assert all(torch.equal(expected[name], value) for name, value in got.items())


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_short_training_settles_too(train, share):
    _, callback, _ = train("static", epochs=1, freeze_after=share)
    assert callback.settled


def test_without_moving_ranges_a_model_is_settled_as_soon_as_it_rounds(train):
    _, callback, watch = train(start_after=0.25, freeze_after=0.9)
    assert callback.settled
    assert watch.enabled.count(True) == 24


def test_settled_says_when_ranges_rest():
    callback = QuantizationCallback(asked := rounded.quantization("static"), arithmetic(asked))
    assert not callback.settled
    module = pl.LightningModule()
    module.model = rounded.model()
    trainer = pl.Trainer(logger=False)
    callback.setup(trainer, module, "fit")
    callback.setup(trainer, module, "fit")  # a second stage of training finds it prepared

    class At:
        estimated_stepping_batches = 10

        def __init__(self, step):
            self.global_step = step

    seen = []
    for step in range(11):
        callback.on_train_batch_end(At(step), module)
        seen.append(callback.settled)
    assert seen == [False] * 8 + [True] * 3  # 0.8 of 10


def test_bf16_trains(train):
    module, _, _ = train("static", precision="bf16-mixed", ranges="moving_average")
    shared = [part for part in module.model.modules() if isinstance(part, SharedInput)]
    assert all(part.quantizer.observer.range.isfinite().all() for part in shared)
    assert all(parameter.dtype == torch.float32 for parameter in module.model.parameters())


def test_a_quantization_without_training_is_refused():
    with pytest.raises(MillisError) as error:
        QuantizationCallback(Quantization(), arithmetic(Quantization()))
    assert str(error.value) == (
        "quantization-aware training got a quantization without `aware`. Choose a recipe that has it, such as "
        "quantization=qat"
    )
