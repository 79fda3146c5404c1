"""AdamW's groups and schedule, by hand, on a model with the names that real encoders have."""

import pytest
from causal import writer
from sides import KINDS, answering
from torch import nn
from torch.nn.utils import parametrize

from millis.errors import MillisError
from millis.models import stacks
from millis.training.optim import AdamW, Decay


class Toy(nn.Module):
    """Names as in BERT: embeddings, three layers, a head."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.embeddings = nn.Module()
        self.encoder.embeddings.word_embeddings = nn.Embedding(5, 2)
        self.encoder.embeddings.LayerNorm = nn.LayerNorm(2)
        self.encoder.layer = nn.ModuleList(nn.ModuleDict({"dense": nn.Linear(2, 2)}) for _ in range(3))
        self.encoder.final_norm = nn.LayerNorm(2)
        self.head = nn.Linear(2, 2)


def settings_of(optimizer_settings, model=None):
    """Parameter name → (peak rate, weight decay)."""
    model = model or Toy()
    optimizer, _ = optimizer_settings(model, 10)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["initial_lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_rates_fall_by_the_layer_and_biases_and_norms_do_not_decay():
    found = settings_of(AdamW(lr=0.08, head_lr=0.5, layer_decay=0.5, weight_decay=0.01))
    # layer l of 3: 0.08 · 0.5^(2 - l); embeddings one below layer 0.
    assert found == {
        "encoder.embeddings.word_embeddings.weight": (0.01, 0.01),
        "encoder.embeddings.LayerNorm.weight": (0.01, 0.0),
        "encoder.embeddings.LayerNorm.bias": (0.01, 0.0),
        "encoder.layer.0.dense.weight": (0.02, 0.01),
        "encoder.layer.0.dense.bias": (0.02, 0.0),
        "encoder.layer.1.dense.weight": (0.04, 0.01),
        "encoder.layer.1.dense.bias": (0.04, 0.0),
        "encoder.layer.2.dense.weight": (0.08, 0.01),
        "encoder.layer.2.dense.bias": (0.08, 0.0),
        "encoder.final_norm.weight": (0.08, 0.0),
        "encoder.final_norm.bias": (0.08, 0.0),
        "head.weight": (0.5, 0.01),
        "head.bias": (0.5, 0.0),
    }


def test_pairs_have_a_rate_of_their_own():
    optimizer = AdamW(lr=0.4, head_lr=1.0, pair_share=0.25)
    assert optimizer.over(pairs=False) is optimizer
    assert optimizer.over(pairs=True) == AdamW(lr=0.1, head_lr=1.0)
    with pytest.raises(MillisError, match=r"optimizer.pair_share=0: expected above 0, up to 1 \(the same rate\)"):
        AdamW(lr=0.4, head_lr=1.0, pair_share=0)


def test_without_layer_decay_two_rates_are_left():
    found = settings_of(AdamW(lr=0.1, head_lr=0.2))
    assert {rate for name, (rate, _) in found.items() if not name.startswith("head.")} == {0.1}
    assert {rate for name, (rate, _) in found.items() if name.startswith("head.")} == {0.2}


def test_a_model_without_layers_has_one_rate_but_for_its_embeddings(bag):
    # No layers: depth 0, so embeddings are 0 below the top.
    assert settings_of(AdamW(lr=0.1, head_lr=0.2, layer_decay=0.5), bag()) == {
        "embedding.weight": (0.1, 0.01),
        "head.weight": (0.2, 0.01),
        "head.bias": (0.2, 0.0),
    }


def test_frozen_embeddings_are_neither_optimised_nor_given_a_gradient():
    model = Toy()
    found = settings_of(AdamW(lr=0.1, head_lr=0.1, freeze_embeddings=True), model)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith("encoder.embeddings.")}
    assert found.keys() == {name for name, _ in model.named_parameters()} - frozen


def test_a_parametrized_weight_is_treated_as_the_plain_one():
    class Same(nn.Module):
        def forward(self, values):
            return values

    plain, model = Toy(), Toy()
    for module in [*model.modules()]:
        for name in [*module._parameters]:
            parametrize.register_parametrization(module, name, Same())
    optimizer = AdamW(lr=0.08, head_lr=0.5, layer_decay=0.5)
    found = settings_of(optimizer, model)
    expected = settings_of(optimizer, plain)
    assert len(found) == len(expected)
    for name, setting in expected.items():
        place, parameter = name.rsplit(".", 1)
        assert found[f"{place}.parametrizations.{parameter}.original"] == setting


def test_a_module_may_ask_for_its_own_rate():
    model = Toy()
    model.scores = nn.ModuleDict({"norm": nn.Linear(1, 1)})
    model.scores.own_lr = 0.3
    model.gates = nn.Linear(1, 1)
    found = settings_of(AdamW(lr=0.1, head_lr=0.2, layer_decay=0.5), model)
    assert {found[f"scores.norm.{name}"] for name in ("weight", "bias")} == {(0.3, 0.0)}
    assert found["gates.weight"] == (0.1, 0.01)


def rates(warmup, total):
    """The rate of every step, as a share of the peak."""
    weight = nn.Linear(1, 1)
    optimizer, schedule = AdamW(lr=1.0, head_lr=1.0, warmup=warmup)(weight, total)
    found = []
    for _ in range(total + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_schedule_by_hand():
    # 10 steps, 4 of them warm-up: 1/4 … 4/4, then 6 down: (10 - step) / 6, zero after the last.
    expected = [1 / 4, 2 / 4, 3 / 4, 1, 6 / 6, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0]
    assert rates(0.4, 10) == pytest.approx(expected)


def test_what_starts_beside_a_model_goes_by_the_heads_rate():
    model, beside = Toy(), nn.ModuleDict({"projection": nn.Linear(1, 1), "scores": nn.Linear(1, 1, bias=False)})
    beside["scores"].own_lr = 0.3
    optimizer, _ = AdamW(lr=0.1, head_lr=0.2, layer_decay=0.5, weight_decay=0.01)(model, 10, beside=beside)
    of = {
        id(p): (group["initial_lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]
    }
    assert of[id(beside["projection"].weight)] == of[id(model.head.weight)] == (0.2, 0.01)
    assert of[id(beside["projection"].bias)] == (0.2, 0.0)
    assert of[id(beside["scores"].weight)] == (0.3, 0.0)
    assert len(of) == len([*model.parameters(), *beside.parameters()])


@pytest.mark.parametrize(("warmup", "total"), [(0.0, 4), (0.1, 4)])
def test_no_warm_up_starts_at_the_peak(warmup, total):
    assert rates(warmup, total) == pytest.approx([1, 3 / 3, 2 / 3, 1 / 3, 0])


@pytest.mark.parametrize("warmup", [0.0, 0.99])
def test_one_step_is_a_full_step(warmup):
    assert rates(warmup, 1) == [1, 0]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"lr": 0.0}, "optimizer.lr=0.0, head_lr=0.1: expected above 0"),
        ({"head_lr": -1.0}, "optimizer.lr=0.1, head_lr=-1.0: expected above 0"),
        ({"layer_decay": 0.0}, "optimizer.layer_decay=0.0: expected above 0, up to 1 (plain AdamW)"),
        ({"layer_decay": 1.1}, "optimizer.layer_decay=1.1: expected above 0, up to 1 (plain AdamW)"),
        ({"warmup": 1.0}, "optimizer.warmup=1.0: expected a fraction of the steps, 0 up to 1"),
    ],
)
def test_settings_without_sense(setting, message):
    with pytest.raises(MillisError) as caught:
        AdamW(**{"lr": 0.1, "head_lr": 0.1, **setting})
    assert str(caught.value) == message


def test_steps_move_weights_by_their_own_rate():
    # AdamW's first step moves each weight by about its rate, whatever the gradient's size (1711.05101).
    model = nn.ModuleDict({"body": nn.Linear(1, 1, bias=False), "head": nn.Linear(1, 1, bias=False)})
    before = {name: parameter.item() for name, parameter in model.named_parameters()}
    optimizer, _ = AdamW(lr=0.01, head_lr=0.1, weight_decay=0.0, warmup=0.0)(model, 10)
    (3 * model["body"].weight + 50 * model["head"].weight).sum().backward()
    optimizer.step()
    assert before["body.weight"] - model["body"].weight.item() == pytest.approx(0.01, rel=1e-3)
    assert before["head.weight"] - model["head"].weight.item() == pytest.approx(0.1, rel=1e-3)


def test_gpt2_names_have_layers_norms_and_tables():
    """Layers 0 and 1, a decay of 0.5: rates 1/2 and 1, tables below them 1/4 or frozen; norms do not decay."""
    from transformers import AutoModel, GPT2Config

    model = AutoModel.from_config(GPT2Config(vocab_size=9, n_positions=8, n_embd=4, n_layer=2, n_head=1))
    optimizer, _ = AdamW(lr=1.0, head_lr=1.0, layer_decay=0.5, weight_decay=0.1)(model, 10)
    of = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    first, second = (of[id(block.mlp.c_fc.weight)] for block in model.h)
    assert (first["initial_lr"], second["initial_lr"]) == (0.5, 1.0)
    assert of[id(model.wte.weight)]["initial_lr"] == 0.25
    assert (first["weight_decay"], of[id(model.h[0].ln_1.weight)]["weight_decay"]) == (0.1, 0.0)
    AdamW(lr=1.0, head_lr=1.0, freeze_embeddings=True)(model, 10)
    assert not model.wte.weight.requires_grad
    assert not model.wpe.weight.requires_grad


def test_the_rate_rises_and_falls_in_straight_lines():
    decay = Decay(warmup_steps=2, total_steps=6)
    assert [decay(step) for step in range(7)] == [1 / 2, 1, 1, 3 / 4, 1 / 2, 1 / 4, 0]


def test_a_line_that_is_drawn_anew_begins_where_the_rate_is_or_where_it_is_put():
    decay = Decay(warmup_steps=2, total_steps=10)
    decay.redraw(6, 8)
    assert [decay(step) for step in (6, 7, 8, 9)] == [1 / 2, 1 / 4, 0, 0]
    decay.redraw(8, 12, height=0.5)
    assert [decay(step) for step in (8, 10, 12)] == [1 / 2, 1 / 4, 0]


def test_an_end_within_the_warm_up_ends_the_warm_up():
    decay = Decay(warmup_steps=10, total_steps=100)
    decay.redraw(5, 7)  # step 5 of the warm-up has 6 / 10
    assert [decay(step) for step in (5, 6, 7)] == [pytest.approx(0.6), pytest.approx(0.3), 0]


def test_llama_names_have_layers_norms_and_tables():
    """A tied table is one parameter, at the rate of the embeddings: it is the first of its names."""
    model = writer()
    optimizer, _ = AdamW(lr=1.0, head_lr=2.0, layer_decay=0.5, weight_decay=0.1)(model, 10)
    groups = optimizer.param_groups
    of = {id(parameter): group for group in groups for parameter in group["params"]}
    names = dict(model.named_parameters())
    found = {name: (of[id(value)]["initial_lr"], of[id(value)]["weight_decay"] > 0) for name, value in names.items()}
    assert found["encoder.embed_tokens.weight"] == (0.25, True) and "head.next.weight" not in names
    assert found["encoder.layers.0.self_attn.q_proj.weight"] == (0.5, True)
    assert found["encoder.layers.1.mlp.gate_proj.weight"] == (1.0, True)
    assert found["encoder.layers.0.input_layernorm.weight"] == (0.5, False)
    assert found["encoder.norm.weight"][1] is False
    assert sum(len(group["params"]) for group in groups) == len(names)


@pytest.mark.parametrize("kind", KINDS)
def test_the_stacks_of_an_encoder_decoder_are_counted_each_by_itself(kind):
    """Three blocks read and two write; what both read stands below the deepest."""
    model = answering(kind)
    found = settings_of(AdamW(lr=1.0, head_lr=2.0, layer_decay=0.5, weight_decay=0.1), model)
    parts = stacks.find(model.spec.kind).find(model.encoder)
    names = {id(weight): name for name, weight in model.named_parameters()}
    for stack, rates in zip(parts, ([0.25, 0.5, 1.0], [0.5, 1.0]), strict=True):
        for block, rate in zip(stack.blocks, rates, strict=True):
            assert {found[names[id(weight)]][0] for weight in block.parameters()} == {rate}
    tables = {name for name in names.values() if "shared" in name or "embed_positions" in name}
    assert {found[name] for name in tables & found.keys()} == {(0.125, 0.1)}
    settings_of(AdamW(lr=1.0, head_lr=1.0, freeze_embeddings=True), model)
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert tables == {name for name in frozen if "norm" not in name}  # norms of tables are frozen with them, as BERT's
    assert "encoder.shared.weight" in tables
