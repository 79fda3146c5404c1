"""Masked and shrunk models agree, whatever is masked, and what is left can be saved, restored and exported."""

import copy
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from signatures import TEXTS, answering
from torch import nn

from millis import backends, models
from millis.backends import eager
from millis.backends.inductor import Inductor
from millis.backends.onnx import export as exports
from millis.backends.onnx.session import open_session
from millis.backends.openvino import OpenVino
from millis.errors import MillisError
from millis.models import anatomy
from millis.models.pre_norm import Llama
from millis.models.selection import whole
from millis.models.spec import Shape
from millis.models.student import TransformerStudent
from millis.pruning.shrink import shrink
from millis.quantization.spec import Quantization
from millis.storage.manifest import Manifest, seal
from millis.types import Features

TINY = runpy.run_path(str(Path(__file__).parents[1] / "models" / "conftest.py"))
FULL = {model_type: TINY["make_model"](TINY["make_spec"](model_type)) for model_type in anatomy.supported()}
MASKED = [name for parts in anatomy.ANATOMIES if not isinstance(parts, Llama) for name in parts.model_types]
LAYERS, HEADS, HEAD_SIZE, NEURONS, HIDDEN = 4, 4, 8, 64, 32
NOTHING = torch.arange(0)


class NormOverKept(nn.Module):
    """A layer norm whose mean and variance are those of the kept channels; the others come out as zero."""

    def __init__(self, norm, kept):
        super().__init__()
        self.norm, self.kept = norm, kept

    def forward(self, states):
        few = states[..., self.kept].double()
        few = (few - few.mean(-1, keepdim=True)) / (few.var(-1, unbiased=False, keepdim=True) + self.norm.eps).sqrt()
        out = torch.zeros_like(states)
        out[..., self.kept] = (few * self.norm.weight[self.kept] + self.norm.bias[self.kept]).float()
        return out


@torch.no_grad()
def masked(model, keep):
    """The same sizes as `model`, with all that `keep` leaves out silenced by hand."""
    model = copy.deepcopy(model)
    parts = anatomy.find(model.spec.kind)
    layers = parts.layers(model.encoder)
    for index, heads, ffn in zip(keep.layers, keep.heads, keep.ffn, strict=True):
        output, last = layers[index].attention_output, layers[index].ffn_out
        output.weight.mul_(ones_at(anatomy.head_rows(heads, HEAD_SIZE), output.in_features))
        last.weight.mul_(ones_at(ffn, last.in_features))
    channels = ones_at(keep.hidden, HIDDEN)
    for linear in (linear for layer in layers for linear in (layer.attention_output, layer.ffn_out)):
        linear.weight.mul_(channels[:, None])
        linear.bias.mul_(channels)
    if len(keep.hidden) < HIDDEN:
        for table in parts.embeddings(model.encoder).tables:
            table.weight.mul_(channels)
        for name, norm in [item for item in model.encoder.named_modules() if isinstance(item[1], nn.LayerNorm)]:
            model.encoder.set_submodule(name, NormOverKept(norm, keep.hidden))
    for index in set(range(LAYERS)) - set(keep.layers):
        blocks(model.encoder)[index].register_forward_hook(lambda block, inputs, output: inputs[0])
    return model


def ones_at(indices, size):
    return torch.zeros(size).index_fill(0, indices, 1.0)


def blocks(encoder):
    return next(module for module in encoder.modules() if isinstance(module, nn.ModuleList))


