"""Decoders become graphs, in fp32 and in integers, that are compared with their modules first."""

import warnings

import numpy as np
import pytest
from looking_back import after_each, exported, looking_back, signature, tokens

from millis.backends.onnx import writing
from millis.backends.onnx.decoder import OnnxDecoder
from millis.backends.onnx.writing import export_decoder
from millis.errors import MillisError
from millis.quantization.spec import Calibration, Quantization
from millis.types import Features

TEXTS = [Features(tokens(seed, 12)[None], np.ones((1, 12), np.int64), None) for seed in range(4)]
INTEGERS = {
    "dynamic": (Quantization(), 0.1),
    "static": (Quantization(activations="static", calibration=Calibration(texts=4)), 0.6),
    "weights": (Quantization(activations="none", block_size=16), 0.1),
    "4 bits": (Quantization(weights=4, activations="none", block_size=16), 0.8),
    "kept": (Quantization(keep=("head.*", "*.down_proj")), 0.1),
    "smooth": (Quantization(smooth=0.5, calibration=Calibration(texts=4)), 0.1),
}


@pytest.fixture(scope="module")
def model():
    """Weights of the usual size: those of other tests are so wide that four bits are not enough for them."""
    made = looking_back(hidden=32, size=16)
    for parameter in made.parameters():
        parameter.data.mul_(0.5) if parameter.dim() > 1 else None
    return made


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_read_in_pieces(model, tmp_path, kind):
    quantization, share = INTEGERS[kind]
    text, ids = exported(model, tmp_path / "m.onnx", quantization, TEXTS).begin(20), tokens(9, 20)
    expected = after_each(model, ids)
    found = np.concatenate([text.read(piece, every=True) for piece in np.split(ids, [7, 8, 9])])
    assert np.abs(found - expected).max() <= share * np.abs(expected).max()


def test_weights_alone_read_in_pieces_as_they_read_the_whole(model, tmp_path):
    """Activations are rounded token by token, so how a text is cut changes nothing but the last bits."""
    decoder, ids = exported(model, tmp_path / "m.onnx", INTEGERS["weights"][0]), tokens(9, 20)
    pieces = decoder.begin(20)
    found = np.concatenate([pieces.read(piece, every=True) for piece in np.split(ids, [7, 8, 9])])
    assert found == pytest.approx(decoder.begin(20).read(ids, every=True), abs=1e-4)


def test_it_says_what_was_kept(model, tmp_path):
    notes = export_decoder(model, tmp_path / "m.onnx", signature(model), INTEGERS["kept"][0])
    assert "kept in fp32 by name" in notes[0]
    assert "head.next" in notes[0]


def test_a_graph_that_errs_in_steps_is_not_accepted(model, tmp_path, monkeypatch):
    """Keys that are not kept are missed only where a text is read in pieces."""

    def forgetful(model):
        made = graph(model)
        for node in made.graph.node:
            if node.op_type == "GroupQueryAttention":
                node.input[3] = node.input[4]  # past values as past keys
        return made

    graph = writing.graph
    monkeypatch.setattr(writing, "graph", forgetful)
    message = r"does not agree with the model: logits differ by .* where tokens 4 to 4 are read after those before"
    with pytest.raises(MillisError, match=message):
        export_decoder(model, tmp_path / "m.onnx", signature(model), None)


def test_a_graph_that_errs_in_whole_texts_is_not_accepted(model, tmp_path, monkeypatch):
    def tied(model):
        made = graph(model)
        for node in made.graph.node:
            if node.op_type == "GroupQueryAttention":
                node.input[2] = node.input[1]  # keys as values
        return made

    graph = writing.graph
    monkeypatch.setattr(writing, "graph", tied)
    with pytest.raises(MillisError, match=r"does not agree with the model: next differ by .*Use backend=eager"):
        export_decoder(model, tmp_path / "m.onnx", signature(model), None)


def test_a_model_of_another_kind_is_refused(bag, tmp_path):
    with pytest.raises(
        MillisError, match="cannot write a BagOfTokens as a decoder: expected a transformer whose parts"
    ):
        export_decoder(bag(), tmp_path / "m.onnx", None, None)


def test_a_context_shorter_than_the_comparison(tmp_path):
    assert exported(looking_back(max_position_embeddings=7), tmp_path / "m.onnx").begin(7).read(tokens(0, 7)).shape


def test_exporting_is_silent(model, tmp_path, capfd, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(exported(model, tmp_path / "m.onnx", Quantization()), OnnxDecoder)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
