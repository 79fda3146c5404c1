"""Granularities of parts: the weights of each unit counted by hand, and masked outputs against weights set to zero."""

from dataclasses import replace

import pytest
import torch
from causal import writer
from sides import spec_of
from specs import static
from torch import nn

from millis import models
from millis.errors import MillisError
from millis.models import anatomy
from millis.pruning.criterion.magnitude import Magnitude
from millis.pruning.granularity.head import Head
from millis.pruning.granularity.hidden import Hidden
from millis.pruning.granularity.layer import Layer
from millis.pruning.granularity.neuron import Neuron
from millis.pruning.granularity.together import HeadsAndNeurons
from millis.pruning.group import FFN, HEADS
from millis.pruning.mask import Masks
from millis.pruning.sites import NormSite

ARCHITECTURES = ["bert", "distilbert", "electra", "gpt2", "roberta"]
UNITS = ["heads", "neurons", "heads", "hidden channels", "layers"]  # as messages call them
PARTS = [Head(), Neuron(), HeadsAndNeurons(), Hidden(), Layer()]


def blocks(model):
    return anatomy.find(model.spec.kind).layers(model.encoder)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_units_and_their_weights_by_hand(encoder, model_type):
    # D 16, heads of 4, F 12. A head: 3 · 4 · 16 rows and 16 · 4 columns. A neuron: 16 + 16. A channel, in each of 2
    # layers: columns of 16, 16, 16, 12 and rows of 16, 12. A block: 4 · 16 · 16 + 2 · 12 · 16.
    model = encoder(model_type)
    sizes = [[(group.shape, group.size) for group in part.groups(model, None)] for part in PARTS]
    heads, neurons = [((4,), 256)] * 2, [((12,), 32)] * 2
    assert sizes == [heads, neurons, heads + neurons, [((16,), 2 * 88)], [((1,), 1408)] * 2]


def test_a_units_score_is_the_sum_over_its_weights(encoder):
    model = encoder()
    layer = blocks(model)[1]
    groups = [part.groups(model, None)[-1] for part in (Head(), Neuron(), Layer())]
    heads, neurons, block = (group.total(lambda tiles: tiles.values.abs()) for group in groups)
    rows, columns = slice(8, 12), slice(8, 12)  # head 2
    expected = sum(linear.weight[rows].abs().sum() for linear in (layer.query, layer.key, layer.value))
    assert heads[2].item() == pytest.approx((expected + layer.attention_output.weight[:, columns].abs().sum()).item())
    expected = layer.ffn_in.weight[5].abs().sum() + layer.ffn_out.weight[:, 5].abs().sum()
    assert neurons[5].item() == pytest.approx(expected.item())
    linears = (layer.query, layer.key, layer.value, layer.attention_output, layer.ffn_in, layer.ffn_out)
    assert block.item() == pytest.approx(sum(linear.weight.abs().sum().item() for linear in linears))


def test_names_are_those_of_what_is_gated(encoder):
    names = {type(part).__name__: [group.name for group in part.groups(encoder(), None)] for part in PARTS[:2]}
    assert names["Head"] == [f"encoder.encoder.layer.{layer}.attention.output.dense" for layer in (0, 1)]
    assert names["Neuron"] == [f"encoder.encoder.layer.{layer}.output.dense" for layer in (0, 1)]


@pytest.mark.parametrize(("part", "unit"), list(zip(PARTS, UNITS, strict=True)), ids=UNITS)
def test_gates_and_norms_without_biases_are_refused(part, unit):
    with pytest.raises(MillisError) as error:
        part.groups(writer(), None)
    assert str(error.value) == (
        f"pruning {unit} knows no gates and no root mean square norms, which a 'llama' model has. Cut it before it "
        "trains (student.layers, heads, ffn_size, hidden_size), or choose a pruning of single weights such as "
        "pruning=magnitude"
    )


@pytest.mark.parametrize(
    ("model_type", "name"),
    [("bert", "encoder.encoder.layer"), ("distilbert", "encoder.transformer.layer"), ("gpt2", "encoder.h")],
)
def test_blocks_are_found_in_every_architecture(encoder, model_type, name):
    assert [group.name for group in Layer().groups(encoder(model_type), None)] == [f"{name}.0", f"{name}.1"]


