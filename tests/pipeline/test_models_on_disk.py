import pytest
import torch
from safetensors.torch import load_file

from millis.errors import MillisError
from millis.pipeline.models_on_disk import keep, restore


def test_a_model_comes_back_with_its_spec_and_what_training_settled_on(teacher, tmp_path):
    model = teacher.module
    model.quantization = {"head.weight.scale": torch.tensor([0.5])}
    try:
        keep(tmp_path / "model.safetensors", model)
    finally:
        del model.quantization
    again = restore(tmp_path / "model.safetensors")
    assert again.spec == model.spec
    assert not again.training
    assert torch.equal(again.quantization["head.weight.scale"], torch.tensor([0.5]))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))
    assert "head.weight" in load_file(tmp_path / "model.safetensors")


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(MillisError, match=r"model.safetensors is damaged or gone .* Delete it"):
        restore(tmp_path / "model.safetensors")
