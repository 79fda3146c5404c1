"""Preparing, training and converting: what is rounded, what learns, what is left."""

import copy

import pytest
import rounded
import torch
from torch import nn
from torch.nn.utils import parametrize

from millis import models
from millis.errors import MillisError
from millis.models.token_pruning import tokens_left
from millis.quantization.inputs import SharedInput
from millis.quantization.parameters import load_parameters, save_parameters
from millis.quantization.phase import moves, set_phase
from millis.quantization.ranges import RANGES
from millis.quantization.rounding import convert, is_prepared
from millis.quantization.spec import Quantization
from millis.quantization.weights import WeightQuantizer

TEXTS = rounded.requests(6)


def gradients(model):
    ids, mask, labels = rounded.batch()
    model.zero_grad()
    nn.functional.cross_entropy(model.train()(ids, mask), labels).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("kind", rounded.KINDS)
def test_every_matrix_table_and_input_is_rounded(kind):
    model = rounded.model(kind)
    plain, names = rounded.answers(model, TEXTS), set(model.state_dict())
    weights = {name for name, p in model.named_parameters() if p.dim() > 1 and "norm" not in name.lower()}
    rounded.prepare(model, rounded.quantization())
    quantized = {
        f"{name.rsplit('.weight_quantizers', 1)[0]}.{name.rsplit('.', 1)[1]}"
        for name, module in model.named_modules()
        if isinstance(module, WeightQuantizer)
    }
    assert quantized == weights - {"encoder.pooler.weight"}
    assert names <= set(model.state_dict())  # plain weights keep their names in training, too
    difference = abs(rounded.answers(model, TEXTS) - plain).max()
    assert 1e-5 < difference < 0.1 * abs(plain).max()


@pytest.mark.parametrize("ranges", RANGES)
@pytest.mark.parametrize("recipe", rounded.RECIPES)
def test_everything_learns(recipe, ranges):
    model = rounded.model()
    rounded.prepare(model, rounded.quantization(recipe, ranges=ranges, percentile=90))
    found = gradients(model)
    assert all(gradient is not None and gradient.isfinite().all() for gradient in found.values())
    learned = [name for name in found if name.endswith("growth")]
    assert bool(learned) == (ranges == "lsq")
    # Not every step's gradient: a token type that no text has, a key's bias that the softmax cancels.
    assert sum(bool(gradient.any()) for gradient in found.values()) > 0.8 * len(found)


@pytest.mark.parametrize("recipe", ["dynamic", "static"])
def test_the_path_with_gradients_computes_what_the_one_of_integers_does(recipe):
    model = rounded.trained(recipe=recipe, ranges="lsq")
    exact = rounded.answers(model, TEXTS)
    floats = torch.cat([model(torch.from_numpy(text.ids), torch.from_numpy(text.mask)) for text in TEXTS])
    # A millionth may turn one rounding; on these texts it turns none.
    assert abs(floats.detach().numpy() - exact).max() < 2e-5


@pytest.mark.parametrize("kind", rounded.KINDS)
def test_padding_and_neighbours_change_nothing(kind):
    """A row of a batch is rounded as the request that it will be."""
    model = rounded.trained(kind)
    ids, mask, _ = rounded.batch(rows=6)
    with torch.no_grad():
        together = model(ids, mask)
        alone = [model(i[None, : m.sum()], m[None, : m.sum()]) for i, m in zip(ids, mask, strict=True)]
    assert (together - torch.cat(alone)).abs().max() < 2e-5


@torch.no_grad()
def test_dropped_tokens_have_no_part_in_a_range():
    """Masked as in training or absent as when deployed: the rounding is the same."""
    model = rounded.with_tokens_pruned(rounded.model(), [0, 1])
    model.thresholds.logarithms.copy_(torch.tensor([0.14, 0.2]).log())
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    rounded.prepare(model, rounded.quantization())
    ids, mask, _ = rounded.batch()
    model.train()(ids, mask)  # ranges of weights are found in the first training step
    absent, masked = model.eval()(ids, mask), model.train()(ids, mask)
    assert (tokens_left(model.eval(), ids, mask)[1] < mask.sum(1)).any()
    assert (absent - masked).abs().max() < 2e-5
    alone = [model.eval()(i[None, : m.sum()], m[None, : m.sum()]) for i, m in zip(ids, mask, strict=True)]
    assert (absent - torch.cat(alone)).abs().max() < 2e-5


def rounded_weights(model):
    """Layer and attribute → the weight on its grid, of a prepared model."""
    return {
        (name, attribute): quantizer(getattr(module, attribute)).detach()
        for name, module in model.named_modules()
        for attribute, quantizer in getattr(module, "weight_quantizers", {}).items()
    }


