"""Cascades whose members read texts differently: each answer is the responsible member's own, of the text itself."""

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns

import numpy as np
import pytest

from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.backends.onnxruntime import OnnxRuntime
from millis.backends.openvino import OpenVino
from millis.benchmark.quality import answer
from millis.early_exit.policy import maximum_probability
from millis.errors import MillisError
from millis.models.tokenizer import longest
from millis.quantization.spec import Quantization
from millis.serving import cascade as cascades
from millis.serving.reader import Reader, Texts
from millis.serving.runner import load
from millis.storage.archived import Archived
from millis.storage.manifest import open_manifest, seal

TEXTS = ["a b c", "d", "", "e f g h a b", "b d", "包裹", "h", "zz", "c c", "a b c d e f g h"]
PAIRS = [("a b c", "d e f"), ("a", "a"), ("zz", ""), ("e f", "a b d")]
PAIR_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
THRESHOLD = 0.8


@pytest.fixture
def fast(tmp_path, ngrams, manifest):
    """Writes a model of n-grams and returns its folder and manifest."""

    def make(backend=None, quantization=None, storage=None, **changes):
        tokenizer, model = ngrams()
        described = manifest(name="fast", spec=model.spec, max_length=longest(tokenizer, 8), **changes)
        folder = tmp_path / "fast"
        write_artifact(folder, model, tokenizer, backend or OnnxRuntime(), described, quantization, storage=storage)
        return folder, open_manifest(folder)

    return make


@pytest.fixture
def accurate(tmp_path, tokenizer, manifest, static):
    """Writes a model of words and returns its folder and manifest."""

    def make(backend=None, storage=None, special=True, name="accurate", **changes):
        folder, described = tmp_path / name, manifest(name=name, spec=static.spec, **changes)
        write_artifact(folder, static, tokenizer(special), backend or OnnxRuntime(), described, None, storage=storage)
        return folder, open_manifest(folder)

    return make


@pytest.fixture
def cascade(tmp_path):
    def make(fast, accurate, threshold=THRESHOLD):
        cascades.write(tmp_path / "both", {"fast": fast, "accurate": accurate}, "fast + accurate", threshold)
        return tmp_path / "both"

    return make


def answers_are_the_members(folder, fast, accurate, texts):
    """Logits of the cascade against the members' own; returns who answered."""
    small, large = (load(member[0]).logits(texts) for member in (fast, accurate))
    sure = maximum_probability.score([small]) >= THRESHOLD
    assert 0 < sure.sum() < len(texts), "texts of both kinds"
    assert np.array_equal(load(folder).logits(texts), np.where(sure[:, None], small, large))
    return sure


@pytest.mark.parametrize("backend", [Eager(), OnnxRuntime(), OpenVino()], ids=lambda backend: backend.name)
@pytest.mark.parametrize("inputs", [PAIR_INPUTS, PAIR_INPUTS[:2]], ids=["pairs", "texts"])
def test_n_grams_before_words(cascade, fast, accurate, backend, inputs):
    members = fast(backend, inputs=inputs), accurate(backend, inputs=inputs)
    texts = PAIRS if inputs == PAIR_INPUTS else TEXTS
    answers_are_the_members(cascade(*members), *members, texts)


def test_words_before_n_grams(cascade, fast, accurate):
    members = accurate(), fast()
    answers_are_the_members(cascade(*members), *members, TEXTS)


def test_quantized_and_archived(cascade, fast, accurate):
    archived = Archived(1, ("zlib",), ())
    members = fast(quantization=Quantization(), storage=archived), accurate(storage=archived)
    answers_are_the_members(cascade(*members), *members, TEXTS)


@pytest.mark.parametrize(
    "changes", [{"max_length": 4}, {"special": False}, {"inputs": PAIR_INPUTS}], ids=["max_length", "special", "inputs"]
)
def test_words_that_differ_in_anything(cascade, accurate, changes):
    """One model, with probabilities of its own at each text: asked twice, it is asked with each member's features."""
    first, second = accurate(name="first"), accurate(name="second", **changes)
    folder = cascade(first, second, 2.0)
    assert "accurate/tokenizer.json" in open_manifest(folder).files
    assert np.array_equal(load(folder).logits(TEXTS), load(second[0]).logits(TEXTS))
    assert np.array_equal(load(cascade(first, second, 0.0)).logits(TEXTS), load(first[0]).logits(TEXTS))


def test_a_batch_goes_the_ways_of_its_rows(cascade, fast, accurate):
    members = fast(), accurate()
    folder = cascade(*members)
    texts = ["zz", "qq", *TEXTS, "zz"]
    sure = answers_are_the_members(folder, *members, texts)
    found = answer(load(folder), texts)  # texts of one length share a pass
    logits = np.concatenate([one for (one,) in found.outputs])
    assert logits == pytest.approx(load(folder).logits(texts), abs=1e-5)
    assert found.steps.tolist() == np.where(sure, 1, 2).tolist()


def test_threads_share_a_runner(cascade, fast, accurate):
    runner = load(cascade(fast(), accurate()))
    expected = [runner.predict(text) for text in TEXTS]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(runner.predict, TEXTS * 20)) == expected * 20


def test_the_accurate_member_reads_where_it_is_asked_alone(cascade, fast, accurate, monkeypatch):
    runner, read = load(cascade(fast(), accurate())), []
    own = runner._session._reader
    monkeypatch.setattr(own, "tokenize", lambda text: read.append(text) or Reader.tokenize(own, text))
    steps = [runner.answer(runner.feed(runner.tokenize(text))).steps[0] for text in TEXTS]
    assert read == [text for text, step in zip(TEXTS, steps, strict=True) if step == 2]


def test_a_deadline_is_kept_by_the_accurate_members_own_lengths(cascade, fast, accurate):
    runner = load(cascade(fast(), accurate(), 2.0))
    assert runner.predict("a b", deadline_ms=60_000).step == 2
    session = runner._session
    accurate_steps = session.steps[1]
    assert accurate_steps._lengths.tolist() == [1, 2, 4, 8]
    accurate_steps._step_ns = np.array([[0.0], [0.0], [0.0], [60e9]])  # 8 tokens take a minute, 4 nothing
    until = perf_counter_ns() + 5_000_000_000
    for text, step in (("a b", 2), ("a b c d e f", 1)):  # [CLS] and [SEP] included, 4 and 8
        features = runner.feed(runner.tokenize(text))
        assert isinstance(features, Texts)
        assert runner.answer(features, until).steps.tolist() == [step]


def test_a_cascade_that_reads_apart_says_what_is_no_text(cascade, fast, accurate):
    with pytest.raises(MillisError, match="a request got a int, expected a string or a pair"):
        load(cascade(fast(), accurate())).predict(3)


def test_a_damaged_tokenizer_of_the_accurate_member(cascade, fast, accurate):
    folder = cascade(fast(), accurate())
    (folder / "accurate" / "tokenizer.json").write_text("[]")
    with pytest.raises(MillisError, match=r"accurate/tokenizer.json does not match its checksum"):
        load(folder)
    seal(folder, open_manifest(folder, verify=False))
    with pytest.raises(MillisError, match=r"accurate/tokenizer.json cannot be read: .* Make the artifact again"):
        load(folder)
