from dataclasses import replace

import numpy as np
import pytest
import torch
from causal import writer
from sides import answering

from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.backends.onnxruntime import OnnxRuntime
from millis.described import described
from millis.errors import MillisError
from millis.generation.greedy import Greedy
from millis.models import byte_pairs
from millis.quantization.spec import Calibration, Quantization
from millis.serving.parity import parity
from millis.serving.runner import load
from millis.storage.manifest import Manifest, open_manifest
from millis.tasks.sequence_to_sequence import SequenceToSequence
from millis.types import Features

TEXTS = ["a", "b c", "", "a b c d e f g h", "h h h", "g a"]
INT8 = Quantization()


def expected(model, runner, texts=TEXTS):
    """The module's own outputs for `texts`, one at a time."""
    with torch.inference_mode():
        rows = [model.eval()(*map(torch.from_numpy, runner.feed(runner.tokenize(text))[:2])) for text in texts]
    return [(row.numpy(),) for row in rows]


@pytest.mark.parametrize("backend", [Eager(), OnnxRuntime()], ids=lambda backend: backend.name)
@pytest.mark.parametrize(
    "quantization", [None, INT8, Quantization(per_channel=False)], ids=["fp32", "int8", "per tensor"]
)
def test_an_artifact_answers_as_its_model(write, static, backend, quantization):
    runner = load(write(backend, quantization))
    agreement = parity(runner, TEXTS, runner.outputs(TEXTS), expected(static, runner))
    # fp32 is arithmetic in another order; int8 rounds to 1/255 of a range of about 6, over 16 products.
    assert agreement["max_abs_logit_difference"] < (1e-5 if quantization is None else 0.3)
    assert agreement["label_agreement"] == 1.0
    assert (runner.manifest.backend, runner.manifest.quantization is None) == (backend.name, quantization is None)


def test_the_model_is_left_as_it_was(write, static):
    static.train()
    before = {name: value.clone() for name, value in static.state_dict().items()}
    write(OnnxRuntime(), INT8)
    assert static.training
    assert all(torch.equal(before[name], value) for name, value in static.state_dict().items())


def test_a_model_in_half_precision_is_written_in_single(write, static):
    folder = write(Eager(), model=static.to(torch.bfloat16))
    assert load(folder).logits(["a"]).dtype == "float32"


def test_the_manifest_tells_what_was_asked_and_what_was_decided(write):
    folder = write(OnnxRuntime(), Quantization(keep=("head",), reduce_range=True))
    told = open_manifest(folder).quantization
    assert (told["weights"], told["activations"], told["keep"]) == (8, "dynamic", ["head"])
    assert told["notes"] == ["kept in fp32 by name: head", "weights have 7 bits, as asked (reduce_range)"]
    assert open_manifest(write(Eager(), Quantization())).quantization["notes"] == []


def test_calibration_texts_reach_the_backend(write, static):
    static_int8 = Quantization(activations="static", calibration=Calibration())
    with pytest.raises(MillisError, match="calibration got 0 batches and no text"):
        write(OnnxRuntime(), static_int8)
    texts = [Features(np.array([[2, 4, 5, 3]]), np.ones((1, 4), np.int64), None)]
    runner = load(write(OnnxRuntime(), static_int8, calibration=texts))
    agreement = parity(runner, ["a b"], runner.outputs(["a b"]), expected(static, runner, ["a b"]))
    assert agreement["max_abs_logit_difference"] < 0.3


def test_more_tokens_than_leave_one_of_a_text_are_refused_when_an_artifact_is_made(tmp_path):
    """Of 32 tokens two are special, and a text is to have one: 30 may be written, for the last of them is not read."""
    tokenizer = byte_pairs.train(["the cat sat on the mat"] * 3, 280, replies=True)
    model = answering(vocab_size=tokenizer.get_vocab_size())
    manifest = Manifest(
        name="a", backend="eager", spec=model.spec, task=SequenceToSequence().described(),
        inputs=("input_ids", "attention_mask"), max_length=32, generation=described(Greedy(max_tokens=31)),
    )  # fmt: skip
    with pytest.raises(MillisError) as error:
        write_artifact(tmp_path / "a", model, tokenizer, Eager(), manifest, None)
    assert str(error.value) == (
        "generation.max_tokens=31 leaves nothing of a text within the 32 tokens that the model reads (max_length): "
        "expected at most 30. Lower generation.max_tokens, or raise task.max_length as far as the model's positions go"
    )
    assert not [*tmp_path.iterdir()]
    write_artifact(tmp_path / "a", model, tokenizer, Eager(), replace(manifest, generation=described(Greedy(30))), None)
    runner = load(tmp_path / "a")
    long = "the cat sat on the mat " * 9
    assert len(runner._prompt(runner._framed(long))) == 3 and runner.predict(long).tokens
    task = {"name": "language_model"}  # a text that is continued may lose all but its end
    write_artifact(tmp_path / "b", writer(), tokenizer, Eager(), replace(
        manifest, spec=writer().spec, task=task, max_length=31), None)  # fmt: skip


def test_a_failure_leaves_nothing_and_keeps_what_was_there(write, static, tmp_path, tokenizer, manifest):
    folder = write(Eager())
    before = open_manifest(folder)

    class Broken:
        name = "eager"

        def write(self, model, folder, inputs, quantization, calibration=()):
            (folder / "half").write_text("")
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        write_artifact(folder, static, tokenizer(), Broken(), manifest(), None)
    assert open_manifest(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]
