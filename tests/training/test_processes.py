"""Two processes train as one does: over gloo, on CPUs."""

import os
import pickle
import re
import runpy
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import CONTEXT
from labelled import said
from torch import nn
from toy import Bag, DieAt, LoopbackOnly, SameEverywhere, Unreadable, failing_training, sleep, toy_module, toy_training

from millis.errors import MillisError
from millis.pruning.criterion.movement import Movement
from millis.pruning.criterion.wanda import Wanda
from millis.pruning.granularity.element import Element
from millis.pruning.recipe import Pruning
from millis.pruning.schedule import Linear
from millis.training.callbacks import CachedTeacher
from millis.training.fit import Fit
from millis.training.processes import READY, Gathered, led
from millis.training.pruning import PruningCallback

tiny_encoder = runpy.run_path(str(Path(__file__).parents[1] / "pruning" / "conftest.py"))["tiny_encoder"]


@pytest.fixture
def train(tmp_path):
    """Trains a toy module in `devices` processes."""

    def run(devices, module=None, rows=64, epochs=3, callbacks=(), folder=None, batch_size=8, **flags):
        module = toy_module() if module is None else module
        fit = Fit(max_epochs=epochs, batch_size=batch_size, patience=10, accelerator="cpu", devices=devices, **flags)
        return module, toy_training(fit, module, tmp_path / (folder or f"{devices}"), rows, callbacks)

    return run


def assert_same(two, one, atol=1e-5):
    for (name, ours), (_, theirs) in zip(two.model.named_parameters(), one.model.named_parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=atol, msg=lambda text, name=name: f"{name}: {text}")


def history(fitted):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in fitted.history]


def test_two_processes_give_what_one_gives(train):
    (one, alone), (two, together) = train(1), train(2)
    assert_same(two, one)
    assert together.quality == alone.quality, "31 rows are judged by two: 16 and 15"
    assert 50 < together.quality < 100
    for ours, theirs in zip(history(together), history(alone), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert not torch.distributed.is_initialized()
    assert "GLOO_SOCKET_IFNAME" not in os.environ


def test_nobody_outside_this_machine_can_reach_a_training(train):
    train(2, callbacks=[LoopbackOnly()], epochs=1)


def test_a_follower_leaves_with_the_process_that_it_follows():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "millis.training.processes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as follower:
        pickle.dump((sleep, None), follower.stdin)
        follower.stdin.flush()
        assert follower.stdout.readline() == READY
        follower.stdin.close()  # as the system does for whoever is killed
        assert follower.wait(60) == 1


def test_with_a_teacher_accumulation_and_parameters_that_nothing_reads(train):
    logits = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    found = [
        train(
            devices,
            toy_module(Bag(unused=True), alpha=0.5, freeze_embeddings=True),
            callbacks=[CachedTeacher(said(logits))],
            flags={"accumulate_grad_batches": 3},
        )
        for devices in (1, 2)
    ]
    assert_same(found[1][0], found[0][0])
    assert torch.equal(found[1][0].model.embedding.weight, Bag().embedding.weight), "frozen"


@pytest.mark.parametrize("criterion", [Wanda(), Movement()], ids=["wanda", "movement"])
def test_masks_are_the_same_in_all_processes_and_those_of_one(train, criterion):
    """Each sees half of a batch; what was seen is put together."""
    pruning, ends = Pruning(criterion, Element(), Linear(2, 4, 2), 0.5), []
    for devices in (1, 2):
        module = toy_module(tiny_encoder(seed=0, num_labels=2))
        module, _ = train(devices, module, callbacks=[PruningCallback(pruning), SameEverywhere()], epochs=2)
        model, _ = pruning.finish(module.model)
        layers = [layer.weight.flatten() for layer in model.encoder.modules() if isinstance(layer, nn.Linear)]
        ends.append(torch.cat(layers) == 0)
    assert float(ends[0].float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float((ends[0] == ends[1]).float().mean()) > 0.999, "sums in another order may turn a tie"


def test_a_run_broken_in_two_goes_on_and_ends_as_an_unbroken_one(train):
    whole, _ = train(1, folder="whole")
    with pytest.raises(MillisError, match="stop here"):
        train(2, folder="broken", callbacks=[DieAt(0, 17, MillisError("stop here"))])
    resumed, fitted = train(2, folder="broken")  # nothing of the broken one is in its way
    assert [row["epoch"] for row in fitted.history] == [1, 2, 3]
    assert_same(resumed, whole)


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (DieAt(1, 3), r"training process 1 ended in the middle of training \(status -9\). Signal 9 is most often"),
        (DieAt(1, 3, ValueError("no such thing")), r"(?s)training process 1 ended in .*ValueError: no such thing"),
    ],
)
def test_a_process_that_dies_is_named_with_its_last_words(callback, message, tmp_path):
    assert re.match(message, failure(callback, tmp_path))


def failure(callback, folder):
    """What a training in two processes fails with. It leads from a process of its own, and again where that is aborted:
    gloo's thread may not outlive a peer that is killed while it writes."""
    for attempt in range(3):
        with suppress(BrokenProcessPool), ProcessPoolExecutor(1, CONTEXT) as pool:
            return pool.submit(failing_training, callback, folder / str(attempt)).result()
    pytest.fail("aborted three times in a row")


def test_a_process_that_does_not_start_is_named_with_its_last_words(train):
    message = r"(?s)training process 1 did not start .*trainer.devices=1.*this callback does not travel"
    with pytest.raises(MillisError, match=message):
        train(2, callbacks=[Unreadable()])
    assert not torch.distributed.is_initialized()


def test_one_process_is_none_at_all():
    before = threading.active_count()
    with led(1, None, Path()) as ranks:
        assert ranks is None
        assert threading.active_count() == before
    assert Gathered(1)("mine") == ["mine"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"strategy": "fsdp"},
            r"trainer.strategy=fsdp: expected one of auto, ddp. Strategies that shard a model over GPUs",
        ),
        ({"strategy": "dpd"}, r"trainer.strategy=dpd \(did you mean 'ddp'\?\): expected one of auto, ddp"),
        ({"devices": 3}, r"trainer.devices=3 and batch_size=8: expected `auto`, or a number of devices that divides"),
        ({"devices": 0}, r"trainer.devices=0 and batch_size=8"),
        ({"devices": "two"}, r"trainer.devices=two and batch_size=8"),
    ],
)
def test_what_cannot_be(settings, message):
    with pytest.raises(MillisError, match=message):
        Fit(max_epochs=1, batch_size=8, accelerator="cpu", **settings)


def test_more_gpus_than_there_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(MillisError, match=r"trainer.devices=2: this machine has 1 GPUs"):
        Fit(max_epochs=1, batch_size=8, devices=2)
