"""GPT-2 with separate projections against transformers' own module, fused and transposed."""

import copy

import pytest
import torch
from transformers import AutoModel, GPT2Config

from millis import models
from millis.models import anatomy
from millis.models.student import TransformerStudent


@pytest.fixture
def reference(spec):
    """transformers' own, as it would come from a file."""
    torch.manual_seed(1)
    config = {name: value for name, value in spec("gpt2").encoder.items() if name != "model_type"}
    encoder = AutoModel.from_config(GPT2Config(**config)).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return encoder


def test_a_checkpoint_of_transformers_loads_and_answers_alike(spec, reference, batch):
    model = models.build(spec("gpt2")).eval()
    given = reference.state_dict()
    before = {name: value.clone() for name, value in given.items()}
    model.encoder.load_state_dict(given)
    ids, mask = batch(3, 9)
    mask[1, 5:] = 0
    with torch.no_grad():
        states = reference(input_ids=ids, attention_mask=mask).last_hidden_state
        expected = torch.stack([states[0].mean(0), states[1, :5].mean(0), states[2].mean(0)])
        torch.testing.assert_close(model.pooled(ids, mask), expected, atol=1e-5, rtol=0)
    assert all(torch.equal(before[name], value) for name, value in given.items())


def test_parts_are_rows_of_the_fused_projection(spec, reference):
    model = models.build(spec("gpt2"))
    model.encoder.load_state_dict(reference.state_dict())
    layer, block = anatomy.find("gpt2").layers(model.encoder)[2], reference.h[2]
    assert torch.equal(
        torch.cat([layer.query.weight, layer.key.weight, layer.value.weight]), block.attn.c_attn.weight.T
    )
    assert torch.equal(torch.cat([layer.query.bias, layer.key.bias, layer.value.bias]), block.attn.c_attn.bias)
    assert torch.equal(layer.attention_output.weight, block.attn.c_proj.weight.T)
    assert torch.equal(layer.ffn_in.weight, block.mlp.c_fc.weight.T)
    assert torch.equal(layer.ffn_out.weight, block.mlp.c_proj.weight.T)


def test_its_own_checkpoints_load_whole_and_inside_another_module(spec, model, batch):
    first, second = model(spec("gpt2"), seed=1), model(spec("gpt2"), seed=2)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(*batch(2, 5)), first(*batch(2, 5)))


def test_the_whole_model_takes_an_encoder_in_transformers_layout(spec, reference, batch):
    model = models.build(spec("gpt2")).eval()
    state = {f"encoder.{name}": value for name, value in reference.state_dict().items()}
    model.load_state_dict(state | {f"head.{name}": value for name, value in model.head.state_dict().items()})
    states = reference(*batch(2, 5)[:1]).last_hidden_state
    torch.testing.assert_close(model.pooled(*batch(2, 5)), states.mean(1), atol=1e-5, rtol=0)


def test_a_missing_weight_is_still_noticed(spec, reference):
    state = reference.state_dict()
    del state["h.1.ln_2.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key.*h\.1\.ln_2\.weight"):
        models.build(spec("gpt2")).encoder.load_state_dict(state)


def test_no_keys_and_values_are_kept_for_generation(spec, model, batch):
    ids, mask = batch(1, 4)
    assert model(spec("gpt2")).encoder(input_ids=ids, attention_mask=mask).past_key_values is None


def test_padding_changes_nothing(spec, model, batch):
    ours, (ids, mask) = model(spec("gpt2")), batch(1, 6)
    padded = torch.cat([ids, ids.new_full((1, 3), 7)], dim=1)
    longer = torch.cat([mask, mask.new_zeros((1, 3))], dim=1)
    torch.testing.assert_close(ours(padded, longer), ours(ids, mask), atol=1e-6, rtol=0)


def test_a_copy_of_a_copy_still_loads_both_layouts(spec, reference):
    twice = copy.deepcopy(copy.deepcopy(models.build(spec("gpt2")).encoder))
    twice.load_state_dict(reference.state_dict())
    assert torch.equal(twice.h[0].mlp.c_fc.weight, reference.h[0].mlp.c_fc.weight.T)


def test_a_student_of_gpt2_keeps_the_blocks_it_names(spec, model, batch):
    """Reference: the teacher's blocks 1 and 3 called one after the other on its own embeddings."""
    teacher, (ids, mask) = model(spec("gpt2")), batch(2, 6)
    shape = TransformerStudent(2)
    small = models.build(shape.spec(teacher.spec)).eval()
    shape.initialise(small, teacher)
    encoder = teacher.encoder
    with torch.no_grad():
        states = encoder.wte(ids) + encoder.wpe(torch.arange(6))
        for index in (1, 3):
            states = encoder.h[index](states)  # without a mask, SDPA looks back only by itself
        torch.testing.assert_close(small(ids, mask), teacher.head(encoder.ln_f(states).mean(1)), atol=1e-5, rtol=0)
