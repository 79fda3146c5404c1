"""Weights under several names stand once, and are one again where they are read."""

import copy

import pytest
import torch
from causal import writer
from safetensors.torch import load_file
from torch import nn

from millis import models
from millis.models.shared_weights import unshared
from millis.pipeline.models_on_disk import keep, restore

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
