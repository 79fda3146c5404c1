"""Every file in `conf/factorization` makes what `Factorization` promises; a new one is tested without an edit here."""

import json
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from millis import models
from millis.cli.hydra_app import conf_dir

FILES = sorted((Path(conf_dir()) / "factorization").glob("*.yaml"))
TEXTS = ["the cat sat in the barn.", "a dog."]


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def method(request):
    made = instantiate(OmegaConf.load(request.param))
    if made is None:
        assert request.param.stem == "none"
        pytest.skip("nothing asked for")
    return made


def sizes(spec):
    """Weights of a model of `spec`."""
    return sum(weight.numel() for weight in models.build(spec).parameters())


def test_what_is_timed_is_settled_by_the_speed_of_models_of_its_specs(method, spec):
    whole, asked = sizes(spec), []

    def speedup(smaller):
        asked.append(smaller)
        return whole / sizes(smaller) * 1.5

    settled = method.settled(spec, speedup)
    assert bool(asked) == method.timed
    assert settled is method or (not settled.timed and settled.rank.ratio < 1)


def test_spec_foretells_apply_and_restores_the_model(method, model, spec, tokenizer, batches):
    method = method.settled(spec, lambda _: 2.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    foretold, changed = method.spec(spec, tokenizer, TEXTS)
    small, same = method.apply(model, tokenizer, TEXTS, batches)
    assert foretold in (None, small.spec)
    assert same.to_str() == changed.to_str()
    restored = models.build(models.read(json.loads(json.dumps(small.spec.to_json())))).eval()
    restored.load_state_dict(small.state_dict())
    ids = torch.tensor([same.encode(TEXTS[0]).ids])
    assert torch.equal(restored(ids, torch.ones_like(ids)), small(ids, torch.ones_like(ids)))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.spec == spec
    assert method.describe()
