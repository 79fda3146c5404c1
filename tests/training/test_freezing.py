"""Training a part of a model leaves the rest as it was, to the last bit."""

import copy

import rounded
import torch
from labelled import counted

from millis.distillation.contract import Pair
from millis.distillation.objective import Distillation
from millis.early_exit.training import TwoStage
from millis.training.fit import Fit
from millis.training.freezing import TrainOnly
from millis.training.module import TextModule
from millis.training.optim import AdamW


def test_exits_alone_are_trained(separable, tmp_path):
    model = rounded.with_exits(rounded.model(), [0])
    before = copy.deepcopy(model.state_dict())
    stage = TwoStage().stages(Distillation(alpha=0.0).stages())[-1]
    objective = stage.distillation.objective(counted([1, 1, 1]), Pair(model, None, None, None))
    module = TextModule(model, objective, AdamW(lr=0.05, head_lr=0.05), lambda predictions, references: 0.0)
    frozen = TrainOnly(model, stage.trains)
    fit = Fit(max_epochs=2, batch_size=8, accelerator="cpu")
    fit(module, separable(16), separable(8, 1), 0, folder=tmp_path, seed=0, title="exits", callbacks=[frozen])
    after = module.model.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"exits.0.weight", "exits.0.bias"}
    assert all(parameter.requires_grad for parameter in module.model.parameters())


def test_what_was_frozen_before_stays_frozen():
    model = rounded.model()
    model.head.bias.requires_grad_(False)
    frozen = TrainOnly(model, "encoder.")
    assert not model.head.weight.requires_grad
    frozen.on_fit_end(None, None)
    assert model.head.weight.requires_grad
    assert not model.head.bias.requires_grad
