"""Adapters: what is trained, that merging leaves the plain model, and that training, checkpoints and resuming work."""

import copy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from labelled import counted
from omegaconf import OmegaConf
from specs import changed

from millis import models
from millis.cli.hydra_app import conf_dir
from millis.distillation.objective import Distillation
from millis.errors import MillisError
from millis.training.adapters import AdaLora, Lora, merge, none
from millis.training.fit import Fit
from millis.training.module import TextModule
from millis.training.optim import AdamW
from millis.training.rank_allocation import forget_overflow, orthogonality

MATRICES = ("query", "value", "ffn_in")
CONFIG = {
    "model_type": "bert",
    "vocab_size": 12,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "pad_token_id": 0,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
IDS = torch.tensor([[2, 5, 9, 4], [3, 7, 7, 11]])


@pytest.fixture
def model():
    torch.manual_seed(0)
    spec = {
        "family": "transformer",
        "encoder": CONFIG,
        "shape": {"head_size": 8, "heads": [2, 2], "ffn": [32, 32]},
        "affixes": [[], []],
        "pooling": "mean",
        "dropout": 0.0,
        "num_labels": 2,
    }
    return models.build(models.read(spec))


def percent(predictions, references):
    return 100 * float(np.mean(np.asarray(predictions) == np.asarray(references)))


def answers(model):
    with torch.no_grad():
        return model.eval()(IDS, torch.ones_like(IDS))


def train(model, callbacks, separable, folder, epochs=3, lr=0.02, layer_decay=1.0, watch=(), accumulated=1):
    """`watch`: callbacks that look on. `accumulated`: batches that a step of eight rows is cut into."""
    module = TextModule(
        model,
        Distillation(alpha=0).objective(counted([1, 1])),
        AdamW(lr=lr, head_lr=lr, layer_decay=layer_decay),
        percent,
    )
    fit = Fit(
        max_epochs=epochs, batch_size=8 // accumulated, patience=99, accelerator="cpu",
        flags={"accumulate_grad_batches": accumulated},
    )  # fmt: skip
    return fit(
        module, separable(64), separable(16, seed=1), 0,
        folder=folder, seed=0, title="toy", callbacks=[*callbacks, *watch],
    )  # fmt: skip


METHODS = {
    "lora": Lora(MATRICES, rank=4),
    "adalora": AdaLora(MATRICES, target_rank=2, initial_rank=4, interval=2),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_fresh_adapter_changes_nothing_and_trains_little(model, method):
    before, names = answers(model), list(model.state_dict())
    method.wrap(model)
    assert torch.equal(answers(model), before)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name for name in trained if "lora_" not in name} == {"head.weight", "head.bias"}
    assert any(name.startswith("encoder.encoder.layer.1.intermediate.dense.lora_") for name in trained)
    merge(model)
    assert list(model.state_dict()) == names
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_trained_and_merged_it_answers_as_before_merging(model, method, separable, tmp_path):
    frozen = {name: value.clone() for name, value in model.state_dict().items()}
    callbacks = method.wrap(model)
    fitted = train(model, callbacks, separable, tmp_path)
    assert fitted.history[-1]["train/objective"] < fitted.history[0]["train/objective"]
    trained = answers(model)
    assert merge(model) is model
    torch.testing.assert_close(answers(model), trained, atol=1e-5, rtol=0)
    plain = models.build(model.spec)
    plain.load_state_dict(model.state_dict())  # same names, same shapes
    assert torch.equal(answers(plain), answers(model))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, frozen[name])}
    parts = ("self.query.weight", "self.value.weight", "intermediate.dense.weight")
    adapted = {name for name in frozen if name.endswith(parts)}
    assert {"head.weight", "head.bias"} < changed <= adapted | {"head.weight", "head.bias"}
    # AdaLoRA may take all of a matrix's rank and give it to another.
    assert method != METHODS["lora"] or adapted < changed


def test_the_merged_matrix_by_hand(model):
    """W + α/r B A with r 1, α 3, B = 1, A = (1, 0, ...): 3 is added to the first column."""
    Lora(["encoder.encoder.layer.0.attention.self.query"], rank=1, alpha=3.0).wrap(model)
    layer = model.encoder.encoder.layer[0].attention.self.query
    before = layer.base_layer.weight.detach().clone()
    with torch.no_grad():
        layer.lora_B["default"].weight.fill_(1.0)
        layer.lora_A["default"].weight.zero_()[0, 0] = 1.0
    added = merge(model).encoder.encoder.layer[0].attention.self.query.weight - before
    assert added[:, 0].tolist() == pytest.approx([3.0] * 16, abs=1e-6)
    assert not added[:, 1:].any()


