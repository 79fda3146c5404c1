import sys
import warnings

import numpy as np
import onnx
import pytest
import torch
from signatures import PAIRS, TEXTS
from torch import nn

from millis.backends.onnx import export as exports
from millis.backends.onnx.export import export
from millis.backends.onnx.session import open_session
from millis.errors import MillisError
from millis.quantization.spec import Quantization
from millis.types import Features


def run(path, ids, types=None):
    ids = np.array(ids, dtype=np.int64)
    return open_session(path, threads=1)(Features(ids, np.ones_like(ids), types))[0]


class Sums(nn.Module):
    """Logits (sum of ids, number of tokens); dropout shows whether it was exported in evaluation mode."""

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        both = torch.stack([(input_ids * attention_mask).sum(1), attention_mask.sum(1)], dim=1).float()
        return nn.functional.dropout(both, 0.5, self.training)


def test_batch_and_length_are_free_and_dropout_is_off(tmp_path):
    model = Sums().train()
    export(model, tmp_path / "m.onnx", TEXTS, None)
    assert run(tmp_path / "m.onnx", [[7]]).tolist() == [[7, 1]]
    assert run(tmp_path / "m.onnx", [[1, 2, 3, 4, 5], [1, 1, 1, 1, 1], [0, 0, 0, 0, 9]]).tolist() == [
        [15, 5],
        [5, 5],
        [9, 5],
    ]
    assert model.training


def test_an_input_the_model_ignores_stays_an_input(tmp_path):
    export(Sums(), tmp_path / "m.onnx", PAIRS, None)
    assert [value.name for value in onnx.load(tmp_path / "m.onnx").graph.input] == list(PAIRS.inputs)
    assert run(tmp_path / "m.onnx", [[3, 4]], np.zeros((1, 2), np.int64)).tolist() == [[7, 2]]


def test_int8_quantizes_embeddings_products_and_recurrence(tmp_path):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(9, 16)
            self.lstm = nn.LSTM(16, 16, batch_first=True)
            self.head = nn.Linear(16, 2)

        def forward(self, input_ids, attention_mask):
            return self.head(self.lstm(self.embedding(input_ids))[0].amax(dim=1))

    torch.manual_seed(0)
    model = Recurrent()
    export(model, tmp_path / "m.onnx", TEXTS, Quantization())
    operators = {node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node}
    assert {"DynamicQuantizeLSTM", "MatMulInteger"} <= operators
    floats = [t for t in onnx.load(tmp_path / "m.onnx").graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    assert max(int(np.prod(t.dims)) for t in floats) < 9 * 16  # the embedding table is not among them
    with torch.inference_mode():
        expected = model(torch.tensor([[1, 5, 3, 8, 2]]), None).numpy()
    assert run(tmp_path / "m.onnx", [[1, 5, 3, 8, 2]]) == pytest.approx(expected, abs=0.05)


class Baked(nn.Module):
    """Divides by the length as a Python number, which tracing takes for a constant."""

    def forward(self, input_ids, attention_mask):
        total = input_ids.float().sum(dim=1, keepdim=True) + 1
        return torch.cat([total / int(input_ids.shape[1]), total], dim=1)


def test_a_graph_with_a_baked_in_length_is_not_accepted(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise ValueError("cannot either")

    monkeypatch.setattr(exports, "_dynamo", refuse)
    message = (
        r"no ONNX exporter makes a graph that agrees with the model \(trace: logits differ by .* at batch 1, length 1; "
        r".*ValueError: cannot either\). Use backend=eager"
    )
    with pytest.raises(MillisError, match=message):
        export(Baked(), tmp_path / "m.onnx", TEXTS, None)


def test_the_newer_exporter_takes_over_where_tracing_errs(tmp_path):
    export(Baked(), tmp_path / "m.onnx", TEXTS, None)
    assert run(tmp_path / "m.onnx", [[1, 2, 3, 4, 5]]).tolist() == [[pytest.approx(16 / 5), 16]]


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MillisError, match=r"writing an ONNX graph needs onnx: pip install 'millis\[onnx\]'"):
        export(Sums(), tmp_path / "m.onnx", TEXTS, None)


def test_exporting_is_silent(tmp_path, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export(Sums(), tmp_path / "m.onnx", TEXTS, Quantization())
    assert capfd.readouterr() == ("", "")
