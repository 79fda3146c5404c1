"""For every test: one thread, no network, the same examples each time; and a model to work by hand."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from specs import static

os.environ["HF_HUB_OFFLINE"] = "1"

import forked
import labelled
import pytest
import torch
from hypothesis import settings
from torch import nn

torch.set_num_threads(1)
# TensorBoard's absl closes the stream that it was imported under whenever logging is set up anew: pytest's own.
with contextlib.suppress(ImportError):
    from absl import logging

    logging.get_absl_handler().python_handler.stream = sys.__stderr__
settings.register_profile("millis", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("millis")


SLOW = (
    "cli/", "experiments/", "notebooks/", "fuzz/", "hydra_plugins/", "test_readme.py", "test_site.py", "conf/",
    "training/test_processes.py", "training/test_quantization.py", "sweep/test_postgresql.py",
    "sweep/test_sweep_on_postgresql.py", "backends/test_conformance", "backends/test_cuda.py",
    "backends/onnx/test_parameters.py", "pruning/test_shrink.py",
)  # fmt: skip


# What a compiler is run for again and again; tests/backends/test_conformance.py compiles too, and stays.
COMPILED_AGAIN = (
    "backends/test_conformance_outputs.py", "backends/test_conformance_ngrams.py", "pruning/test_shrink.py",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Mark what `make quick` leaves out, and what `make test` leaves to `make whole`."""
    here = Path(__file__).parent
    for item in items:
        path = item.path.relative_to(here).as_posix()
        if path.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
        if path in COMPILED_AGAIN and "inductor" in item.name.lower():
            item.add_marker(pytest.mark.whole)


@pytest.fixture(autouse=True)
def forked_workers(request, monkeypatch):
    """Benchmark processes are forked (`forked`), but where they are what is tested."""
    if not request.path.is_relative_to(Path(__file__).parent / "benchmark"):
        named = SimpleNamespace(PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired, Popen=forked.Popen)
        monkeypatch.setattr("millis.benchmark.isolate.subprocess", named)


class BagOfTokens(nn.Module):
    """The mean of a text's token vectors, and a head: [B, S] → [B, C]."""

    def __init__(self, vocabulary, size, num_labels):
        super().__init__()
        self.spec = static(vocab_size=vocabulary, size=size, num_labels=num_labels)
        self.embedding = nn.Embedding(vocabulary, size)
        self.head = nn.Linear(size, num_labels)

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        mask = attention_mask.unsqueeze(-1)
        mean = (self.embedding(input_ids) * mask).sum(1) / mask.sum(1)
        return self.head(mean)


@pytest.fixture
def bag():
    """Makes a `BagOfTokens` whose weights follow from `seed`."""

    def make(vocabulary=12, size=8, num_labels=2, seed=0):
        torch.manual_seed(seed)
        return BagOfTokens(vocabulary, size, num_labels)

    return make


@pytest.fixture
def encoded():
    """Makes an `Encoded` split from ragged rows of token ids."""

    def make(rows, labels=None, token_types=None, classes=None):
        return labelled.encoded(rows, [0] * len(rows) if labels is None else labels, classes, token_types)

    return make
