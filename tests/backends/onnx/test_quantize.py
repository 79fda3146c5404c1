import hashlib

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from signatures import TEXTS
from specs import static
from torch import nn

from millis.backends.onnx import export as exports
from millis.backends.onnx import parameters
from millis.backends.onnx.export import export
from millis.backends.onnx.layers import weights_of
from millis.backends.onnx.session import open_session
from millis.backends.onnx.static import affine, symmetric
from millis.backends.onnx.tables import integers
from millis.errors import MillisError
from millis.quantization.processor import reduces_range, told
from millis.quantization.spec import Calibration, Fallback, Quantization
from millis.types import Features

STATIC = Quantization(activations="static", calibration=Calibration())
WEIGHTS = Quantization(activations="none", block_size=32)


class Network(nn.Module):
    """Embedding, two linear layers with a residual around the first, mean, a head without bias."""

    def __init__(self):
        super().__init__()
        self.spec = static(num_labels=3)
        torch.manual_seed(0)
        self.words, self.inner, self.head = nn.Embedding(20, 32), nn.Linear(32, 32), nn.Linear(32, 3, bias=False)
        with torch.no_grad():
            self.words.weight.mul_(2.0)
            self.words.weight[:, 5].mul_(20.0)  # a channel of outliers

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        x, mask = self.words(input_ids), attention_mask.unsqueeze(-1).float()
        x = x + torch.tanh(self.inner(x))
        return self.head((x * mask).sum(1) / mask.sum(1))


class Recurrent(nn.Module):
    """Embedding, LSTM, convolution, head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.words, self.lstm = nn.Embedding(20, 32), nn.LSTM(32, 32, batch_first=True)
        self.window, self.head = nn.Conv1d(32, 32, 3, padding=1), nn.Linear(32, 2)

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        states = self.lstm(self.words(input_ids))[0].transpose(1, 2)
        return self.head(self.window(states).amax(dim=2))


class Shared(nn.Module):
    """One linear layer four times over, as ALBERT does."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.words, self.inner, self.head = nn.Embedding(20, 32), nn.Linear(32, 32), nn.Linear(32, 3)

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        x, mask = self.words(input_ids), attention_mask.unsqueeze(-1).float()
        for _ in range(4):
            x = x + torch.tanh(self.inner(x))
        return self.head((x * mask).sum(1) / mask.sum(1))


def texts(count=16):
    generator = np.random.default_rng(0)
    rows = [generator.integers(0, 20, (1, generator.integers(2, 7))) for _ in range(count)]
    return [Features(ids, np.ones_like(ids), None) for ids in rows]


def processors(quantization):
    """What is told on the processor that runs this."""
    note = told(quantization)
    return () if note is None else (note,)


def run(path, features=None):
    session = open_session(path, threads=1)
    return np.concatenate([session(request)[0] for request in features or texts()])


def eager(model, features=None):
    with torch.inference_mode():
        rows = [model.eval()(torch.from_numpy(f.ids), torch.from_numpy(f.mask)) for f in features or texts()]
    return torch.cat(rows).numpy()


def operators(path):
    return {node.op_type for node in onnx.load(path).graph.node}


def floats(path):
    """Sizes of the stored fp32 tensors."""
    found = onnx.load(path).graph.initializer
    return sorted((int(np.prod(t.dims)) for t in found if t.data_type == TensorProto.FLOAT), reverse=True)


@pytest.mark.parametrize(
    ("quantization", "kinds", "allowed"),
    [
        (Quantization(), {"MatMulInteger", "DynamicQuantizeLinear"}, 0.1),
        (STATIC, {"QuantizeLinear", "DequantizeLinear", "MatMul"}, 0.1),
        (Quantization(activations="static", calibration=Calibration(), smooth=0.5), {"QuantizeLinear"}, 0.1),
        (Quantization(smooth=0.5, calibration=Calibration()), {"MatMulInteger"}, 0.1),
        (WEIGHTS, {"MatMulNBits", "DequantizeLinear"}, 0.1),
        (Quantization(weights=4, activations="none", block_size=32), {"MatMulNBits", "DequantizeLinear"}, 0.6),
        (Quantization(reduce_range=True), {"MatMulInteger"}, 0.2),
    ],
    ids=["dynamic", "static", "static smooth", "dynamic smooth", "weights 8", "weights 4", "7 bits"],
)
def test_every_arithmetic_answers_as_the_model(tmp_path, quantization, kinds, allowed):
    model = Network()
    export(model, tmp_path / "m.onnx", TEXTS, quantization, texts())
    assert np.abs(run(tmp_path / "m.onnx") - eager(model)).max() < allowed * np.abs(eager(model)).max()
    assert kinds <= operators(tmp_path / "m.onnx")
    assert floats(tmp_path / "m.onnx")[0] <= 32  # no matrix and no table is among them


