import pytest
import torch
from safetensors.torch import load_file, save_file
from specs import static
from torch import nn

from millis import models
from millis.backends import eager
from millis.backends.eager import Eager
from millis.errors import MillisError
from millis.quantization.spec import Calibration, Quantization
from millis.serving.runner import load
from millis.storage.manifest import open_manifest, seal


class Tied(nn.Module):
    """Two names for one matrix; logits are its row sums for the ids, in both directions."""

    def __init__(self):
        super().__init__()
        self.spec = static()
        self.first = nn.Linear(4, 4, bias=False)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        values = nn.functional.one_hot(input_ids % 4, 4).float().sum(dim=1)
        return self.second(self.first(values))[:, :2]


@pytest.fixture
def tied(monkeypatch):
    monkeypatch.setattr(models, "build", lambda spec: Tied())
    return Tied()


def damage(folder, change):
    """Rewrite the weights by `change`, with a manifest that fits."""
    tensors = load_file(folder / eager.FILE_NAME)
    save_file(change(tensors), folder / eager.FILE_NAME)
    seal(folder, open_manifest(folder, verify=False))


def test_tied_weights_are_stored_once_and_stay_tied(write, tied):
    folder = write(Eager(), model=tied)
    assert sorted(load_file(folder / eager.FILE_NAME)) == ["first.weight", "second.bias"]
    runner = load(folder)
    feed = runner.feed(runner.tokenize("a b"))
    with torch.inference_mode():
        assert runner.compute(feed)[0] == pytest.approx(tied(torch.from_numpy(feed.ids), None).numpy())


def test_int8_is_stored_as_int8_and_loaded_as_stored(write, static):
    folder = write(Eager(), Quantization())
    tensors = load_file(folder / eager.FILE_NAME)
    assert tensors["head.weight"].dtype == torch.int8
    assert tensors["head.weight_scale"].shape == (2,)  # one an output channel
    # Quantized by hand: scale = max |w| / 127.5 a row, symmetric.
    weight = static.head.weight.detach()
    restored = tensors["head.weight"] * tensors["head.weight_scale"][:, None]
    assert (restored - weight).abs().max() <= weight.abs().max() / 127

    # Other integers on disk must come out of the loaded layer: nothing is quantized again.
    damage(folder, lambda values: values | {"head.weight": torch.full_like(values["head.weight"], 7)})
    layer = load(folder)._session.model.head
    assert layer.weight().int_repr().unique().tolist() == [7]


def test_int8_without_pytorch_support_is_refused(write, monkeypatch):
    monkeypatch.delattr(torch.ao.quantization, "quantize_dynamic")
    with pytest.raises(
        MillisError, match=r"has no dynamic quantization \(torch.ao\) any more.* Use backend=onnxruntime"
    ):
        write(Eager(), Quantization())


@pytest.mark.parametrize(
    ("quantization", "told"),
    [
        (Quantization(activations="static", calibration=Calibration()), r"activations='static', calibration="),
        (Quantization(weights=4, activations="none", block_size=32), "weights=4, activations='none', block_size=32"),
        (Quantization(keep=("head",)), r"keep=\('head',\)"),
        (Quantization(reduce_range=True), "reduce_range=True"),
    ],
)
def test_a_quantization_of_another_kind_is_refused(write, quantization, told):
    with pytest.raises(MillisError, match=rf"backend=eager got a quantization with {told}.* Use backend=onnxruntime"):
        write(Eager(), quantization)


def test_int8_on_a_machine_without_kernels_is_refused(write, monkeypatch):
    monkeypatch.setattr(eager, "ENGINES", ("another",))
    with pytest.raises(MillisError, match=r"no int8 kernels for this machine. Use backend=onnxruntime for int8"):
        write(Eager(), Quantization())


@pytest.mark.parametrize("quantization", [None, Quantization()], ids=["fp32", "int8"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: {k: v for k, v in values.items() if k != "head.weight"}, "head.weight"),
        (lambda values: values | {"head.weight": torch.zeros(3, 16, dtype=values["head.weight"].dtype)}, "head.weight"),
    ],
    ids=["missing", "other shape"],
)
def test_weights_of_another_model_are_refused(write, quantization, change, message):
    folder = write(Eager(), quantization)
    damage(folder, change)
    with pytest.raises(
        MillisError, match=rf"do not fit the architecture in its manifest: .*{message}.*. Make the artifact"
    ):
        load(folder)


def test_a_file_that_is_no_safetensors_is_refused(write):
    folder = write(Eager())
    (folder / eager.FILE_NAME).write_bytes(b"cos\nsystem\n(S'true'\ntR.")  # a pickle: must not be run
    seal(folder, open_manifest(folder, verify=False))
    with pytest.raises(MillisError, match="do not fit the architecture in its manifest"):
        load(folder)
