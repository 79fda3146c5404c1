import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from specs import static
from torch import nn

pytest.importorskip("openvino")

from millis.backends import openvino
from millis.backends.openvino import GRAPH, OpenVino, _check_bf16, _group, _in_blocks, _read
from millis.errors import MillisError
from millis.quantization.spec import Quantization
from millis.serving.runner import load


def test_a_missing_runtime_names_the_extra(write, monkeypatch):
    folder = write(OpenVino())
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MillisError, match=r"backend=openvino needs openvino: pip install 'millis\[openvino\]'"):
        load(folder)
    assert OpenVino().missing() == "openvino is not installed: pip install 'millis[openvino]'"


def test_an_operator_it_does_not_have_is_named(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Levitate", ["x"], ["y"], domain="elsewhere")],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("elsewhere", 1)], ir_version=9), tmp_path / "m.onnx"
    )
    message = r"OpenVINO cannot take this model: .*Levitate.*Use backend=onnxruntime or backend=eager"
    with pytest.raises(MillisError, match=message):
        _read(tmp_path / "m.onnx")


def test_fp32_is_fp32_even_where_the_processor_has_bf16(write):
    # OpenVINO's own default is bf16 there, which errs by 1e-3.
    session = load(write(OpenVino()))._session
    assert str(session.infer.compiled.get_property("INFERENCE_PRECISION_HINT")).endswith("'float32'>")
    assert session.infer.compiled.get_property("NUM_STREAMS") == 1
    assert session.infer.compiled.get_property("INFERENCE_NUM_THREADS") == 1


def capabilities():
    import openvino

    return openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.skipif("BF16" not in capabilities(), reason="this processor has no bf16")
def test_bf16_reaches_the_session_through_the_manifest(write):
    session = load(write(OpenVino(precision="bf16")))._session
    assert "bf" in str(session.infer.compiled.get_property("INFERENCE_PRECISION_HINT"))


def test_bf16_is_refused_where_the_processor_would_compute_in_fp32(write):
    core = SimpleNamespace(get_property=lambda device, name: ["FP32", "INT8"])
    with pytest.raises(MillisError, match=r"backend.precision=bf16: this processor has no arithmetic in bf16"):
        _check_bf16(core, "bf16")
    _check_bf16(core, "f32")
    if "BF16" not in capabilities():
        with pytest.raises(MillisError, match=r"Set backend.precision=fp32, or run it where there is AVX-512 BF16"):
            write(OpenVino(precision="bf16"))


def test_an_unknown_precision_is_refused():
    message = (
        r"backend.precision='fp23' is not supported by openvino: expected one of fp32, bf16 \(did you mean 'fp32'\?\)"
    )
    with pytest.raises(MillisError, match=message):
        OpenVino(precision="fp23")


def test_dynamic_int8_stores_bytes_and_is_told_to_round_activations(write):
    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.spec = static(size=64)
            self.table, self.inner, self.head = nn.Embedding(12, 64), nn.Linear(64, 256), nn.Linear(256, 2)

        def forward(self, input_ids, attention_mask, token_type_ids=None):
            states = self.table(input_ids) * attention_mask.unsqueeze(-1).float()
            return self.head(torch.tanh(self.inner(states.sum(1))))

    folder = write(OpenVino(), Quantization(), model=Wide())
    assert (folder / "model.bin").stat().st_size < 64 * 256 * 2  # bytes; fp32 would take four times 64 · 256
    assert load(folder)._session.infer.compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == 64
    assert (folder / GRAPH).is_file()


@pytest.mark.parametrize(("rows", "group"), [((384, 1536), 128), ((192,), 64), ((96, 384), 32), ((20,), 16)])
def test_blocks_are_the_longest_that_divide_every_row(rows, group):
    assert _group(nn.ModuleList(nn.Linear(row, 2) for row in rows)) == group


def test_what_dynamic_cannot_be_here_is_refused():
    message = r"backend=openvino got dynamic quantization with per_channel=False; expected per_channel=True"
    with pytest.raises(MillisError, match=message):
        _in_blocks(Quantization(per_channel=False), 32)


def test_a_graph_that_errs_is_refused(write, monkeypatch):
    monkeypatch.setattr(
        openvino.OpenVinoSession, "__call__", lambda self, features: (np.zeros((len(features.ids), 2), np.float32),)
    )
    with pytest.raises(MillisError, match=r"OpenVINO does not compute what the model does: logits differ by"):
        write(OpenVino())
