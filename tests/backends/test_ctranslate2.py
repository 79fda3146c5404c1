"""CTranslate2: what it writes is what the module does, by one beam and by several; what it is known to trip over."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from causal import writer
from sides import KINDS, VOCABULARY, after_each, answering, row, spec_of

from millis.backends.artifact import write_artifact
from millis.backends.ctranslate2 import Ctranslate2
from millis.backends.eager import session_of
from millis.backends.onnxruntime import OnnxRuntime
from millis.described import described
from millis.errors import MillisError
from millis.generation.beam import Beam
from millis.generation.greedy import Greedy
from millis.generation.sampling import Sampling
from millis.generation.writing import Vocabulary
from millis.models import build, byte_pairs
from millis.models.encoder_decoder_student import EncoderDecoderStudent
from millis.quantization.processor import saturates
from millis.quantization.spec import Quantization
from millis.serving.runner import load
from millis.storage.manifest import Manifest
from millis.tasks.sequence_to_sequence import SequenceToSequence
from millis.traits import check
from millis.types import Signature

pytest.importorskip("ctranslate2")
from ctranslate2.specs import common_spec
from ctranslate2.specs.model_spec import NumpyVariable, visit_spec

from millis.backends.ct2.session import open_decoder
from millis.backends.ct2.writing import _halved

END = Vocabulary((2,), lambda ids: " ".join(map(str, ids)))


def opened(model, folder, quantization=None):
    signature = Signature(("input_ids", "attention_mask"), model.spec.outputs)
    Ctranslate2().write(model, folder, signature, quantization)
    return open_decoder(folder, model.spec, "float32" if quantization is None else "int8", threads=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", [Greedy(8), Beam(8, width=3), Greedy(6, min_tokens=6)], ids=["greedy", "beam", "long"])
def test_texts_are_eagers(kind, way, tmp_path):
    model = answering(kind, seed=1, biased=kind == "marian")
    decoder = opened(model, tmp_path)
    for seed in range(3):
        prompt = row(seed, source=3 + 4 * seed, written=0)[0][0].numpy()
        ours, theirs = (way.begin(one, prompt, END).finish() for one in (decoder, session_of(model)))
        assert ours.tokens.tolist() == theirs.tokens.tolist() and ours.ended == theirs.ended


@pytest.mark.parametrize("heads", [(4, 2), (2, 6)])
def test_sides_whose_heads_have_different_sizes(heads, tmp_path):
    """BART's config has a number of heads for each side: 24 numbers in heads of 6 and of 12, or of 12 and of 4."""
    read, written = heads
    model = answering("bart", encoder_attention_heads=read, decoder_attention_heads=written)
    assert (model.spec.encoder.head_size, model.spec.decoder.head_size) == (24 // read, 24 // written)
    ids, mask, types = row()
    expected, tokens = after_each(model, ids, mask, types), ids[0].numpy()
    decoder = opened(model, tmp_path)
    np.testing.assert_allclose(decoder.begin(len(tokens)).read(tokens, every=True), expected, atol=1e-4)
    ours, theirs = (Greedy(8).begin(one, tokens[:8], END).finish() for one in (decoder, session_of(model)))
    assert ours.tokens.tolist() == theirs.tokens.tolist()


def test_a_student_with_fewer_heads_and_neurons(tmp_path):
    teacher = answering()
    cut = EncoderDecoderStudent(2, 1, heads=3, ffn_size=17)
    model = build(cut.spec(teacher.spec)).eval()
    cut.initialise(model, teacher)
    prompt = row(2, written=0)[0][0].numpy()
    ours, theirs = (Greedy(8).begin(one, prompt, END).finish() for one in (opened(model, tmp_path), session_of(model)))
    assert ours.tokens.tolist() == theirs.tokens.tolist()


def test_logits_of_texts_that_are_given(tmp_path):
    model, (ids, mask, types) = answering("bart"), row()
    decoder, expected, tokens = opened(model, tmp_path), after_each(answering("bart"), ids, mask, types), ids[0].numpy()
    text = decoder.begin(len(tokens))
    np.testing.assert_allclose(text.read(tokens[:9], every=True), expected[:9], atol=1e-4)
    np.testing.assert_allclose(text.read(tokens[9:10]), expected[9:10], atol=1e-4)
    text.rewind(8)
    np.testing.assert_allclose(text.read(tokens[8:], every=True), expected[8:], atol=1e-4)
    with pytest.raises(MillisError, match="a continuation with room for 13 tokens has read 13 and got 1 more"):
        text.read(tokens[:1])
    with pytest.raises(MillisError, match=rf"token id {VOCABULARY} is outside"):
        next(decoder.search(np.array([1, VOCABULARY, 3]), Greedy(3).search(Greedy(3)._limits(tokens, None))))


def test_integers_are_near_and_smaller(tmp_path):
    """Of 7 bits where 8 would saturate, which loses more than half a bit does."""
    model = answering("bart", d_model=48, encoder_ffn_dim=96, decoder_ffn_dim=96)
    narrow = replace(Quantization(), reduce_range=True)
    found, sizes = {}, {}
    for name, quantization in (("fp32", None), ("int8", Quantization()), ("narrow", narrow)):
        (tmp_path / name).mkdir()
        tokens = row()[0][0].numpy()
        found[name] = opened(model, tmp_path / name, quantization).begin(20).read(tokens, every=True)[7:].ravel()
        sizes[name] = (tmp_path / name / "model.bin").stat().st_size
    assert np.corrcoef(found["fp32"], found["int8"])[0, 1] > (0.97 if saturates() else 0.99)
    assert np.corrcoef(found["fp32"], found["narrow"])[0, 1] > 0.97
    assert np.array_equal(found["int8"], found["narrow"]) is saturates()
    assert sizes["int8"] == sizes["narrow"] < 0.5 * sizes["fp32"]


def test_writing_leaves_the_model_as_it_was(tmp_path):
    """CTranslate2 rounds the arrays that it is given in place."""
    model = answering()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    opened(model, tmp_path, Quantization())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_integers_of_7_bits_are_half_as_large_and_stand_for_the_same():
    linear = common_spec.LinearSpec()
    linear.weight = NumpyVariable(np.array([[127, -127, 3], [1, 0, -2]], np.int8))
    linear.weight_scale = NumpyVariable(np.array([127.0, 4.0], np.float32))  # weights are integers over it
    linear.bias = NumpyVariable(np.array([5.0, 6.0], np.float32))
    visit_spec(linear, _halved)
    assert linear.weight.numpy().tolist() == [[64, -64, 2], [0, 0, -1]]
    assert linear.weight_scale.numpy().tolist() == [63.5, 2.0] and linear.bias.numpy().tolist() == [5.0, 6.0]


def test_the_row_that_starts_a_text_may_be_any_and_need_not_be_zero_or_last(tmp_path):
    """CTranslate2's own converter drops the last row of Marian's table and begins with zeros."""
    model = answering("marian", pad_token_id=3, seed=4)
    assert model.spec.starts == (3,)
    with torch.no_grad():
        model.encoder.get_input_embeddings().weight[3] = 5.0
    prompt = row(1, written=0)[0][0].numpy()
    ours, theirs = (Greedy(6).begin(one, prompt, END).finish() for one in (opened(model, tmp_path), session_of(model)))
    assert ours.tokens.tolist() == theirs.tokens.tolist()


def test_a_tokenizer_without_an_unknown_token_and_several_first_tokens(tmp_path):
    """Tokens are called by their ids; BART begins with two tokens."""
    model = build(replace(spec_of("bart"), starts=(3, 1), affixes=((1,), (2, 3, 1)))).eval()
    prompt = np.array([1, 9, 8, 2, 3, 1])
    ours, theirs = (Greedy(6).begin(one, prompt, END).finish() for one in (opened(model, tmp_path), session_of(model)))
    assert ours.tokens.tolist() == theirs.tokens.tolist()


def test_an_artifact_is_served_and_streams(tmp_path):
    tokenizer = byte_pairs.train(["the cat sat on the mat", "a dog"] * 3, 280, replies=True)
    model = answering(vocab_size=tokenizer.get_vocab_size())
    manifest = Manifest(
        name="a", backend="ctranslate2", spec=model.spec, task=SequenceToSequence().described(),
        inputs=("input_ids", "attention_mask"), max_length=64, recipe={}, fingerprint="f",
        generation=described(Greedy(max_tokens=9)),
    )  # fmt: skip
    write_artifact(tmp_path / "artifact", model, tokenizer, Ctranslate2(), manifest, None)
    runner = load(tmp_path / "artifact")
    reply = runner.predict("the dog")
    assert reply.text == "".join(runner.stream("the dog")) and len(reply.tokens) == 9
    write_artifact(tmp_path / "onnx", model, tokenizer, OnnxRuntime(), manifest, None)
    assert load(tmp_path / "onnx").predict("the dog").tokens == reply.tokens
    (tmp_path / "artifact" / "model.bin").write_bytes(b"nothing")
    with pytest.raises(MillisError):
        load(tmp_path / "artifact")


@pytest.mark.parametrize("way", [Sampling(), Greedy(regex="a"), Greedy(choices=("a",))])
def test_what_chooses_by_logits_is_refused_before_anything_is_trained(way, tmp_path):
    with pytest.raises(MillisError) as error:
        check({"backend": Ctranslate2(), "generation": way})
    assert str(error.value) == (
        f"generation={type(way).__name__.lower()} chooses tokens by their logits, and backend=ctranslate2 chooses by "
        "itself: expected generation=greedy without a draft or a form, or generation=beam. Or choose "
        "backend=onnxruntime"
    )
    with pytest.raises(MillisError, match="chooses tokens by their logits"):
        way.search(None)
    check({"backend": Ctranslate2(), "generation": Beam()})


@pytest.mark.parametrize(
    ("model", "quantization", "message"),
    [
        (writer, None, "runs encoder-decoders, and the model is a 'llama' decoder: expected one such as model"),
        (answering, Quantization(per_channel=False), "a quantization with per_channel=False; expected quantization"),
        (
            lambda: build(replace(spec_of("bart"), cross=(4, 3))), None,
            r"cannot run layers of \[3, 4\] heads: expected one number for all of a side",
        ),
        (
            lambda: build(spec_of("bart", activation_function="mish")), None,
            "cannot run the activation 'mish': expected one of relu, gelu_new, swish, silu, gelu, tanh",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(model, quantization, message, tmp_path):
    with pytest.raises(MillisError, match=message):
        opened(model().eval(), tmp_path, quantization)


def test_other_outputs_are_refused():
    with pytest.raises(MillisError, match="backend=ctranslate2 runs encoder-decoders, which write a text in answer to"):
        Ctranslate2.check_outputs(writer().spec.outputs)
