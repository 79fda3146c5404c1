"""What is kept for the backward pass is counted byte by byte, and measuring leaves no trace."""

import csv
from contextlib import nullcontext

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import nn

from millis.data.batches import model_inputs
from millis.training import precision
from millis.training.fit import Fit
from millis.training.precision import Savings, _pass, savings


class Exponential(nn.Module):
    """exp(w · x), twice the same: keeps x, for w's gradient, and exp(w · x), which is its own derivative."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, input_ids, attention_mask):
        return torch.exp(self.weight * input_ids.float())


class Deep(nn.Module):
    """Linear layers: what bf16 is for."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(64, 64) for _ in range(8)))
        self.dropout = nn.Dropout(0.5)

    def forward(self, input_ids, attention_mask):
        return self.layers(self.dropout(input_ids.float().expand(-1, 64)))


def batch(rows=2, length=5):
    ids = torch.arange(rows * length).view(rows, length) % 3
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "target/logits": torch.zeros(rows)}


def test_kept_bytes_are_those_of_distinct_activations():
    _, kept = _pass(Exponential(), model_inputs(batch()), nullcontext())
    assert kept == 2 * (2 * 5 * 4)  # x and exp(w · x), [2, 5] of 4 bytes; w is a weight, not an activation


def test_activations_of_linear_layers_take_half_the_memory():
    saved = savings(Deep(), batch(rows=256, length=1), "bf16-mixed", "cpu")
    assert saved.memory_ratio == pytest.approx(2, rel=0.3)  # all but dropout's own
    assert saved.speedup > 0


def test_measuring_leaves_no_trace():
    model = Deep().eval()
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    before = [parameter.clone() for parameter in model.parameters()]
    savings(model, batch(length=1), "bf16-mixed", "cpu")
    assert torch.equal(torch.rand(3), expected)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


def test_savings_are_told_in_a_sentence():
    said = str(Savings("bf16-mixed", speedup=1.6, memory_ratio=2.0))
    assert said == "bf16-mixed: 1.60x fp32's speed, activations in 50% of the memory"


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_a_mixed_precision_run_logs_and_prints_them(module, separable, tmp_path, capsys, precision):
    logger = CSVLogger(tmp_path, "curves", version="v")
    Fit(max_epochs=1, batch_size=8, accelerator="cpu", precision=precision)(
        module(), separable(64), separable(32, seed=1), 0,
        folder=tmp_path / "run", seed=0, title="toy", logger=logger,
    )  # fmt: skip
    with (tmp_path / "curves" / "v" / "metrics.csv").open() as file:
        names = set(csv.DictReader(file).fieldnames)
    mixed = precision == "bf16-mixed"
    assert ({"precision/speedup", "precision/memory_ratio"} <= names) is mixed
    assert ("toy  bf16-mixed: " in capsys.readouterr().err) is mixed


def test_a_model_whose_answer_is_frozen_is_measured_forward_alone():
    model = Exponential()
    model.weight.requires_grad_(False)
    assert savings(model, batch(), "bf16-mixed", "cpu").speedup > 0


@pytest.fixture
def timed(monkeypatch, tmp_path):
    """Lets fp32 and bf16 take so long, on a processor that has the instructions; returns the passes that were made."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(precision, "cache_folder", lambda: tmp_path / "cache")
    plain = nullcontext()
    monkeypatch.setattr(precision, "nullcontext", lambda: plain)

    def take(single, half):
        passes = []

        def passing(model, inputs, context):
            passes.append(context)
            return (single if context is plain else half), 0

        monkeypatch.setattr(precision, "_pass", passing)
        return passes

    return take


def anew():
    """What another process finds."""
    return precision.bf16_pays.__wrapped__("cpu")


@pytest.mark.parametrize(("times", "pays"), [((1.0, 0.5), True), ((1.0, 0.95), False), ((1.0, 1.5), False)])
def test_bf16_is_chosen_where_it_is_faster_and_not_where_there_are_instructions_for_it(timed, times, pays):
    timed(*times)
    assert anew() is pays


@pytest.mark.parametrize("first", [True, False])
def test_one_verdict_holds_for_every_process(timed, first):
    fast, slow = (1.0, 0.5), (1.0, 1.5)
    timed(*(fast if first else slow))
    assert anew() is first
    passes = timed(*(slow if first else fast))
    assert anew() is first and passes == []


@pytest.mark.parametrize("changed", ["processor_name", "torch"])
def test_another_processor_or_pytorch_has_a_verdict_of_its_own(timed, monkeypatch, changed):
    timed(1.0, 0.5)
    assert anew() is True
    if changed == "torch":
        monkeypatch.setattr(torch, "__version__", "99.0")
    else:
        monkeypatch.setattr(precision, "processor_name", lambda: "Cool CPU 9")
    timed(1.0, 1.5)
    assert anew() is False


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"pays": 1}', b"\xff"])
def test_a_verdict_that_cannot_be_read_is_found_anew(timed, tmp_path, damage):
    timed(1.0, 0.5)
    anew()
    (kept,) = (tmp_path / "cache").glob("*.json")
    kept.write_bytes(damage)
    timed(1.0, 1.5)
    assert anew() is False
    timed(1.0, 0.5)
    assert anew() is False


def test_where_nothing_can_be_kept_there_is_a_verdict_all_the_same(timed, tmp_path):
    (tmp_path / "cache").touch()
    timed(1.0, 0.5)
    assert anew() is True


def test_bf16_is_not_timed_where_it_would_be_emulated(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(precision, "_pass", None)
    assert anew() is False
