"""What a selection leaves of a spec; copying is tested with students and with shrinking."""

from dataclasses import replace

import pytest
import torch

from millis.errors import MillisError
from millis.models import anatomy
from millis.models.selection import selected_spec, shared_heads, whole
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


@pytest.mark.parametrize(("heads", "groups", "expected"), [
    ([0, 1, 4, 5], 2, [0, 2]), ([3, 4, 5], 3, [1]), ([], 2, []), ([1, 3], 1, [1, 3]), ([0, 1], 2, [0]),
])  # fmt: skip
def test_keys_and_values_of_the_heads_that_are_kept(heads, groups, expected):
    assert shared_heads(torch.tensor(heads, dtype=torch.int64), groups).tolist() == expected


@pytest.mark.parametrize("heads", [[0], [1, 2], [0, 1, 2], [0, 2]])
def test_a_part_of_a_group_is_refused(heads):
    with pytest.raises(MillisError) as error:
        shared_heads(torch.tensor(heads), 2)
    assert str(error.value) == (
        f"a selection keeps heads {heads}, and 2 heads each share a key and a value (0 to 1, ...): keep all of them or "
        "none"
    )