def test_layerwise_rates_reach_the_adapters(model):
    Lora(["query"], rank=2).wrap(model)
    optimizer, _ = AdamW(lr=1.0, head_lr=9.0, layer_decay=0.5, warmup=0.0)(model, 10)
    rates = {id(p): group["initial_lr"] for group in optimizer.param_groups for p in group["params"]}
    found = {name: rates[id(p)] for name, p in model.named_parameters() if p.requires_grad}
    assert {name.split(".")[3] if "layer" in name else name: rate for name, rate in found.items()} == {
        "0": 0.5, "1": 1.0, "head.weight": 9.0, "head.bias": 9.0
    }  # fmt: skip


class Stop(pl.Callback):
    """Breaks off in the middle of an epoch, as a kill would."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == self.step:
            raise RuntimeError("killed")


@pytest.mark.parametrize("name", METHODS)
def test_a_killed_run_is_continued(model, name, separable, tmp_path):
    """To the same weights as one that was not: nothing is remembered but what the checkpoint holds."""
    runs = {run: copy.deepcopy(model) for run in ("through", "killed", "continued")}
    callbacks = {}
    for run, built in runs.items():
        torch.manual_seed(1)
        callbacks[run] = METHODS[name].wrap(built)
    train(runs["through"], callbacks["through"], separable, tmp_path / "through")
    with pytest.raises(RuntimeError, match="killed"):
        train(runs["killed"], callbacks["killed"], separable, tmp_path / "killed", watch=[Stop(12)])
    fitted = train(runs["continued"], callbacks["continued"], separable, tmp_path / "killed")
    assert fitted.epochs == 3
    torch.testing.assert_close(answers(runs["continued"]), answers(runs["through"]), atol=1e-6, rtol=0)
    for through, continued in zip(callbacks["through"], callbacks["continued"], strict=True):
        assert continued.ranks == through.ranks
        assert continued.settled


class Ranks(pl.Callback):
    """Notes, after each step, how many λ are not 0, and whether ranks have settled."""

    def __init__(self, allocation):
        self.allocation, self.seen = allocation, []

    def on_train_batch_end(self, trainer, pl_module, *_):
        values = [p for name, p in pl_module.named_parameters() if "lora_E" in name]
        self.seen.append((sum(int((value != 0).sum()) for value in values), self.allocation.settled))


def test_ranks_fall_from_the_initial_to_the_target_budget(model, separable, tmp_path):
    """6 matrices: 24 triplets at first, 12 in the end. 24 steps: 2 of warm-up, the last allocation at 24 - 9 = 15."""
    (allocation,) = METHODS["adalora"].wrap(model)
    ranks = Ranks(allocation)
    train(model, [allocation], separable, tmp_path, watch=[ranks])
    budgets = [alive for alive, _ in ranks.seen]
    assert len(budgets) == 24
    assert budgets[:3] == [24] * 3  # λ leave 0 with the first step; the first even step after warm-up is 4
    assert budgets[14:] == [12] * 10
    assert [settled for _, settled in ranks.seen] == [False] * 14 + [True] * 10
    # The cubic schedule, at the even steps: 12 + 12 (1 - (t - 2) / 13)³, rounded down, held or undershot.
    for step in (4, 6, 8, 10, 12, 14):
        assert budgets[step - 1] <= int(12 + 12 * (1 - (step - 2) / 13) ** 3)
    kept = sum(sum(mask) for mask in allocation.ranks.values())
    assert kept == 12


def test_ranks_are_allocated_once_a_step_and_not_once_a_batch(model, separable, tmp_path):
    """48 batches of 4 rows make 24 steps of 8; after the last allocation, at 15, nothing is scored any more."""
    (allocation,) = METHODS["adalora"].wrap(model)
    steps = []

    class Listen(pl.Callback):
        def on_train_start(self, *_):
            allocate = allocation.allocator.update_and_allocate
            allocation.allocator.update_and_allocate = lambda model, step, **forced: (
                steps.append(step) or allocate(model, step, **forced)
            )

    train(model, [allocation], separable, tmp_path, watch=[Listen()], accumulated=2)
    assert steps == list(range(1, 16))
    assert sum(sum(mask) for mask in allocation.ranks.values()) == 12


def test_the_penalty_counts_once_however_many_batches_make_a_step(model):
    method = AdaLora(["query"], target_rank=1, initial_rank=2, orthogonality=6.0)
    (allocation,) = method.wrap(model)
    gradients = {}
    for batches in (1, 3):
        model.zero_grad()
        trainer = SimpleNamespace(precision_plugin=SimpleNamespace(), accumulate_grad_batches=batches)
        for _ in range(batches):
            allocation.on_after_backward(trainer, model)
        gradients[batches] = [p.grad.clone() for name, p in model.named_parameters() if "lora_A" in name]
    assert all(gradient.any() for gradient in gradients[1])
    torch.testing.assert_close(gradients[3], gradients[1])


def test_gradients_that_overflowed_are_forgotten():
    layer = torch.nn.Linear(2, 2)
    layer.weight.grad, layer.bias.grad = torch.full((2, 2), torch.inf), torch.ones(2)
    forget_overflow(layer)
    assert not layer.weight.grad.any()
    assert layer.bias.grad.tolist() == [1, 1]


def test_the_penalty_pulls_factors_towards_orthogonality(model, separable, tmp_path):
    distances = {}
    for weight in (0.0, 5.0):
        torch.manual_seed(0)
        built = models.build(model.spec)
        method = AdaLora(["query"], target_rank=1, initial_rank=2, orthogonality=weight)
        train(built, method.wrap(built), separable, tmp_path / str(weight))
        distances[weight] = sum(
            float(orthogonality(p.detach() if "lora_A" in name else p.detach().T))
            for name, p in built.named_parameters()
            if "lora_A" in name or "lora_B" in name
        )
    assert distances[5.0] < 0.9 * distances[0.0]


def test_distance_from_orthogonality_by_hand():
    """Orthonormal rows: 0. Rows (2, 0) and (0, 1): R R' - I = [[3, 0], [0, 0]]."""
    assert orthogonality(torch.eye(2)) == 0
    assert orthogonality(torch.tensor([[2.0, 0.0], [0.0, 1.0]])) == 3


