"""Artifacts of backend=native that write: against eager's, of every architecture that looks back; archived, timed."""

import numpy as np
import pytest
from causal import CAUSAL, TEXTS, TOKENIZER, speaker, written
from shaped import signature_of, transformer

from millis.backends import native
from millis.backends.artifact import write_artifact
from millis.backends.native import FILE_NAME, Native
from millis.backends.plan import file, library
from millis.backends.plan.continuation import PlanDecoder
from millis.backends.plan.steps import Causal
from millis.described import described
from millis.errors import MillisError
from millis.generation.greedy import Greedy
from millis.quantization.spec import Calibration, Fallback, Quantization
from millis.serving.runner import load
from millis.storage.archived import Archived
from millis.storage.manifest import Manifest, open_manifest
from millis.types import Features

if library.missing():
    pytest.skip(str(library.missing()), allow_module_level=True)

GREEDY = described(Greedy(max_tokens=30))
INTEGERS = {
    "int8": Quantization(reduce_range=False),
    "int4": Quantization(weights=4, activations="none", block_size=16),
    "one scale": Quantization(per_channel=False, reduce_range=False),
    "kept": Quantization(keep=("head", "encoder.layers.0.*"), reduce_range=False),
    "fallback": Quantization(calibration=Calibration(texts=2), fallback=Fallback(layers=1), reduce_range=False),
}


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("tied", [True, False])
def test_what_is_written_is_what_eager_writes(kind, tied, tmp_path):
    model = speaker(kind=kind, tied=tied)
    eager = load(written(tmp_path / "eager", model, generation=GREEDY))
    ours = load(written(tmp_path / "native", model, backend=Native(), generation=GREEDY))
    for text in TEXTS[:4]:
        assert ours.predict(text) == eager.predict(text)
        assert "".join(ours.stream(text)) == eager.predict(text).text


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_say_nearly_the_same(kind, tmp_path):
    model = speaker()
    quantization = INTEGERS[kind]
    calibration = [Features(np.array([[3, 4, 5]]), np.ones((1, 3), np.int64), None)] * 2
    Native().write(model, tmp_path, signature_of(model), quantization, calibration)
    ids = np.random.default_rng(0).integers(3, TOKENIZER.get_vocab_size(), 40)
    manifest = Manifest("writer", "native", model.spec, {"name": "language_model"}, ("input_ids", "attention_mask"), 64)
    found = native.load(tmp_path, manifest, 1)
    assert isinstance(found, PlanDecoder)
    said = found.begin(40).read(ids, every=True)
    Native().write(model, tmp_path, signature_of(model), None)
    expected = native.load(tmp_path, manifest, 1).begin(40).read(ids, every=True)
    cosines = (said * expected).sum(axis=1) / np.linalg.norm(said, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.mean() > (0.9 if kind == "int4" else 0.99)
    assert not np.array_equal(said, expected)


@pytest.mark.parametrize("quantization", [None, INTEGERS["int8"], INTEGERS["int4"]], ids=["fp32", "int8", "int4"])
def test_archives_say_the_same(quantization, tmp_path):
    model = speaker()
    plain = load(written(tmp_path / "plain", model, backend=Native(), quantization=quantization, generation=GREEDY))
    manifest = open_manifest(tmp_path / "plain")
    rule = Archived(1.0, ("zstd", "zlib"), ())
    write_artifact(tmp_path / "archived", model, TOKENIZER, Native(), manifest, quantization, storage=rule)
    assert load(tmp_path / "archived").predict(TEXTS[0]) == plain.predict(TEXTS[0])


def test_steps_tell_their_times(tmp_path):
    folder = written(tmp_path / "a", speaker(), backend=Native())
    requests = [Features(np.array([[1, 5, 6]]), np.ones((1, 3), np.int64), None)]
    kinds = {operator.kind for operator in native.operators(folder, open_manifest(folder), 1, requests)}
    assert {"Embed", "PreNorm", "MatMul", "Causal", "Gate", "Give"} <= kinds


def test_a_cache_in_8_bits_is_kept_and_told(tmp_path):
    model = speaker()
    folder = written(tmp_path / "native", model, backend=Native(cache="int8"), generation=GREEDY)
    assert open_manifest(folder).options["cache"] == "int8"
    assert {step.cache for step in file.read(folder / FILE_NAME).plan.steps if isinstance(step, Causal)} == {"int8"}
    runner = load(folder)
    for text in TEXTS[:3]:
        assert "".join(runner.stream(text)) == runner.predict(text).text


def test_a_cache_of_what_writes_alone(tmp_path):
    model = transformer("bert")
    with pytest.raises(
        MillisError,
        match=r"^backend.cache=int8 is of the keys and values that a model keeps while it writes, got a task whose "
        r"models answer at once. Choose backend.cache=fp32$",
    ):
        Native(cache="int8").write(model, tmp_path, signature_of(model), None)
    with pytest.raises(
        MillisError, match=r"backend.cache='int4' is not supported by native: expected one of fp32, int8"
    ):
        Native(cache="int4")
