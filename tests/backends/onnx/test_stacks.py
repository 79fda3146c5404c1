"""Encoder-decoders on ONNX Runtime: two graphs, that write what the modules do."""

import numpy as np
import pytest
from sides import KINDS, VOCABULARY, after_each, answering, row, spec_of

from millis.backends.eager import session_of
from millis.backends.onnx.encoder_decoder import OnnxEncoderDecoder
from millis.backends.onnx.session import open_inference
from millis.backends.onnx.stacks import graphs
from millis.backends.onnxruntime import OnnxRuntime
from millis.errors import MillisError
from millis.generation.greedy import Greedy
from millis.generation.writing import Vocabulary
from millis.models import build
from millis.models.encoder_decoder_student import EncoderDecoderStudent
from millis.quantization.spec import Calibration, Quantization
from millis.types import Features, Signature

NO_END = Vocabulary((), str)


def opened(model, folder, quantization=None):
    signature = Signature(("input_ids", "attention_mask"), model.spec.outputs)
    notes = OnnxRuntime().write(model, folder, signature, quantization)
    encoder, decoder = (open_inference(folder / name, threads=1)[0] for name in ("encoder.onnx", "model.onnx"))
    return OnnxEncoderDecoder(encoder, decoder), notes


def models_of(kind):
    """Of full size, and cut."""
    yield answering(kind, biased=kind == "marian", tied=kind != "bart")
    teacher = answering(kind)
    student = EncoderDecoderStudent(2, 1, heads=3, ffn_size=17)
    small = build(student.spec(teacher.spec)).eval()
    student.initialise(small, teacher)
    yield small
    if kind == "bart":
        yield answering(kind, encoder_attention_heads=2)  # of 12, the decoder's of 6


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_text_is_eagers_token_by_token(kind, tmp_path):
    for number, model in enumerate(models_of(kind)):
        folder = tmp_path / str(number)
        folder.mkdir()
        decoder, _ = opened(model, folder)
        for seed in range(3):
            prompt = row(seed, source=3 + 9 * seed, written=0)[0][0].numpy()
            ours, theirs = (
                Greedy(max_tokens=20).begin(one, prompt, NO_END).finish().tokens.tolist()
                for one in (decoder, session_of(model))
            )
            assert ours == theirs and len(ours) == 20


@pytest.mark.parametrize("quantization", [None, Quantization()], ids=["fp32", "int8"])
def test_a_table_that_is_the_output_matrix_lies_in_the_graph_once(quantization, tmp_path):
    sizes = {}
    for tied in (True, False):
        (tmp_path / str(tied)).mkdir()
        opened(answering(tied=tied, vocab_size=4000), tmp_path / str(tied), quantization)
        sizes[tied] = (tmp_path / str(tied) / "model.onnx").stat().st_size
    table = 4000 * 24 * (4 if quantization is None else 1)
    assert sizes[False] - sizes[True] == pytest.approx(table, rel=0.2)


def test_rows_of_a_batch_and_padding(tmp_path):
    model = answering()
    decoder, _ = opened(model, tmp_path)
    parts = [row(0, 5, 4), row(1, 3, 2)]
    ids, mask, types = (np.zeros((2, 10), np.int64) for _ in range(3))
    for place, one in enumerate(parts):
        for array, tensor in zip((ids, mask, types), one, strict=True):
            array[place, : tensor.shape[1]] = tensor[0].numpy()
    (found,) = decoder(Features(ids, mask, types))
    for one, parts_of in zip(found, parts, strict=True):
        length = parts_of[0].shape[1]
        np.testing.assert_allclose(one[:length], after_each(model, *parts_of), atol=1e-4)
        assert not one[length:].any()
    (alone,) = decoder(Features(ids[1:, :4], mask[1:, :4], None))
    np.testing.assert_allclose(alone[0, 3], found[1, 3], atol=1e-5)


def test_integers_are_near_and_smaller(tmp_path):
    model = answering("bart", d_model=48, encoder_ffn_dim=96, decoder_ffn_dim=96)
    sizes = {}
    for name, quantization in (
        ("fp32", None),
        ("int8", Quantization()),
        ("weights", Quantization(activations="none", block_size=32)),
    ):
        folder = tmp_path / name
        folder.mkdir()
        decoder, notes = opened(model, folder, quantization)
        tokens = row()[0][0].numpy()
        found = decoder.begin(len(tokens)).read(tokens, every=True)[7:]
        expected = after_each(model, *row())[7:]
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > (0.999999 if name == "fp32" else 0.99)
        sizes[name] = sum(path.stat().st_size for path in folder.iterdir())
        assert bool(notes) == (name == "int8")
    assert max(sizes["int8"], sizes["weights"]) < 0.6 * sizes["fp32"]


@pytest.mark.parametrize(
    "quantization",
    [
        Quantization(activations="static", calibration=Calibration()),
        Quantization(keep=("head",), smooth=0.5, calibration=Calibration()),
    ],
)
def test_integers_that_are_fitted_to_texts_are_refused(quantization, tmp_path):
    with pytest.raises(MillisError, match="of an encoder-decoder; expected ranges that are taken as they come"):
        opened(answering(), tmp_path, quantization)


def test_a_prompt_is_checked_and_the_text_stays_as_it_was(tmp_path):
    decoder, _ = opened(answering(), tmp_path)
    text = decoder.begin(8)
    with pytest.raises(MillisError, match=r"a prompt of 2 tokens is without the \[3\] that the decoder begins with"):
        text.read(np.array([1, 5]))
    with pytest.raises(MillisError, match=f"token id {VOCABULARY} is outside"):
        text.read(np.array([1, VOCABULARY, 3]))
    first = text.read(np.array([1, 5, 3]))
    with pytest.raises(MillisError, match="expected 1 to 5"):
        text.read(np.arange(6))
    assert text.length == 3
    text.rewind(1)
    np.testing.assert_array_equal(text.read(np.array([5, 3])), first)


def test_a_graph_of_another_kind_is_refused(tmp_path):
    opened(answering(), tmp_path)
    encoder, _ = open_inference(tmp_path / "encoder.onnx", threads=1)
    with pytest.raises(MillisError, match="the graph does not write token by token"):
        OnnxEncoderDecoder(encoder, encoder)


def test_an_activation_without_a_form_is_refused():
    with pytest.raises(MillisError, match="backend=onnxruntime cannot write the activation 'mish' as a decoder"):
        graphs(build(spec_of("bart", activation_function="mish")))
