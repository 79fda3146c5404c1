"""Captured features against what transformers itself gives out: hidden states, and attention of its eager kernel."""

import math

import pytest
import rounded
import torch
from specs import transformer
from torch import nn

from millis.errors import MillisError
from millis.models import anatomy
from millis.models.features import Feature, Sizes, capture, log_probabilities, scores, sizes, split_heads

BIDIRECTIONAL = [name for parts in anatomy.ANATOMIES if not parts.causal for name in parts.model_types]


def padded(batch):
    ids, mask = batch(3, 7)
    mask[0, 4:] = 0
    mask[2, 2:] = 0
    return ids, mask


@pytest.mark.parametrize("model_type", anatomy.supported())
def test_hidden_states_and_embeddings_are_those_of_transformers(spec, model, batch, model_type):
    built, (ids, mask) = model(spec(model_type)), padded(batch)
    wanted = [Feature("embedding", 0), *(Feature("hidden", layer) for layer in range(4))]
    with torch.no_grad(), capture(built, wanted) as found:
        built(ids, mask)
    with torch.no_grad():
        expected = built.encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    pre_norm = anatomy.find(model_type).final_norm(built.encoder) is not None
    for feature, states in list(zip(wanted, expected, strict=True))[: 4 if pre_norm else 5]:
        torch.testing.assert_close(found[feature], states, atol=1e-6, rtol=0, msg=str(feature))
    if pre_norm:  # transformers' last state is normalised once more; a block's output is not
        last = anatomy.find(model_type).final_norm(built.encoder)(found[Feature("hidden", 3)])
        torch.testing.assert_close(last, expected[-1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("model_type", BIDIRECTIONAL)
def test_attention_from_query_and_key_is_that_of_the_eager_kernel(spec, model, batch, model_type):
    heads = [4, 3, 2, 1]
    built = model(spec(model_type, shape={"head_size": 8, "heads": heads, "ffn": [64] * 4}))
    ids, mask = padded(batch)
    wanted = [Feature(kind, layer) for kind in ("query", "key") for layer in range(4)]
    with torch.no_grad(), capture(built, wanted) as found:
        built(ids, mask)
    built.encoder.set_attn_implementation("eager")
    with torch.no_grad():
        expected = built.encoder(input_ids=ids, attention_mask=mask, output_attentions=True).attentions
    assert len(expected) == 4
    for layer, count in enumerate(heads):
        products = scores(found[Feature("query", layer)], found[Feature("key", layer)], count)
        attention = log_probabilities(products, mask).exp()
        assert attention.shape == (3, count, 7, 7)
        torch.testing.assert_close(attention, expected[layer], atol=1e-6, rtol=0)


def test_attention_and_value_give_the_heads_output(spec, model, batch):
    built, (ids, mask) = model(spec()), padded(batch)
    layer = anatomy.find("bert").layers(built.encoder)[2]
    read = []
    layer.attention_output.register_forward_hook(lambda _, inputs, __: read.append(inputs[0]))
    with torch.no_grad(), capture(built, [Feature(kind, 2) for kind in ("query", "key", "value")]) as found:
        built(ids, mask)
    query, key, value = (found[Feature(kind, 2)] for kind in ("query", "key", "value"))
    attended = log_probabilities(scores(query, key, 4), mask).exp() @ split_heads(value, 4)
    torch.testing.assert_close(attended.transpose(1, 2).flatten(2), read[0], atol=1e-6, rtol=0)


def test_a_projected_embedding_is_what_enters_the_first_block(spec, model, batch):
    config = {**spec("electra").encoder, "embedding_size": 8}
    built, (ids, mask) = model(spec("electra", encoder=config)), padded(batch)
    with torch.no_grad(), capture(built, [Feature("embedding", 0)]) as found:
        built(ids, mask)
        first = built.encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[0]
    assert torch.equal(found[Feature("embedding", 0)], first)


def test_a_layer_without_heads_and_neurons_still_has_a_state(spec, model, batch):
    built = model(spec(shape={"head_size": 8, "heads": [4, 0, 4, 4], "ffn": [64, 0, 64, 64]}))
    with torch.no_grad(), capture(built, [Feature("hidden", 0), Feature("hidden", 1)]) as found:
        built(*padded(batch))
    assert found[Feature("hidden", 1)].shape == (3, 7, 32)
    assert not torch.equal(found[Feature("hidden", 0)], found[Feature("hidden", 1)])


def test_gradients_flow_through_what_is_caught(spec, model, batch):
    built = model(spec())
    with capture(built, [Feature("hidden", 1)]) as found:
        built(*padded(batch))
    found[Feature("hidden", 1)].sum().backward()
    layers = anatomy.find("bert").layers(built.encoder)
    assert layers[1].value.weight.grad is not None
    assert layers[2].value.weight.grad is None


def test_under_autocast_projections_come_as_they_are_computed(spec, model, batch):
    built = model(spec())
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad(), capture(built, [Feature("query", 0)]) as found:
        built(*padded(batch))
    assert found[Feature("query", 0)].dtype == torch.bfloat16


def hooks(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_no_hook_stays_behind(spec, model, batch):
    built = model(spec())
    before = hooks(built)
    wanted = [Feature("embedding", 0), Feature("hidden", 0), Feature("query", 0)]
    with capture(built, wanted):
        assert hooks(built) == before + 3
        built(*padded(batch))
    assert hooks(built) == before
    with pytest.raises(ZeroDivisionError), capture(built, wanted):
        raise ZeroDivisionError
    assert hooks(built) == before


def test_with_nothing_wanted_the_model_is_not_even_looked_at():
    class Opaque(nn.Module):
        def __getattr__(self, name):
            raise AssertionError(name)

    with capture(Opaque(), ()) as found:
        assert found == {}


def test_a_pass_that_misses_a_feature_is_an_error(spec, model):
    with pytest.raises(RuntimeError) as error, capture(model(spec()), [Feature("hidden", 0), Feature("key", 2)]):
        pass
    assert str(error.value) == "the model's forward pass did not reach hidden/0, key/2"


def test_sizes_come_from_the_spec(spec):
    found = sizes(spec(shape={"head_size": 8, "heads": [4, 3, 0, 1], "ffn": [64] * 4}), "student")
    assert found == Sizes(hidden=32, heads=(4, 3, 0, 1), head_size=8)
    assert found.layers == 4
    assert [found.width(Feature("query", layer)) for layer in range(4)] == [32, 24, 0, 8]
    assert found.width(Feature("hidden", 3)) == found.width(Feature("embedding", 0)) == 32
    assert sizes(spec("distilbert"), "teacher").hidden == 32


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (rounded.spec("static"), "static"),
        (rounded.spec("bilstm"), "bilstm"),
        (rounded.spec("convolution"), "convolution"),
        (transformer(encoder={"model_type": "deberta"}, shape=None), "deberta"),
    ],
)
def test_a_model_without_layers_says_what_to_choose(broken, name):
    with pytest.raises(MillisError) as error:
        sizes(broken, "student")
    assert str(error.value) == (
        f"the student is a {name!r} model: it has no layers whose hidden states or attention could be matched. Feature "
        f"terms need a transformer ({', '.join(anatomy.supported())}) on both sides; choose distillation=logits, or "
        "student=transformer"
    )


def test_scores_by_hand():
    # One text of two tokens, two heads of one channel: head 0 has channels 1, 2; √1 = 1.
    left, right = torch.tensor([[[1.0, 10.0], [2.0, 20.0]]]), torch.tensor([[[3.0, 5.0], [4.0, 6.0]]])
    assert scores(left, right, heads=2).tolist() == [
        [[[1 * 3, 1 * 4], [2 * 3, 2 * 4]], [[10 * 5, 10 * 6], [20 * 5, 20 * 6]]]
    ]
    # As one head of two channels: (1·3 + 10·5) / √2 = 53 / √2 at the top left.
    assert scores(left, right, heads=1)[0, 0, 0, 0].item() == pytest.approx(53 / math.sqrt(2))


def test_padding_has_no_probability_and_no_nan():
    # Scores ln 3 and 0 over two tokens: 3/4 and 1/4; the third is padding.
    products = torch.tensor([math.log(3), 0.0, 50.0]).expand(1, 1, 3, 3)
    logs = log_probabilities(products, torch.tensor([[1, 1, 0]]))
    assert torch.isfinite(logs).all()
    assert logs.exp()[0, 0, 0].tolist() == pytest.approx([0.75, 0.25, 0.0])