def batch(seed=0):
    ids = torch.randint(4, 100, (2, 7), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    return ids, mask


def agree(small, reference):
    with torch.no_grad():
        torch.testing.assert_close(small(*batch()), reference(*batch()), atol=1e-5, rtol=0)


def subset(size, at_least=0):
    return st.sets(st.integers(0, size - 1), min_size=at_least).map(lambda chosen: torch.tensor(sorted(chosen)).long())


def many(size):
    """A subset of `size` parts, all and none included; too many to draw one by one."""
    return st.tuples(st.integers(0, size), st.integers(0, 99)).map(
        lambda drawn: torch.randperm(size, generator=torch.Generator().manual_seed(drawn[1]))[: drawn[0]].sort().values
    )


@st.composite
def selections(draw):
    layers = draw(subset(LAYERS, at_least=1)).tolist()
    return replace(
        whole(FULL["bert"].spec),
        layers=layers,
        hidden=draw(st.just(torch.arange(HIDDEN)) | subset(HIDDEN, at_least=2)),
        heads=[draw(subset(HEADS)) for _ in layers],
        ffn=[draw(many(NEURONS)) for _ in layers],
    )


@pytest.mark.parametrize("model_type", MASKED)
@settings(max_examples=25)
@given(keep=selections())
def test_masked_and_shrunk_logits_agree(model_type, keep):
    full = FULL[model_type]
    before = {name: value.clone() for name, value in full.state_dict().items()}
    small = shrink(full, keep)
    agree(small, masked(full, keep))
    assert small.spec.shape == Shape(HEAD_SIZE, tuple(map(len, keep.heads)), tuple(map(len, keep.ffn)))
    assert all(torch.equal(before[name], value) for name, value in full.state_dict().items())


def emptied(model):
    """Layer 0 keeps 2 heads and 3 neurons, layer 1 no head, layer 2 neither, layer 3 no neuron."""
    keep = whole(model.spec)
    return replace(
        keep,
        heads=[torch.tensor([0, 2]), NOTHING, NOTHING, keep.heads[3]],
        ffn=[torch.tensor([1, 5, 60]), keep.ffn[1], NOTHING, NOTHING],
    )


@pytest.mark.parametrize("model_type", MASKED)
def test_a_model_with_empty_sublayers_comes_back_from_a_file(tmp_path, model_type):
    small = shrink(FULL[model_type], emptied(FULL[model_type]))
    agree(small, masked(FULL[model_type], emptied(FULL[model_type])))
    save_file(small.state_dict(), tmp_path / "model.safetensors")
    restored = models.build(small.spec).eval()
    restored.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(restored(*batch()), small(*batch()))
    assert set(small.state_dict()) == set(FULL[model_type].state_dict())


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "electra", "gpt2", "roberta"])
@pytest.mark.parametrize(("quantization", "tolerance"), [(None, 1e-5), (Quantization(), 0.05)])
def test_a_model_with_empty_sublayers_exports(tmp_path, monkeypatch, model_type, quantization, tolerance):
    monkeypatch.setattr(exports, "_dynamo", lambda *_: pytest.fail("the tracing exporter should do"))
    small, path = shrink(FULL[model_type], emptied(FULL[model_type])), tmp_path / "model.onnx"
    exports.export(small, path, TEXTS, quantization)
    ids, mask = batch()
    (got,) = open_session(path, threads=1)(Features(ids.numpy(), mask.numpy(), None))
    np.testing.assert_allclose(got, small(ids, mask).detach().numpy(), atol=tolerance)
    graph = onnx.load(path).graph
    assert sum(node.op_type == "Softmax" for node in graph.node) == 2  # layers 0 and 3
    assert min(np.prod(tensor.dims) for tensor in graph.initializer) > 0


SERVED = [
    *((eager.Eager(), kind, None, 0) for kind in ("bert", "distilbert", "gpt2")),
    *((eager.Eager(), kind, Quantization(), 0.05) for kind in ("bert", "distilbert", "gpt2")),
    *((OpenVino(), kind, None, 1e-5) for kind in ("bert", "gpt2")),
    *((OpenVino(), kind, Quantization(), 0.05) for kind in ("bert", "gpt2")),
    (Inductor(), "bert", None, 1e-5),
]


@pytest.mark.parametrize(
    ("backend", "model_type", "quantization", "tolerance"),
    SERVED,
    ids=[f"{backend.name} {kind} {'int8' if quantization else 'fp32'}" for backend, kind, quantization, _ in SERVED],
)
def test_a_model_with_empty_sublayers_runs_on(tmp_path, backend, model_type, quantization, tolerance):
    if lacking := backend.missing():
        pytest.skip(lacking)
    small = shrink(FULL[model_type], emptied(FULL[model_type]))
    backend.write(small, tmp_path, TEXTS, quantization)
    manifest = Manifest(
        name="small", task=answering("a", "b", "c"), inputs=("input_ids", "attention_mask"), max_length=8,
        spec=small.spec, backend=backend.name,
    )  # fmt: skip
    ids, mask = batch()
    session = backends.module(backend.name).load(tmp_path, seal(tmp_path, manifest), threads=1)
    (got,) = session(Features(ids.numpy(), mask.numpy(), None))
    np.testing.assert_allclose(got, small(ids, mask).detach().numpy(), atol=tolerance)


@pytest.mark.parametrize("model_type", MASKED)
def test_a_model_with_empty_sublayers_trains(model_type):
    """Every bias of an empty output learns, and dropout sees every position: masked training in small."""
    small = shrink(FULL[model_type], emptied(FULL[model_type])).train()
    small(*batch()).sum().backward()
    layers = anatomy.find(model_type).layers(small.encoder)
    assert all(float(layers[index].attention_output.bias.grad.abs().sum()) > 0 for index in (1, 2))
    assert all(float(layers[index].ffn_out.bias.grad.abs().sum()) > 0 for index in (2, 3))


