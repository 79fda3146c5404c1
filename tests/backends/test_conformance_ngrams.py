"""What every runtime promises, kept by models of n-grams: tables of tens of thousands of rows, ids of any number."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from signatures import answering

from millis.backends.artifact import write_artifact
from millis.errors import MillisError
from millis.models.ngrams import NgramEncoding
from millis.models.tokenizer import longest
from millis.quantization.spec import Quantization
from millis.serving import runner as runners
from millis.serving.parity import parity
from millis.storage.archived import Archived
from millis.types import Archivable, Features

TEXTS = ["a b c", "d", "e f g h a b", "包裹在哪里", "a b zz", ("a b c", "d e f"), ("a b", "a b"), "a b d " * 40]
UNKNOWN = ["", "zzz", "  ", ("", ""), ("xx", "yy")]

load = partial(runners.load, trust_code=True)  # of artifacts that these tests write themselves


@pytest.fixture
def write(tmp_path, ngrams, manifest):
    """Writes the artifact for a runtime and returns its folder."""

    def make(backend, quantization=None, storage=None):
        tokenizer, model = ngrams(labels=3)
        described = manifest(spec=model.spec, task=answering("x", "y", "z"), max_length=longest(tokenizer, 8))
        folder = tmp_path / f"{backend.name}-{storage is not None}"
        write_artifact(folder, model, tokenizer, backend, described, quantization, storage=storage)
        return folder

    return make


@pytest.fixture
def expected(ngrams):
    """Eager's logits of texts, one at a time, [N, C]."""
    tokenizer, model = ngrams(labels=3)

    def answer(texts):
        with torch.inference_mode():
            rows = [tokenizer.encode_batch_fast([text])[0].ids for text in texts]
            rows = [row if len(row) else np.zeros(1, np.int64) for row in rows]  # masked, as a request is
            masks = [torch.from_numpy(row > 0).long() for row in rows]
            pairs = zip(rows, masks, strict=True)
            return np.concatenate([model(torch.from_numpy(row)[None], mask[None]).numpy() for row, mask in pairs])

    return answer


def test_texts_pairs_paddings_and_texts_without_a_known_n_gram(write, backend, expected, ngrams):
    runner = load(write(backend))
    texts = [*TEXTS, *UNKNOWN]
    logits = runner.logits(texts)
    assert logits == pytest.approx(expected(texts), abs=1e-4)
    fed = [runner.feed(runner.tokenize(text)) for text in texts]
    (nothing,) = runner.compute(runner.feed(NgramEncoding(np.zeros(0, np.int64), overflowing=False)))
    assert nothing == pytest.approx(ngrams(labels=3)[1].head.bias.detach().numpy()[None], abs=1e-4)
    length = max(one.ids.shape[1] for one in fed)
    ids, mask = (
        np.concatenate([np.pad(getattr(one, name), ((0, 0), (0, length - one.ids.shape[1]))) for one in fed])
        for name in ("ids", "mask")
    )
    assert runner.compute(Features(ids, mask, None))[0] == pytest.approx(logits, abs=1e-4)
    with ThreadPoolExecutor(8) as pool:
        tokenized = pool.map(lambda text: runner.feed(runner.tokenize(text)).ids.tolist(), texts * 20)
        assert list(tokenized) == [one.ids.tolist() for one in fed] * 20
    assert [runner.predict(text).index for text in texts] == logits.argmax(1).tolist()


def test_int8_tables_agree_or_are_refused_with_advice(write, backend, expected):
    try:
        runner = load(write(backend, Quantization()))
    except MillisError as error:
        assert f"backend={backend.name} got" in str(error) and "se backend=" in str(error)
        return
    found = parity(runner, TEXTS, runner.outputs(TEXTS), [(row[None],) for row in expected(TEXTS)])
    assert found["label_agreement"] == 1
    assert found["max_abs_logit_difference"] < 0.05 * np.abs(expected(TEXTS)).max()


@pytest.mark.parametrize("quantization", [None, Quantization()], ids=["fp32", "int8"])
def test_archives_answer_to_the_last_bit(write, backend, quantization):
    if not isinstance(backend, Archivable):
        pytest.skip(f"{backend.name}: reads no archives")
    plain = load(write(backend, quantization)).logits(TEXTS)
    assert np.array_equal(load(write(backend, quantization, Archived(1, ("zlib",), ()))).logits(TEXTS), plain)
