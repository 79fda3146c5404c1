"""What a GPU is given, tested on the CPU: the same session, with a recording that computes again.

On a machine with a GPU `test_conformance.py` tests the rest.
"""

import numpy as np
import pytest
import torch
from signatures import PAIRS, TEXTS
from specs import transformer
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from millis.backends.cuda import Cuda, CudaSession, buckets
from millis.errors import MillisError
from millis.models import build, read
from millis.quantization.spec import Quantization
from millis.traits import DATA_SIZES, has
from millis.types import Features, Output, Signature

FAMILIES = {
    "static": {"family": "static", "vocab_size": 12, "size": 32, "dropout": 0.0, "num_labels": 3},
    "convolution": {
        "family": "convolution", "vocab_size": 12, "embedding_size": 8, "filters": 8, "widths": [1, 3], "dropout": 0.0,
        "num_labels": 3,
    },
    "bilstm": {
        "family": "bilstm", "vocab_size": 12, "embedding_size": 8, "hidden_size": 8, "dropout": 0.0,
        "num_labels": 3,
    },
    "transformer": {
        "family": "transformer", "pooling": "mean", "dropout": 0.0, "num_labels": 3, "affixes": [[], []],
        "encoder": {
            "model_type": "bert", "vocab_size": 12, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 32, "max_position_embeddings": 20, "type_vocab_size": 2, "pad_token_id": 0,
        },
    },
}  # fmt: skip
CPU = torch.device("cpu")


class Tape:
    """A recording on the CPU: the operators of one run, done again on the same memory; Python is not run again."""

    def __init__(self):
        self.runs = 0

    def __call__(self, compute):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)  # transformers asks
            taken = make_fx(compute, tracing_mode="real")()
        results = tuple(result.clone() for result in compute())

        def again():
            self.runs += 1
            for result, found in zip(results, taken(), strict=True):
                result.copy_(found)

        return again, results


def model(family, dtype=torch.float32):
    torch.manual_seed(0)
    return build(read(FAMILIES[family])).to(dtype).eval()


def request(*ids, types=None):
    row = np.array([ids], np.int64)
    return Features(row, np.ones_like(row), None if types is None else np.array([types], np.int64))


def expected(module, features):
    with torch.inference_mode():
        return module(*[torch.from_numpy(array) for array in features if array is not None]).float().numpy()


def test_lengths_are_multiples_of_eight_and_the_longest():
    assert buckets(20) == [8, 16, 20]
    assert buckets(16) == [8, 16]
    assert buckets(5) == [5]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_request_padded_to_its_bucket_answers_as_it_does_alone(family):
    module = model(family)
    session = CudaSession(module, CPU, buckets(20), TEXTS, Tape())
    for ids in ([2, 5, 3], [2], range(1, 9), range(1, 10), [*range(1, 12)] * 2, [4, 4]):  # from long to short again
        features = request(*[*ids][:20])
        assert session(features)[0] == pytest.approx(expected(module, features), abs=1e-5)


def test_token_types_are_read_and_forgotten():
    module = model("transformer")
    session = CudaSession(module, CPU, buckets(20), PAIRS, Tape())
    pair, single = request(2, 5, 3, 6, 3, types=[0, 0, 0, 1, 1]), request(2, 5, 3, types=[0, 0, 0])
    for features in (pair, single, pair):
        assert session(features)[0] == pytest.approx(expected(module, features), abs=1e-5)


def test_a_batch_and_what_is_too_long_run_unrecorded():
    module = model("transformer")
    tape = Tape()
    session = CudaSession(module, CPU, [8], TEXTS, tape)
    ids = np.array([[2, 5, 3], [2, 3, 0]], np.int64)
    batch = Features(ids, (ids > 0).astype(np.int64), None)
    for features in (batch, request(*range(1, 12))):
        assert session(features)[0] == pytest.approx(expected(module, features), abs=1e-5)
    assert tape.runs == 0
    session(request(2, 5, 3))
    assert tape.runs == 1


def test_a_later_answer_leaves_an_earlier_one_alone():
    session = CudaSession(model("static"), CPU, buckets(8), TEXTS, Tape())
    (first,) = session(request(2, 4, 3))
    kept = first.copy()
    session(request(2, 9, 3))
    assert first.tolist() == kept.tolist()


class Doubled(nn.Module):
    """A sum of the text's ids, and each token's id twice."""

    def forward(self, input_ids, attention_mask):
        return (input_ids * attention_mask).sum(1, keepdim=True), torch.stack([input_ids, 2 * input_ids], dim=-1)


def test_outputs_of_tokens_come_without_the_padding():
    signature = Signature(TEXTS.inputs, (Output("sum", "text", 1), Output("tokens", "token", 2)))
    session = CudaSession(Doubled(), CPU, buckets(8), signature, Tape())
    text, tokens = session(request(2, 4, 3))
    assert text.tolist() == [[9]]
    assert tokens.tolist() == [[[2, 4], [4, 8], [3, 6]]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_is_near_and_given_back_in_fp32(family, dtype):
    if family == "bilstm" and dtype == torch.bfloat16 and not torch.cpu.get_capabilities().get("avx512_bw"):
        pytest.skip("oneDNN has no LSTM in bf16 for this processor")
    session = CudaSession(model(family, dtype), CPU, buckets(20), TEXTS, Tape())
    features = request(2, 5, 6, 7, 3)
    (got,) = session(features)
    assert got.dtype == np.float32
    assert got == pytest.approx(expected(model(family), features), abs=0.02)


def test_what_it_cannot_do_is_refused_with_advice(tmp_path):
    with pytest.raises(MillisError, match=r"backend.precision='fp8' is not supported by cuda: expected one of fp32"):
        Cuda(precision="fp8")
    with pytest.raises(MillisError, match=r"backend=cuda got quantization .*, expected none"):
        Cuda().write(model("static"), tmp_path, TEXTS, Quantization())
    dropping = model("static")
    dropping.spec = transformer(tokens=[0])
    with pytest.raises(
        MillisError, match=r"backend=cuda records computations of fixed sizes.* Set backend.graphs=false"
    ):
        Cuda().write(dropping, tmp_path, TEXTS, None)
    assert [has(backend, DATA_SIZES) for backend in (Cuda(), Cuda(graphs=False))] == [False, True]
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_recorded_says_why_first():
    def record(compute):
        try:
            raise RuntimeError("operation not permitted when stream is capturing")
        finally:
            raise RuntimeError("capture was invalidated")

    message = r"requests of 8 tokens cannot be recorded .*: operation not permitted .* with backend.graphs=false"
    with pytest.raises(MillisError, match=message):
        CudaSession(model("static"), CPU, [8], TEXTS, record)
    (logits,) = CudaSession(model("static"), CPU, [], TEXTS, record)(request(2, 5))
    assert logits.shape == (1, 3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_written(tmp_path):
    with pytest.raises(MillisError, match=r"PyTorch finds no GPU: .* Use backend=onnxruntime"):
        Cuda().write(model("static"), tmp_path, TEXTS, None)
