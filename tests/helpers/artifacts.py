"""A tokenizer whose ids can be read off the text, and artifacts small enough to write in each test."""

import contextlib
from itertools import pairwise

import pytest
import torch
from signatures import LOGITS, answering
from specs import static as static_spec
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from millis import backends
from millis.backends.artifact import write_artifact
from millis.errors import MillisError
from millis.models import build, read
from millis.models.ngrams import NgramTokenizer
from millis.storage.manifest import Manifest

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefgh"]  # "a" is 4, "b" is 5, ...


@pytest.fixture(params=backends.names())
def backend(request):
    """Every runtime that can run here and answers texts, with its options by default."""
    name, module = request.param, backends.module(request.param)
    (found,) = [value for value in vars(module).values() if isinstance(value, type) and vars(value).get("name") == name]
    made = found()
    if lacking := made.missing():
        pytest.skip(f"{name}: {lacking}")
    with contextlib.suppress(MillisError):
        getattr(made, "check_outputs", list)(LOGITS)
        return made
    pytest.skip(f"{name}: runs nothing but what writes")


@pytest.fixture
def tokenizer():
    """Makes a word-level tokenizer; `special` puts [CLS] (2) and [SEP] (3) around texts and pairs."""

    def make(special=True):
        tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        if special:
            tokenizer.post_processor = processors.TemplateProcessing(
                single="[CLS] $A [SEP]",
                pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
            )
        return tokenizer

    return make


@pytest.fixture
def manifest():
    """Makes a manifest of two labels with `changes`."""

    def make(**changes):
        values = {
            "name": "tiny",
            "backend": "",
            "spec": static_spec(),
            "task": answering("no", "yes"),
            "inputs": ("input_ids", "attention_mask"),
            "max_length": 8,
        }
        return Manifest(**values | changes)

    return make


@pytest.fixture
def static():
    """A model of family `static` with wide-apart random weights, so that int8 cannot change its mind by chance."""
    torch.manual_seed(0)
    model = build(static_spec())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


@pytest.fixture
def ngrams():
    """Makes an n-gram tokenizer, learned from texts and pairs, and a model for it with wide-apart random weights."""

    def make(labels=2, seed=0):
        texts = ["a b c", "d e f", "a b d", "e f g h", "包裹在哪里"]
        tokenizer = NgramTokenizer.learn([*texts, *pairwise(texts), *zip(texts, texts, strict=True)], bits=14, least=1)
        student = {"family": "static", "size": labels, "norm": "l2", "dropout": 0.0, "num_labels": labels}
        torch.manual_seed(seed)
        model = build(read({**student, "vocab_size": tokenizer.get_vocab_size()}))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_()
        return tokenizer, model.eval()

    return make


@pytest.fixture
def large():
    """As `static`, with a table whose integers are past what a graph keeps to itself."""
    torch.manual_seed(0)
    model = build(static_spec(size=128))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


@pytest.fixture
def write(tmp_path, tokenizer, manifest, static):
    """Writes an artifact and returns its folder."""

    def make(backend, quantization=None, model=None, calibration=(), storage=None, **changes):
        model = static if model is None else model
        changes = {"spec": model.spec} | changes
        described, folder = manifest(**changes), tmp_path / "artifact"
        write_artifact(folder, model, tokenizer(), backend, described, quantization, calibration, storage)
        return tmp_path / "artifact"

    return make
