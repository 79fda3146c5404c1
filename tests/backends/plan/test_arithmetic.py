"""Native's integers are those that training imitated, on every instruction set."""

import numpy as np
import pytest
import torch
from shaped import ENCODERS, RANKS, SMALL, batch, eager, signature_of, spread, transformer

from millis.backends.native import FILE_NAME, Native
from millis.backends.plan import file
from millis.backends.plan.session import PlanSession
from millis.models import build, read
from millis.models.outputs import each
from millis.quantization.phase import set_phase
from millis.quantization.qat import Aware
from millis.quantization.rounding import convert, prepare
from millis.quantization.spec import Quantization


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("kind", [*ENCODERS, "low rank", "static", "bilstm", "convolution"])
@pytest.mark.parametrize("ranges", ["moving_average", "lsq", "percentile"])
def test_what_training_imitated_is_what_is_computed(kind, ranges, tmp_path):
    asked = Quantization(reduce_range=False, aware=Aware(ranges=ranges, percentile=97.0))
    assert_imitated(kind, asked, tmp_path)


@pytest.mark.parametrize(
    "asked",
    [
        Quantization(reduce_range=True, aware=Aware()),
        Quantization(reduce_range=False, per_channel=False, aware=Aware()),
        Quantization(reduce_range=False, keep=("head", "encoder.encoder.layer.0.*"), aware=Aware()),
        Quantization(reduce_range=False, keep=("encoder.embeddings.*",), aware=Aware(embeddings=False)),
        Quantization(weights=4, activations="none", block_size=16, aware=Aware()),
        Quantization(weights=4, activations="none", block_size=32, aware=Aware(ranges="lsq")),
        Quantization(
            weights=4, activations="none", block_size=16, int8=("head", "*.attention.self.query"), aware=Aware()
        ),
    ],
    ids=["7 bits", "one scale", "kept layers", "kept tables", "4 bits", "4 bits learned", "8 among 4"],
)
def test_whatever_is_asked_for(asked, tmp_path):
    assert_imitated("bert", asked, tmp_path)


def assert_imitated(kind, asked, tmp_path):
    if kind in SMALL:
        model = spread(build(read(SMALL[kind])))
    else:
        model = transformer("bert", ranks=RANKS) if kind == "low rank" else transformer(kind)
    prepare(model, asked, Native().arithmetic(asked))
    set_phase(model, enabled=True, frozen=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    for seed in range(3):
        features = batch(seed, 4, 7)
        each(model(torch.from_numpy(features.ids), torch.from_numpy(features.mask)))[0].square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    texts = [batch(seed, 1, 9) for seed in range(12)]
    imitated = [eager(model, text) for text in texts]
    Native().write(convert(model), tmp_path, signature_of(model), asked)
    native = PlanSession(file.read(tmp_path / FILE_NAME))
    apart = [np.abs(ours - theirs).max() for text, found in zip(texts, imitated, strict=True)
             for ours, theirs in zip(native(text), found, strict=True)]  # fmt: skip
    size = max(np.abs(found[0]).max() for found in imitated)
    # Another order of a sum may turn a rounding; of an LSTM the state is rounded too, which training leaves.
    assert np.median(apart) < (0.02 if kind == "bilstm" else 2e-3) * size