def test_too_few_steps_to_allocate_in(model, separable, tmp_path):
    method = AdaLora(["query"], target_rank=1, initial_rank=2, warmup=0.5, final=0.45)
    with pytest.raises(MillisError) as error:
        train(model, method.wrap(model), separable, tmp_path, epochs=1)
    assert str(error.value) == (
        "adapter=adalora has 8 steps to train in and none to allocate ranks in: expected ten or more. Train longer, "
        "take smaller batches, or choose adapter=lora"
    )


def test_an_adapter_that_diverged(model):
    Lora(["query"]).wrap(model)
    with torch.no_grad():
        model.encoder.encoder.layer[1].attention.self.query.lora_B["default"].weight.fill_(torch.nan)
    with pytest.raises(MillisError) as error:
        merge(model)
    assert str(error.value) == (
        "the adapter of encoder.encoder.layer.1.attention.self.query diverged: its weights are not finite. Lower "
        "optimizer.lr"
    )


def test_no_peft(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MillisError) as error:
        Lora(["query"]).wrap(model)
    assert str(error.value) == "adapters are trained with peft: pip install 'millis[peft]', or adapter=none"


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        (
            ["querry"],
            r"matrices holds 'querry', which names no matrix of this model \(did you mean 'query'\?\)",
        ),
        (
            ["word_embeddings"],
            r"adapter\.matrices names encoder\.embeddings\.word_embeddings, which is no linear layer",
        ),
        (["head"], r"adapter\.matrices names the head, which is trained whole\. Name layers of the encoder"),
    ],
)
def test_matrices_that_cannot_have_one(model, matrices, message):
    with pytest.raises(MillisError, match=message):
        Lora(matrices).wrap(model)
    assert not [name for name in model.state_dict() if "lora" in name]


def test_the_heads_of_several_outputs_are_refused_too(model):
    outputs = {"outputs": [["intent", "text", 3, "one"], ["tags", "token", 5, "one"]]}
    tagger = models.build(changed(model.spec, **outputs))
    with pytest.raises(MillisError, match="names the head, which is trained whole"):
        Lora(["head.tags"]).wrap(tagger)
    Lora(["query"]).wrap(tagger)
    assert all(parameter.requires_grad for parameter in tagger.head.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, r"^adapter\.rank=0: expected at least 1$"),
        ({"alpha": 0.0}, r"^adapter\.alpha=0\.0, dropout=0\.0: expected alpha above 0, dropout from 0 up to 1$"),
        ({"dropout": 1.0}, "dropout=1.0: expected alpha above 0"),
    ],
)
def test_lora_of_sizes_that_cannot_be(options, message):
    with pytest.raises(MillisError, match=message):
        Lora(["query"], **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_rank": 0}, r"^adapter\.target_rank=0: expected at least 1$"),
        ({"interval": 0}, r"^adapter\.interval=0: expected at least 1$"),
        (
            {"target_rank": 8, "initial_rank": 8},
            r"^adapter\.initial_rank=8 leaves nothing to take away: expected more than target_rank=8, for example 12$",
        ),
        ({"warmup": 0.6, "final": 0.4}, r"warmup=0\.6, final=0\.4: expected shares of the steps that add up to less"),
        ({"final": 0.0}, "final above 0"),
        ({"orthogonality": -1.0}, r"^adapter\.orthogonality=-1\.0: expected 0 or more$"),
    ],
)
def test_adalora_of_sizes_that_cannot_be(options, message):
    with pytest.raises(MillisError, match=message):
        AdaLora(["query"], **options)


FILES = sorted((Path(conf_dir()) / "adapter").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_config_makes_an_adapter_that_merges(model, path):
    method = instantiate(OmegaConf.load(path))
    if method is None:
        assert path.stem == "none" and none() is None
        return
    before, names = answers(model), list(model.state_dict())
    assert all(isinstance(callback, pl.Callback) for callback in method.wrap(model))
    assert list(merge(model).state_dict()) == names
    torch.testing.assert_close(answers(model), before, atol=1e-6, rtol=0)
