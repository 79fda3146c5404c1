"""Every supported architecture: parts of the right shapes, and heads inferred from the projections' width."""

from dataclasses import replace

import pytest
import torch
from causal import spec_of

from millis import models
from millis.errors import MillisError
from millis.models import anatomy


@pytest.mark.parametrize("model_type", anatomy.supported())
def test_full_shape_comes_from_the_config(spec, model_type):
    assert anatomy.full_shape(spec(model_type).encoder) == spec(model_type).shape


def test_gpt2_that_names_no_ffn_has_four_times_its_width(spec):
    assert anatomy.full_shape({**spec("gpt2").encoder, "n_inner": None}).ffn == (128,) * 4


@pytest.mark.parametrize("model_type", anatomy.supported())
def test_parts_have_the_shapes_of_a_reshaped_encoder(spec, model, model_type):
    shape = {"head_size": 8, "heads": [4, 3, 2, 1], "ffn": [64, 48, 32, 16]}
    reshaped = model(spec(model_type, shape=shape))
    layers = anatomy.find(model_type).layers(reshaped.encoder)
    assert [tuple(layer.query.weight.shape) for layer in layers] == [(32, 32), (24, 32), (16, 32), (8, 32)]
    assert [tuple(layer.attention_output.weight.shape) for layer in layers] == [(32, 32), (32, 24), (32, 16), (32, 8)]
    assert [tuple(layer.ffn_in.weight.shape) for layer in layers] == [(64, 32), (48, 32), (32, 32), (16, 32)]
    assert [tuple(layer.ffn_out.weight.shape) for layer in layers] == [(32, 64), (32, 48), (32, 32), (32, 16)]


@pytest.mark.parametrize("model_type", anatomy.supported())
def test_all_parameters_of_an_encoder_are_parts(spec, model, model_type):
    """Nothing that a student needs is forgotten: the parts hold every parameter of the encoder."""
    encoder, parts = model(spec(model_type)).encoder, anatomy.find(model_type)
    embeddings = parts.embeddings(encoder)
    norms = [norm for norm in (embeddings.norm, parts.final_norm(encoder)) if norm is not None]
    modules = [*embeddings.tables, *norms, *(part for layer in parts.layers(encoder) for part in layer[1:] if part)]
    found = {id(parameter) for module in modules for parameter in module.parameters()}
    assert found == {id(parameter) for parameter in encoder.parameters()}


@pytest.mark.parametrize("model_type", anatomy.supported())
def test_removed_heads_and_neurons_equal_silenced_ones(spec, model, batch, model_type):
    """Reference: the full model with the outgoing weights of heads 1, 3 and neurons 48.. at zero."""
    parts, full = anatomy.find(model_type), model(spec(model_type))
    small = model(spec(model_type, shape={"head_size": 8, "heads": [2] * 4, "ffn": [48] * 4}))
    heads, neurons = torch.tensor([0, 2]), torch.arange(48)
    rows, everything = anatomy.head_rows(heads, 8), torch.arange(32)
    assert rows.tolist() == [*range(8), *range(16, 24)]
    state = {name: value for name, value in full.state_dict().items() if value.shape == small.state_dict()[name].shape}
    small.load_state_dict(state, strict=False)
    with torch.no_grad():
        for target, source in zip(parts.layers(small.encoder), parts.layers(full.encoder), strict=True):
            for name in ("query", "key", "value"):
                anatomy.copy_linear(getattr(target, name), getattr(source, name), rows=rows)
            anatomy.copy_linear(target.attention_output, source.attention_output, columns=rows)
            anatomy.copy_linear(target.ffn_in, source.ffn_in, rows=neurons, columns=everything)
            if source.ffn_gate is not None:
                anatomy.copy_linear(target.ffn_gate, source.ffn_gate, rows=neurons, columns=everything)
            anatomy.copy_linear(target.ffn_out, source.ffn_out, columns=neurons)
            gone = [index for index in range(32) if index not in rows.tolist()]
            source.attention_output.weight[:, gone] = 0
            source.ffn_out.weight[:, 48:] = 0
        ids, mask = batch(2, 9)
        mask[0, 6:] = 0
        torch.testing.assert_close(small(ids, mask), full(ids, mask), atol=1e-5, rtol=0)