def test_everything_kept_is_an_exact_copy_in_the_models_mode():
    full = copy.deepcopy(FULL["bert"]).double().train()
    same = shrink(full, whole(full.spec))
    assert same.spec == full.spec
    assert same.training
    assert torch.equal(same.eval()(*batch()), full.eval()(*batch()))
    assert same(*batch()).dtype == torch.float64


def test_a_shrunk_model_shrinks_again():
    once = shrink(FULL["bert"], emptied(FULL["bert"]))
    keep = replace(
        whole(once.spec), layers=[0, 2, 3],
        heads=[torch.tensor([1]), NOTHING, torch.tensor([0, 3])], ffn=[torch.tensor([0, 2]), NOTHING, NOTHING],
    )  # fmt: skip
    twice = replace(
        whole(FULL["bert"].spec), layers=[0, 2, 3],
        heads=[torch.tensor([2]), NOTHING, torch.tensor([0, 3])], ffn=[torch.tensor([1, 60]), NOTHING, NOTHING],
    )  # fmt: skip
    agree(shrink(once, keep), shrink(FULL["bert"], twice))


def test_a_gpt2_that_scales_by_depth_keeps_its_attention_when_layers_go():
    """Layer 3 becomes layer 1: HF would scale its scores by 1/2 in place of 1/4, so the query carries the other 1/2."""
    config = {**TINY["CONFIGS"]["gpt2"], "scale_attn_by_inverse_layer_idx": True}
    full = TINY["make_model"](TINY["make_spec"]("gpt2", encoder=config))
    keep = replace(whole(full.spec), layers=[0, 3], heads=[torch.arange(4)] * 2, ffn=[torch.arange(64)] * 2)
    agree(shrink(full, keep), masked(full, keep))


def test_describing_empty_sublayers():
    small = shrink(FULL["bert"], emptied(FULL["bert"]))
    assert TransformerStudent().describe(small.spec) == "transformer 4x32 h0-4 f0-64"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"layers": []},
            "a selection keeps layers []; expected at least one of 0 to 3, each once, in ascending order",
        ),
        (
            {"layers": [0, 1, 1, 3]},
            "a selection keeps layers [0, 1, 1, 3]; expected at least one of 0 to 3, each once, in ascending order",
        ),
        (
            {"hidden": torch.arange(1, 33)},
            "a selection keeps hidden [1, 2, 3, 4, '...', 30, 31, 32]; expected at least one of 0 to 31, each once, in "
            "ascending order",
        ),
        (
            {"heads": [torch.arange(4)] * 3 + [torch.tensor([2, 1])]},
            "a selection keeps heads of layer 3 [2, 1]; expected 0 to 3, each once, in ascending order",
        ),
        (
            {"ffn": [torch.arange(64)] * 3},
            "a selection keeps 4 layers but has ffn for 3: give each kept layer its own",
        ),
    ],
)
def test_a_selection_that_cannot_be(changes, message):
    with pytest.raises(MillisError) as error:
        shrink(FULL["bert"], replace(whole(FULL["bert"].spec), **changes))
    assert str(error.value) == message


def test_an_electra_with_projection_keeps_its_hidden_size():
    config = {**TINY["CONFIGS"]["electra"], "embedding_size": 16}
    full = TINY["make_model"](TINY["make_spec"]("electra", encoder=config))
    agree(shrink(full, emptied(full)), masked(full, emptied(full)))
    with pytest.raises(MillisError, match="this electra projects embeddings of 16 to a hidden size of 32"):
        shrink(full, replace(whole(full.spec), hidden=torch.arange(8)))


def test_a_factorized_model_cannot_be_shrunk():
    name = "encoder.encoder.layer.0.intermediate.dense"
    full = models.build(replace(FULL["bert"].spec, ranks={name: 4}))
    with pytest.raises(MillisError) as error:
        shrink(full, whole(full.spec))
    assert str(error.value) == (
        f"a model with 1 factorized matrices, first {name}, cannot be shrunk: heads, neurons and channels are rows and "
        "columns of whole matrices. Prune before factorizing, or use factorization=none"
    )


def test_an_architecture_without_anatomy_cannot_be_shrunk():
    full = copy.copy(FULL["bert"])
    full.spec = replace(full.spec, encoder={"model_type": "mpnet"})
    with pytest.raises(MillisError, match="cannot cut a 'mpnet' model"):
        shrink(full, whole(FULL["bert"].spec))
