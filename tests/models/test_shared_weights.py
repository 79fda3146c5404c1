"""Weights under several names stand once, and are one again where they are read."""

import copy

import pytest
import torch
from causal import writer, written
from safetensors.torch import load_file
from torch import nn

from millis import models
from millis.models.shared_weights import unshared
from millis.pipeline.models_on_disk import keep, restore
from millis.quantization.spec import Quantization
from millis.serving.runner import load
from millis.storage.archived import Archived
from millis.storage.manifest import open_manifest, size_bytes

TABLE, MATRIX = "encoder.embed_tokens.weight", "head.next.weight"


def is_tied(model):
    return model.head["next"].weight is model.encoder.get_input_embeddings().weight


def test_the_first_of_their_names_stays():
    first, other = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    other.weight = first.weight
    assert list(unshared(nn.ModuleDict({"b": first, "a": other}).state_dict())) == ["b.weight"]


def test_what_only_looks_alike_is_kept():
    values = torch.ones(4)
    state = {"whole": values, "part": values[:2], "other": torch.ones(4), "none": torch.empty(0), "no": torch.empty(0)}
    assert list(unshared(state)) == list(state)


def test_tied_weights_are_kept_once_and_restored_as_one(tmp_path):
    tied, apart = writer(), writer(tied=False)
    for name, model in (("tied", tied), ("apart", apart)):
        keep(tmp_path / name, model)
    assert MATRIX not in load_file(tmp_path / "tied") and {TABLE, MATRIX} <= set(load_file(tmp_path / "apart"))
    table = tied.encoder.embed_tokens.weight.numel() * 4
    sizes = {name: (tmp_path / name).stat().st_size for name in ("tied", "apart")}
    assert sizes["apart"] - sizes["tied"] == pytest.approx(table, abs=200)
    ids = torch.tensor([[3, 4, 5]])
    for model, name in ((tied, "tied"), (apart, "apart")):
        found = restore(tmp_path / name)
        assert is_tied(found) == is_tied(model) == (name == "tied")
        assert torch.equal(found(ids, torch.ones_like(ids)), model(ids, torch.ones_like(ids)))


def test_they_stay_one_through_copies_training_and_precision():
    model = copy.deepcopy(writer()).double().float()
    assert is_tied(model)
    again = models.build(model.spec)
    again.load_state_dict(model.state_dict())
    assert is_tied(again)
    before = again.head["next"].weight.clone()
    ids = torch.tensor([[3, 4, 5]])
    torch.optim.SGD(again.parameters(), 1.0).zero_grad()
    again(ids, torch.ones_like(ids)).square().sum().backward()
    torch.optim.SGD(again.parameters(), 0.1).step()
    assert is_tied(again) and not torch.equal(again.head["next"].weight, before)
    assert sum(parameter is again.head["next"].weight for parameter in again.parameters()) == 1


@pytest.mark.parametrize("storage", [None, Archived(1.0, ("zlib",), ())], ids=["files", "archive"])
def test_an_artifact_has_them_once_and_reads_them_as_one(tmp_path, storage):
    models_ = {"tied": writer(vocab_size=280), "apart": writer(vocab_size=280, tied=False)}
    sizes = {}
    for name, model in models_.items():
        folder = written(tmp_path / name, model, storage=storage)
        sizes[name] = size_bytes(open_manifest(folder))
        found = load(folder)._session.model
        assert is_tied(found) == (name == "tied")
        assert torch.equal(found.head["next"].weight, model.head["next"].weight)
    if storage is None:
        assert sizes["apart"] - sizes["tied"] == pytest.approx(280 * 24 * 4, abs=500)
    assert sizes["apart"] > sizes["tied"] + 280 * 24


def test_integers_take_the_place_of_one_of_two_names(tmp_path):
    """int8 is of linear layers: the matrix has integers, the table of token vectors stays as it was."""
    model = writer(vocab_size=280)
    runner = load(written(tmp_path / "a", model, quantization=Quantization()))
    found = runner._session.model
    assert torch.equal(found.encoder.embed_tokens.weight, model.encoder.embed_tokens.weight)
    step = model.head["next"].weight.abs().amax() / 127
    assert (found.head["next"].weight().dequantize() - model.head["next"].weight).abs().max() <= step
    assert len(runner.predict("the cat").tokens) > 0