def test_copy_linear_takes_rows_and_columns():
    source, target = torch.nn.Linear(3, 2), torch.nn.Linear(2, 1)
    with torch.no_grad():
        source.weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
        source.bias.copy_(torch.tensor([7.0, 8.0]))
        anatomy.copy_linear(target, source, rows=torch.tensor([1]), columns=torch.tensor([0, 2]))
    assert target.weight.tolist() == [[4.0, 6.0]]
    assert target.bias.tolist() == [8.0]


def test_electra_without_projection_narrows_and_with_projection_says_why_not(spec):
    parts, config = anatomy.find("electra"), spec("electra").encoder
    assert parts.with_hidden(config, 16)["embedding_size"] == 16
    with pytest.raises(MillisError) as error:
        parts.with_hidden({**config, "embedding_size": 8}, 16)
    assert str(error.value) == (
        "this electra projects embeddings of 8 to a hidden size of 32, which millis cannot narrow to 16: leave "
        "student.hidden_size=null and cut layers, heads or ffn_size"
    )


def test_groups_are_heads_for_each_key_and_value(spec):
    assert anatomy.find("llama").groups(spec_of().encoder) == 2
    assert anatomy.find("llama").groups({"num_attention_heads": 6}) == 1, "a config that says nothing shares nothing"
    assert {kind: anatomy.find(kind).groups(spec(kind).encoder) for kind in ("bert", "gpt2", "llama")} == {
        "bert": 1, "gpt2": 1, "llama": 1
    }  # fmt: skip


def test_parts_of_grouped_heads_have_the_shapes_of_a_reshaped_encoder():
    spec = spec_of()
    model = models.build(replace(spec, shape=replace(spec.shape, heads=(4, 2), ffn=(10, 0))))
    layers = anatomy.find("llama").layers(model.encoder)
    assert [tuple(layer.query.weight.shape) for layer in layers] == [(24, 24), (12, 24)]
    assert [tuple(layer.key.weight.shape) for layer in layers] == [(12, 24), (6, 24)]
    assert [tuple(layer.value.weight.shape) for layer in layers] == [(12, 24), (6, 24)]
    assert [tuple(layer.ffn_gate.weight.shape) for layer in layers] == [(10, 24), (0, 24)]


def test_a_part_of_a_group_of_heads_is_refused():
    spec = spec_of()
    with pytest.raises(MillisError) as error:
        models.build(replace(spec, shape=replace(spec.shape, heads=(4, 3))))
    assert str(error.value) == (
        "layer 1 would have 3 heads, and 2 of them share a key and a value: expected a multiple of 2, for example 2"
    )


def test_layers_of_two_kinds_are_those_that_are_left():
    """Qwen names each layer's kind of attention; of a cut model there are fewer names."""
    spec = spec_of("qwen2", layer_types=["full_attention"] * 2)
    small = anatomy.find("qwen2").narrow(spec.encoder, replace(spec.shape, heads=(4,), ffn=(40,)))
    assert small["num_hidden_layers"] == 1 and "layer_types" not in small


def test_unknown_architecture_lists_the_supported():
    with pytest.raises(MillisError) as error:
        anatomy.find("robert")
    assert str(error.value) == (
        "millis cannot cut a 'robert' model: it knows the parts of bert, roberta, xlm-roberta, camembert, electra, "
        "distilbert, gpt2, llama, mistral, qwen2 (did you mean 'roberta'?). Choose a model of these, a student that "
        "copies no layers (student=convolution, bilstm, static), or describe the architecture beside "
        "those in millis/models/post_norm.py or pre_norm.py"
    )
