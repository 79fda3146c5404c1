"""Writing with encoder-decoders in PyTorch: whatever is read in which pieces, logits are those of whole rows."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sides import KINDS, after_each, answering, row

from millis.backends.eager import FILE_NAME, Eager, read_module, session_of
from millis.backends.genai.sizes import checked
from millis.backends.plan.builder import Builder
from millis.backends.plan.families import build as build_plan
from millis.backends.prompt import source_length
from millis.errors import MillisError
from millis.quantization.spec import Quantization

ROWS = {kind: row(3, source=6, written=8) for kind in KINDS}
MODELS = {}


def model_of(kind):
    if kind not in MODELS:
        MODELS[kind] = answering(kind), after_each(answering(kind), *ROWS[kind])
    return MODELS[kind]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_text_read_in_pieces_and_rewound(kind, data):
    model, expected = model_of(kind)
    tokens = ROWS[kind][0][0].numpy()
    text, length = session_of(model).begin(len(tokens)), 0
    for _ in range(6):
        least = length + 1 if length > 6 else 7  # the whole prompt at first
        if least <= len(tokens):
            end = data.draw(st.integers(least, len(tokens)))
            every = data.draw(st.booleans())
            found = text.read(tokens[length:end], every)
            np.testing.assert_allclose(found, expected[length if every else end - 1 : end], atol=1e-4)
            length = end
        assert text.length == length
        length = data.draw(st.integers(0, length))
        text.rewind(length)


def test_the_encoder_runs_once_a_text():
    model = model_of("bart")[0]
    tokens, runs = ROWS["bart"][0][0].numpy(), []
    hook = model.encoder.encoder.register_forward_hook(lambda *_: runs.append(1))
    text = session_of(model).begin(20)
    text.read(tokens[:7])
    for token in tokens[7:]:
        text.read(token[None])
    hook.remove()
    assert runs == [1]


def test_faults():
    decoder = session_of(model_of("bart")[0])
    with pytest.raises(MillisError, match="a text is begun with room for 65 tokens; expected 1 to 64"):
        decoder.begin(65)
    text = decoder.begin(8)
    with pytest.raises(MillisError, match=r"a prompt of 2 tokens is without the \[3\] that the decoder begins with"):
        text.read(np.array([1, 5]))
    with pytest.raises(MillisError, match="token id 48 is outside of the model's vocabulary of 48"):
        text.read(np.array([1, 48, 3]))
    assert text.length == 0
    text.read(np.array([1, 5, 3]))
    with pytest.raises(MillisError, match="a continuation with room for 8 tokens has read 3 and got 6 more"):
        text.read(np.arange(6))


@pytest.mark.parametrize(
    ("tokens", "starts", "length"),
    [([1, 5, 3], (3,), 2), ([1, 3, 5, 3, 7, 8], (3,), 3), ([0, 9, 2, 2, 0, 7], (2, 0), 3)],
)  # the text itself may hold the mark; what is written behind it does not
def test_where_a_source_ends(tokens, starts, length):
    assert source_length(np.array(tokens), starts) == length


def test_an_empty_source_is_refused():
    with pytest.raises(MillisError) as error:
        source_length(np.array([3, 7]), (3,))
    assert str(error.value) == (
        "a prompt holds no token before the [3] that the decoder begins with: the encoder has nothing to read. Give a "
        "text"
    )


def test_engines_without_encoder_decoders_say_who_has_them():
    model = model_of("bart")[0]
    with pytest.raises(MillisError) as error:
        build_plan(model, Builder(model, model.spec.outputs, None))
    assert str(error.value) == (
        "backend=native cannot run a model of class EncoderDecoder: expected a transformer as BERT's, Llama's or "
        "GPT-2's, static, convolution or bilstm. Use backend=onnxruntime, or backend=eager"
    )
    with pytest.raises(MillisError) as error:
        checked(model.spec)
    assert str(error.value) == (
        "backend=onnxruntime_genai cannot run a 'bart' encoder-decoder: its engine has none. Use backend=onnxruntime "
        "or backend=eager"
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("quantization", [None, Quantization()], ids=["fp32", "int8"])
def test_a_table_that_outweighs_the_blocks_is_stored_once_and_read_everywhere(kind, quantization, tmp_path):
    model = answering(kind, vocab_size=1200)
    Eager().write(model, tmp_path, None, quantization)
    found = read_module(tmp_path, SimpleNamespace(spec=model.spec), 1).eval()
    expected, logits = (after_each(one, *row()) for one in (model, found))
    assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > (0.999999 if quantization is None else 0.95)
    tables = [
        name for name, value in load_file(tmp_path / FILE_NAME).items() if len(value.shape) and len(value) == 1200
    ]
    assert len([name for name in tables if name.endswith("weight")]) == (1 if quantization is None else 2)


def test_a_table_that_lacks_under_all_of_its_names_is_refused(tmp_path):
    model = answering(vocab_size=1200)
    Eager().write(model, tmp_path, None, None)
    kept = {name: value for name, value in load_file(tmp_path / FILE_NAME).items() if len(value) != 1200}
    save_file(kept, tmp_path / FILE_NAME)
    with pytest.raises(MillisError, match=r"no tensor 'encoder.shared.weight'"):
        read_module(tmp_path, SimpleNamespace(spec=model.spec), 1)