def test_targets_choose_the_layers(encoder):
    model = encoder(layers=3)
    for part, count in zip(PARTS, (2, 2, 4, 0, 2), strict=True):
        if count:
            found = part.groups(model, r"\.[02]\b")
            assert ([group.layer for group in found], len(found)) == ([0, 2] * (count // 2), count)
    with pytest.raises(MillisError, match=r"matches none of the 3 prunable layers \(did you mean 'layer.1'"):
        Layer().groups(model, "laier.1")


@torch.no_grad()
def test_a_closed_gate_is_a_weight_of_zero(encoder, batch):
    # Head 1 of layer 0: its columns of the attention output. Neuron 3 of layer 1: its column of ffn_out.
    for part, layer, unit, columns in ((Head(), 0, 1, slice(4, 8)), (Neuron(), 1, 3, slice(3, 4))):
        masked, by_hand = encoder(), encoder()
        masks = Masks(masked, part.groups(masked, None), Magnitude())
        keep = [torch.ones(group.shape, dtype=torch.bool) for group in masks.groups]
        keep[layer][unit] = False
        masks.set(keep)
        linear = blocks(by_hand)[layer].attention_output if part == Head() else blocks(by_hand)[layer].ffn_out
        linear.weight[:, columns] = 0
        assert torch.equal(masked(*batch), by_hand(*batch))
        assert not torch.equal(masked(*batch), encoder()(*batch))


@torch.no_grad()
def test_a_skipped_block_hands_on_its_input(encoder, batch):
    masked = encoder("bert", layers=3)
    masks = Masks(masked, Layer().groups(masked, None), Magnitude())
    masks.set([torch.tensor([True]), torch.tensor([False]), torch.tensor([True])])
    by_hand = encoder("bert", layers=3)
    del by_hand.encoder.encoder.layer[1]
    by_hand.encoder.config.num_hidden_layers = 2
    assert torch.equal(masked(*batch), by_hand(*batch))


@torch.no_grad()
def test_norms_run_over_the_channels_that_are_left():
    # Over (3, 5) the mean is 4 and the variance 1: -1 and 1, times γ = 2, plus β = 1.
    norm = nn.LayerNorm(3, eps=0.0)
    norm.weight.fill_(2.0)
    norm.bias.fill_(1.0)
    site = NormSite(norm)
    site.attach(lambda: torch.tensor([1.0, 0.0, 1.0]))
    assert norm(torch.tensor([[3.0, 99.0, 5.0]])).tolist() == [[-1, 0, 3]]
    site.detach(torch.ones(3))
    assert norm(torch.tensor([[1.0, 1.0, 4.0]]))[0, 1] != 0


@torch.no_grad()
def test_with_everything_kept_nothing_changes(encoder, batch):
    for part in PARTS:
        for model_type in ARCHITECTURES:
            model = encoder(model_type)
            before = model(*batch)
            Masks(model, part.groups(model, None), Magnitude())
            torch.testing.assert_close(model(*batch), before, atol=1e-6, rtol=0)


def test_one_head_and_one_neuron_always_stay(encoder):
    part = HeadsAndNeurons()
    groups = part.groups(encoder(), None)
    for low in (HEADS, FFN):
        scores = [torch.rand(group.shape) - 10 * (group.kind == low) for group in groups]
        keep = part.keep(groups, scores, 0.99, "global")
        assert [sum(int(k.sum()) for k in keep[start : start + 2]) for start in (0, 2)] == [1, 1]


def test_layers_are_ranked_together_whatever_the_allocation(encoder):
    part = Layer()
    groups = part.groups(encoder(layers=4), None)
    scores = [torch.tensor([value]) for value in (3.0, 1.0, 2.0, 4.0)]
    for allocation in ("global", "local"):
        assert [bool(k) for k in part.keep(groups, scores, 0.5, allocation)] == [True, False, False, True]


@pytest.mark.parametrize(("part", "unit"), [*zip(PARTS, UNITS, strict=True)])
def test_a_student_that_is_no_transformer_is_told_so(bag, part, unit):
    model = bag()
    model.spec = static()
    with pytest.raises(MillisError) as caught:
        part.groups(model, None)
    assert str(caught.value) == (
        f"pruning {unit} needs a transformer; a student of family 'static' has none. Choose a pruning of single "
        "weights or blocks, such as pruning=magnitude, or student=transformer"
    )


def test_an_encoder_decoder_is_told_what_makes_it_smaller(bag):
    model = bag()
    model.spec = spec_of("bart")
    with pytest.raises(MillisError) as caught:
        Head().groups(model, None)
    assert str(caught.value) == (
        "pruning heads needs a transformer of one stack, and a 'bart' student has two. Choose pruning=none, and make "
        "it smaller by the sizes of student=encoder_decoder (layers, decoder_layers, heads, ffn_size)"
    )


def test_an_architecture_without_anatomy_is_refused(encoder):
    model = encoder()
    model.spec = replace(model.spec, encoder={**model.spec.encoder, "model_type": "big_bird"})
    with pytest.raises(MillisError, match="millis cannot cut a 'big_bird' model: it knows the parts of bert"):
        Hidden().groups(model, None)


def test_a_factorized_layer_has_no_whole_matrix(encoder):
    name = "encoder.encoder.layer.1.intermediate.dense"
    with pytest.raises(MillisError) as caught:
        Neuron().groups(encoder(ranks={name: 3}), None)
    assert str(caught.value) == (
        f"pruning neurons needs whole matrices, but {name!r} has been factorized: choose factorization=none, or a "
        "pruning of single weights such as pruning=magnitude"
    )


def test_a_layer_that_has_nothing_left_is_passed_by(encoder):
    model = encoder(shape={"head_size": 4, "heads": [0, 4], "ffn": [12, 0]})
    assert [group.layer for group in Head().groups(model, None)] == [1]
    assert [group.layer for group in Neuron().groups(model, None)] == [0]
    assert [group.size for group in Layer().groups(model, None)] == [2 * 12 * 16, 4 * 16 * 16]
    [hidden] = Hidden().groups(model, None)
    assert hidden.size == 12 + 12 + 4 * 16


def test_projected_embeddings_cannot_lose_channels(spec):
    made = spec("electra")
    made.encoder["embedding_size"] = 8
    with pytest.raises(MillisError, match="which millis cannot narrow to 15"):
        Hidden().groups(models.build(made), None)