@pytest.mark.parametrize("ranges", RANGES)
@pytest.mark.parametrize("recipe", rounded.RECIPES)
@pytest.mark.parametrize("kind", ["bert", "gpt2", "convolution", "bilstm"])
def test_a_converted_model_is_plain_and_lies_on_its_grids(kind, recipe, ranges):
    model = rounded.trained(kind, recipe, ranges=ranges, percentile=90)
    before = rounded_weights(model)
    assert convert(model) is model
    fresh = models.build(rounded.spec(kind))
    assert set(model.state_dict()) == set(fresh.state_dict())
    assert [type(module) for module in model.modules()] == [type(module) for module in fresh.modules()]
    assert not any(m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) for m in model.modules())
    for (layer, attribute), weight in before.items():
        assert torch.equal(getattr(model.get_submodule(layer), attribute), weight), layer


@pytest.mark.parametrize("recipe", ["dynamic", "one scale", "8 bits alone", "4 bits alone"])
def test_preparing_a_converted_model_again_changes_nothing(recipe):
    model = rounded.trained(recipe=recipe, ranges="min_max")
    first = rounded.answers(model, TEXTS)
    rounded.prepare(convert(model), rounded.quantization(recipe, ranges="min_max"))
    # Integers are the same, a step may differ in its last bit, which may turn the rounding of an input.
    assert abs(rounded.answers(model, TEXTS) - first).max() < 0.01 * abs(first).max()


def test_prepared_and_converted_agree_within_a_quantum_of_the_inputs():
    """One linear layer: |W (x - x̂)| is at most half a step of x for each input, |W| in all."""
    model = rounded.trained("static")
    prepared = rounded.answers(model, TEXTS)
    with torch.no_grad():
        pooled = torch.stack([model.vectors(torch.from_numpy(text.ids)).mean(1)[0] for text in TEXTS])
    quantum = (pooled.amax(1).clamp(min=0) - pooled.amin(1).clamp(max=0)) / 255
    plain = rounded.answers(convert(model), TEXTS)
    allowed = quantum[:, None] * model.head.weight.detach().abs().sum(1)
    assert (abs(prepared - plain) <= allowed.numpy()).all()
    assert abs(prepared - plain).max() > 0


@pytest.mark.parametrize(("ranges", "brings"), [("min_max", False), ("moving_average", False), ("lsq", True)])
def test_only_what_a_backend_would_not_find_again_is_brought_along(ranges, brings):
    found = convert(rounded.trained(ranges=ranges)).quantization
    assert bool(found) == brings
    if brings:
        assert set(found) >= {"head.weight.values", "head.weight.scale", "head.weight.zero_point"}
        assert found["head.weight.values"].dtype == torch.int8
        assert found["head.weight.scale"].shape == (3,)


def test_a_static_activation_brings_its_range_under_every_reader():
    found = convert(rounded.trained(recipe="static")).quantization
    attention = "encoder.encoder.layer.0.attention.self"
    scales = {part: found[f"{attention}.{part}.input.scale"] for part in ("query", "key", "value")}
    assert len({scale.item() for scale in scales.values()}) == 1
    assert len({scale.data_ptr() for scale in scales.values()}) == 3  # safetensors refuses shared memory
    assert found["head.input.zero_point"].dtype == torch.uint8


@pytest.mark.parametrize("recipe", ["dynamic", "static", "4 bits alone"])
def test_a_converted_model_is_kept_and_restored(tmp_path, recipe):
    from safetensors.torch import load_file, save_file

    model = convert(rounded.trained(recipe=recipe, ranges="lsq"))
    save_file(model.state_dict() | save_parameters(model), tmp_path / "model.safetensors")
    other = models.build(rounded.spec())
    other.load_state_dict(load_parameters(other, load_file(tmp_path / "model.safetensors")))
    assert model.quantization
    assert set(other.quantization) == set(model.quantization)
    assert all(torch.equal(other.quantization[name], value) for name, value in model.quantization.items())


def test_a_model_without_parameters_has_none_to_keep():
    assert save_parameters(rounded.model()) == {}
    model = rounded.model()
    assert load_parameters(model, {"a": torch.ones(1)}).keys() == {"a"}
    assert model.quantization == {}


# Phases.


@pytest.mark.parametrize(
    ("recipe", "ranges", "expected"),
    [("dynamic", "min_max", False), ("dynamic", "lsq", True), ("static", "min_max", True), ("static", "lsq", True)],
)
def test_what_moves_must_come_to_rest(recipe, ranges, expected):
    model = rounded.model()
    rounded.prepare(model, rounded.quantization(recipe, ranges=ranges))
    assert moves(model) == expected