def test_plain_dynamic_int8_is_onnx_runtimes_own_to_the_last_bit(tmp_path):
    export(Network(), tmp_path / "fp32.onnx", TEXTS, None)
    export(Network(), tmp_path / "int8.onnx", TEXTS, Quantization(), texts())
    own = tmp_path / "own.onnx"
    reduced = reduces_range(Quantization())
    quantize_dynamic(
        str(tmp_path / "fp32.onnx"), str(own), per_channel=True, reduce_range=reduced, weight_type=QuantType.QInt8
    )
    first, second = (hashlib.sha256(path.read_bytes()).digest() for path in (tmp_path / "int8.onnx", own))
    assert first == second


def test_smoothing_takes_away_what_an_outlier_costs(tmp_path):
    model, error = Network(), {}
    for smooth in (None, 0.5):
        quantization = Quantization(activations="static", calibration=Calibration(), smooth=smooth, keep=("words",))
        export(model, tmp_path / "m.onnx", TEXTS, quantization, texts())
        error[smooth] = np.square(run(tmp_path / "m.onnx") - eager(model)).mean()
    assert error[0.5] < error[None] / 2


@pytest.mark.parametrize("quantization", [Quantization(), STATIC, WEIGHTS], ids=["dynamic", "static", "weights"])
@pytest.mark.parametrize(("pattern", "size"), [("words", 20 * 32), ("inner", 32 * 32), ("head", 32 * 3)])
def test_a_kept_layer_stays_fp32_and_alone(tmp_path, quantization, pattern, size):
    kept = Quantization(**{**vars(quantization), "keep": (pattern,)})
    notes = export(Network(), tmp_path / "m.onnx", TEXTS, kept, texts())
    large = [count for count in floats(tmp_path / "m.onnx") if count > 32]
    assert large == [size]
    assert notes == (f"kept in fp32 by name: {pattern}", *processors(kept))


@pytest.mark.parametrize("quantization", [Quantization(), STATIC, WEIGHTS], ids=["dynamic", "static", "weights"])
def test_with_every_layer_kept_nothing_changes(tmp_path, quantization):
    kept = Quantization(**{**vars(quantization), "keep": ("*",)})
    export(Network(), tmp_path / "m.onnx", TEXTS, kept, texts())
    assert run(tmp_path / "m.onnx") == pytest.approx(eager(Network()), abs=1e-5)


def test_layers_chosen_by_measurement_stay_fp32(tmp_path):
    quantization = Quantization(calibration=Calibration(), fallback=Fallback(damage=0.0, layers=2))
    note, *others = export(Network(), tmp_path / "m.onnx", TEXTS, quantization, texts())
    assert tuple(others) == processors(quantization)
    assert note.startswith("kept in fp32 by measurement: ") and "inner (" in note and "head (" in note
    assert "MatMulInteger" not in operators(tmp_path / "m.onnx")


def test_the_residual_gets_the_floats_not_the_rounded_activation(tmp_path):
    export(Network(), tmp_path / "m.onnx", TEXTS, STATIC, texts())
    nodes = onnx.load(tmp_path / "m.onnx").graph.node
    rounded = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear" and "_integers" in node.input[0]}
    assert rounded
    assert {node.op_type for node in nodes if rounded & set(node.input)} == {"MatMul"}


def test_static_ranges_ignore_padding(tmp_path):
    model = Network()
    padded = [
        Features(np.pad(f.ids, ((0, 0), (0, 5)), constant_values=19), np.pad(f.mask, ((0, 0), (0, 5))), None)
        for f in texts()
        if 19 not in f.ids
    ]
    plain = [Features(f.ids[:, :-5], f.mask[:, :-5], None) for f in padded]
    with torch.no_grad():
        model.words.weight[19] = 1e4  # the padding's vector, were it read
    for name, features in (("padded", padded), ("plain", plain)):
        export(model, tmp_path / f"{name}.onnx", TEXTS, STATIC, features)
    assert run(tmp_path / "padded.onnx", plain).tolist() == run(tmp_path / "plain.onnx", plain).tolist()


def test_what_only_dynamic_has_integers_for_is_told(tmp_path):
    for quantization in (STATIC, WEIGHTS):
        notes = export(Recurrent(), tmp_path / "m.onnx", TEXTS, quantization, texts())
        (note,) = (note for note in notes if note not in processors(quantization))
        assert note == "convolutions and recurrent layers stay fp32: only activations=dynamic has integers for them"
        assert np.abs(run(tmp_path / "m.onnx") - eager(Recurrent())).max() < 0.05
    assert export(Recurrent(), tmp_path / "m.onnx", TEXTS, Quantization()) == processors(Quantization())


