"""A tokenizer whose ids can be read off the text, and artifacts small enough to write in each test."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from millis.backends.artifact import write_artifact
from millis.models import build
from millis.storage.manifest import Manifest

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefgh"]  # "a" is 4, "b" is 5, ...


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
            "spec": {},
            "labels": ("no", "yes"),
            "inputs": ("input_ids", "attention_mask"),
            "max_length": 8,
        }
        return Manifest(**values | changes)

    return make


@pytest.fixture
def static():
    """A model of family `static` with wide-apart random weights, so that int8 cannot change its mind by chance."""
    torch.manual_seed(0)
    spec = {"family": "static", "vocab_size": len(WORDS), "size": 16, "dropout": 0.0, "num_labels": 2}
    model = build(spec)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


@pytest.fixture
def large():
    """As `static`, with a table whose integers are past what a graph keeps to itself."""
    torch.manual_seed(0)
    model = build({"family": "static", "vocab_size": len(WORDS), "size": 128, "dropout": 0.0, "num_labels": 2})
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
