"""What a forward pass calls, and who reads what."""

import pytest
import rounded
import torch

from millis.quantization.calls import by_tensor, calls


def names(kind):
    """Names of the linear layers that read one tensor, for every tensor."""
    groups = by_tensor(calls(rounded.model(kind)))
    linear = (torch.nn.Linear, torch.nn.Conv1d)
    found = [[call.name for call in group if isinstance(call.layer, linear)] for group in groups]
    return [group for group in found if group]


def test_query_key_and_value_read_one_tensor():
    attention = "encoder.encoder.layer.0.attention"
    assert names("bert")[:4] == [
        [f"{attention}.self.{part}" for part in ("query", "key", "value")],
        [f"{attention}.output.dense"],
        ["encoder.encoder.layer.0.intermediate.dense"],
        ["encoder.encoder.layer.0.output.dense"],
    ]
    assert names("bert")[-1] == ["head"]


def test_windows_of_a_convolution_read_one_tensor():
    assert names("convolution") == [["windows.0", "windows.1", "windows.2"], ["head"]]


def test_a_shared_layer_is_called_for_every_block():
    found = [call.name for call in calls(rounded.model("albert"))]
    queries = [name for name in found if name.endswith("query")]
    assert len(queries) == 2
    assert len(set(queries)) == 1


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training):
    model = rounded.model().train(training)
    calls(model)
    assert all(module.training is training for module in model.modules())
    assert not any(module._forward_pre_hooks for module in model.modules())
