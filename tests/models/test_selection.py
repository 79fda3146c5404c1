"""What a selection leaves of a spec; copying is tested with students and with shrinking."""

from dataclasses import replace

import pytest
import torch

from millis.models import anatomy
from millis.models.selection import selected_spec, whole
from millis.models.spec import Shape


@pytest.mark.parametrize("model_type", anatomy.supported())
def test_everything_kept_leaves_the_spec(spec, model_type):
    assert selected_spec(spec(model_type), whole(spec(model_type))) == spec(model_type)


@pytest.mark.parametrize("model_type", anatomy.supported())
def test_sizes_follow_the_indices(spec, model_type):
    keep = replace(
        whole(spec(model_type)), layers=[1, 3], hidden=torch.arange(5, 25),
        heads=[torch.tensor([1]), torch.arange(0)], ffn=[torch.arange(0), torch.tensor([0, 63])],
    )  # fmt: skip
    small, keys = selected_spec(spec(model_type), keep), anatomy.find(model_type).keys
    assert small.shape == Shape(8, (1, 0), (0, 2))
    assert (small.encoder[keys.layers], small.encoder[keys.hidden]) == (2, 20)
    assert replace(small, encoder={}, shape=None) == replace(spec(model_type), encoder={}, shape=None)