def test_recurrent_layers_and_convolutions_can_be_kept(tmp_path):
    export(Recurrent(), tmp_path / "m.onnx", TEXTS, Quantization(keep=("lstm", "window")))
    assert {"LSTM", "Conv"} <= operators(tmp_path / "m.onnx")
    assert not {"DynamicQuantizeLSTM", "ConvInteger"} & operators(tmp_path / "m.onnx")
    assert "MatMulInteger" in operators(tmp_path / "m.onnx")


@pytest.mark.filterwarnings("ignore::UserWarning")  # the exporter's
def test_layers_are_found_whichever_exporter_wrote_the_graph(tmp_path):
    model = Network().eval()
    for exporter in (exports._trace, exports._dynamo):
        exporter(model, tmp_path / "m.onnx", TEXTS)
        graph = onnx.load(tmp_path / "m.onnx").graph
        shapes = {t.name: tuple(t.dims) for t in graph.initializer}
        assert [shapes[name] for name in weights_of(graph, model, ["inner"])] == [(32, 32)]
        assert {shapes[name] for name in weights_of(graph, model, ["words", "head"])} <= {(20, 32), (3, 32), (32, 3)}
        assert len(weights_of(graph, model, ["words", "head"])) == 2
        assert weights_of(graph, model, []) == set()


def test_trained_parameters_are_put_into_the_graph(tmp_path, monkeypatch):
    model, seen = Network(), []
    monkeypatch.setattr(parameters, "set_parameters", lambda *arguments: seen.append(arguments))
    export(model, tmp_path / "m.onnx", TEXTS, Quantization())
    assert seen == []
    model.quantization = {"inner.weight.scale": torch.ones(32)}
    export(model, tmp_path / "m.onnx", TEXTS, Quantization())
    assert seen == [(tmp_path / "m.onnx", model.quantization)]


def test_without_calibration_texts_static_is_refused(tmp_path):
    with pytest.raises(MillisError, match=r"calibration got 0 batches.* or choose quantization=dynamic"):
        export(Network(), tmp_path / "m.onnx", TEXTS, STATIC)


def test_a_range_and_a_matrix_by_hand():
    scale, zero_point = affine((-1.0, 1.55))
    assert (float(scale), int(zero_point)) == (pytest.approx(0.01), 100)
    assert [float(part) for part in affine((0.0, 0.0))] == [1.0, 0.0]
    weight = np.array([[1.27, 0.0, -0.5], [0.635, 0.0, 0.25]], np.float32)
    values, scale = symmetric(weight, per_channel=True, largest=127)
    assert values.tolist() == [[127, 0, -127], [64, 0, 64]]  # 63.5 ties to the even 64
    assert scale == pytest.approx(np.array([0.01, 1.0, 0.5 / 127]))
    values, scale = symmetric(weight, per_channel=False, largest=64)
    assert values.tolist() == [[64, 0, -25], [32, 0, 13]]
    assert float(scale) == pytest.approx(1.27 / 64)


def test_tables_are_stored_as_onnx_runtimes_dynamic_quantization_stores_them(tmp_path):
    model = Network()
    export(model, tmp_path / "m.onnx", TEXTS, Quantization())
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "m.onnx").graph.initializer}
    table, scale, zero_point = integers(model.words.weight.detach().numpy())
    (name,) = [name for name, array in stored.items() if array.shape == (20, 32) and array.dtype == np.uint8]
    assert np.array_equal(stored[name], table)
    prefix = name.removesuffix("_quantized")
    assert (stored[f"{prefix}_scale"], stored[f"{prefix}_zero_point"]) == (scale, zero_point)


def test_quantizing_is_silent(tmp_path, capfd):
    for quantization in (Quantization(keep=("head",)), STATIC, WEIGHTS):
        export(Network(), tmp_path / "m.onnx", TEXTS, quantization, texts())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("quantization", [Quantization(), STATIC, WEIGHTS])
def test_weights_that_layers_share_are_stored_once(tmp_path, quantization):
    model = Shared().eval()
    export(model, tmp_path / "model.onnx", TEXTS, quantization, texts())
    graph = onnx.load(tmp_path / "model.onnx").graph
    large = [tensor for tensor in graph.initializer if np.prod(tensor.dims) == 32 * 32]
    assert [tensor.data_type in (TensorProto.INT8, TensorProto.UINT8) for tensor in large] == [True]
    assert np.abs(run(tmp_path / "model.onnx") - eager(model)).max() < 0.1