@pytest.mark.parametrize("recipe", rounded.RECIPES)
def test_rounding_can_wait(recipe):
    model = rounded.model()
    plain = rounded.answers(model, TEXTS)
    rounded.prepare(model, rounded.quantization(recipe))
    set_phase(model, enabled=False, frozen=False)
    assert abs(rounded.answers(model, TEXTS) - plain).max() < 1e-5


def test_frozen_ranges_and_steps_rest_while_weights_learn_on():
    model = rounded.trained(recipe="static", ranges="lsq")
    set_phase(model, enabled=True, frozen=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rounded.train(model)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert "head.weight" in changed
    assert not [name for name in changed if "quantizer" in name or "shared_input" in name]


# What else sits on a model.


def test_a_mask_acts_before_the_rounding_and_outlives_it():
    class Mask(nn.Module):
        def forward(self, weight):
            return weight * (torch.arange(weight.shape[1]) % 2)

    model = rounded.model()
    parametrize.register_parametrization(model.head, "weight", Mask())
    rounded.prepare(model, rounded.quantization(ranges="lsq"))
    rounded.train(model)
    expected = rounded_weights(model)["head", "weight"]
    convert(model)
    assert parametrize.is_parametrized(model.head)
    parametrize.remove_parametrizations(model.head, "weight")
    assert torch.equal(model.head.weight, expected)
    assert not model.head.weight[:, ::2].any()
    assert model.head.weight[:, 1::2].any()


def test_a_copy_is_independent():
    model = rounded.trained(recipe="static")
    before = rounded.answers(model, TEXTS)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.head.weight.zero_()
    convert(other)
    assert is_prepared(model)
    assert abs(rounded.answers(model, TEXTS) - before).max() == 0
    shared = [module for module in model.modules() if isinstance(module, SharedInput)]
    layer = model.encoder.encoder.layer[0].attention.self
    assert layer.key.shared_input is layer.query.shared_input
    assert shared[0] is layer.query.shared_input


def test_layers_that_are_kept_stay_fp32():
    model = rounded.model()
    rounded.prepare(model, rounded.quantization(keep=["head", "encoder.embeddings.*"]))
    assert not hasattr(model.head, "weight_quantizers")
    assert not hasattr(model.encoder.embeddings.word_embeddings, "weight_quantizers")
    assert hasattr(model.encoder.encoder.layer[0].output.dense, "weight_quantizers")


def test_tables_can_be_left_out_of_training():
    model = rounded.model()
    rounded.prepare(model, rounded.quantization(embeddings=False))
    assert not hasattr(model.encoder.embeddings.word_embeddings, "weight_quantizers")


@pytest.mark.parametrize("recipe", ["dynamic", "static"])
def test_bf16_autocast_trains(recipe):
    model = rounded.model()
    rounded.prepare(model, rounded.quantization(recipe, ranges="lsq"))
    ids, mask, labels = rounded.batch()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.train()(ids, mask)
        nn.functional.cross_entropy(logits.float(), labels).backward()
    assert logits.dtype == torch.bfloat16
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    with torch.no_grad():
        exact = model.eval()(ids, mask)
        with torch.autocast("cpu", torch.bfloat16):
            cast = model(ids, mask)
    assert (cast - exact).abs().max() < 0.1 * exact.abs().max()


# Bad input.


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: rounded.prepare(rounded.model(), Quantization()),
            "quantization-aware training got a quantization without `aware`. Choose a recipe that has it, such as "
            "quantization=qat",
        ),
        (
            lambda: rounded.prepare(rounded.trained(), rounded.quantization()),
            "this model is prepared for quantization-aware training already: convert it first",
        ),
        (
            lambda: convert(rounded.model()),
            "convert got a model that is not prepared for quantization-aware training",
        ),
        (
            lambda: rounded.prepare(rounded.model("albert"), rounded.quantization("static")),
            "the layer encoder.encoder.albert_layer_groups.0.albert_layers.0.attention.query reads more than one "
            "tensor in a forward pass, and a static activation has one range for each layer. Choose "
            "quantization.activations=dynamic",
        ),
        (
            lambda: rounded.prepare(
                rounded.model("static"), rounded.quantization(keep=["head", "vectors", "log_weights"])
            ),
            "nothing in this Static can be quantized for quantization-aware training: it calls no linear layer. Choose "
            "another student, or a quantization without `aware`",
        ),
        (
            lambda: convert(_untrained("static")),
            "static activations have no range yet: expected at least one training batch through the prepared model. "
            "Train it, or choose quantization.activations=dynamic",
        ),
    ],
)
def test_what_cannot_be_prepared_or_converted_is_refused(act, message):
    with pytest.raises(MillisError) as error:
        act()
    assert str(error.value) == message


def _untrained(recipe):
    model = rounded.model()
    rounded.prepare(model, rounded.quantization(recipe))
    return model
