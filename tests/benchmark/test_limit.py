from dataclasses import replace

import pytest
from signatures import answering
from specs import static

from millis.benchmark.limit import bytes_read, limit_of, precision_of
from millis.benchmark.rates import Rates
from millis.models.work import Work
from millis.storage.manifest import Manifest

SPEC = static(vocab_size=50, size=8, num_labels=3)
FP32 = Manifest("tiny", "onnxruntime", SPEC, answering("a", "b", "c"), ("input_ids",), 16)
INT8 = replace(FP32, quantization={"weights": 8, "activations": "dynamic"})
STAGES = {"tokenize": 0.020, "feed": 0.002, "compute": 0.012, "decode": 0.001}
RATES = Rates(threads=1, fp32=48e6, bf16=96e6, int8=480e6, bandwidth=1e6, cache_bytes=100)


def test_the_floor_by_hand():
    # 5 tokens: 48 operations at 48 million a second are 0.001 ms; (24 + 5·9)·4 = 276 bytes at a million a second 0.276.
    limit = limit_of(FP32, 5, STAGES, RATES)
    assert (limit.operations, limit.bytes_read, limit.precision) == (48, 276, "fp32")
    assert limit.arithmetic_ms == pytest.approx(0.001)
    assert limit.memory_ms == limit.floor_ms == pytest.approx(0.276)
    assert limit.over_floor == pytest.approx(0.012 / 0.276)
    assert (limit.tokenize_us, limit.python_us) == (pytest.approx(20), pytest.approx(3))


def test_what_fits_the_cache_need_not_come_from_memory():
    limit = limit_of(FP32, 5, STAGES, replace(RATES, cache_bytes=276))
    assert (limit.memory_ms, limit.bytes_read) == (0, 276)
    assert limit.over_floor == pytest.approx(12)


def test_integers_have_their_own_rate_and_bytes():
    limit = limit_of(INT8, 5, STAGES, RATES)
    assert (limit.precision, limit.bytes_read) == ("int8", 24 + 45)
    assert limit.arithmetic_ms == pytest.approx(0.0001)
    assert limit_of(INT8, 5, STAGES, replace(RATES, int8=0.0)).arithmetic_ms == pytest.approx(0.001)  # no kernel


@pytest.mark.parametrize(
    ("manifest", "precision", "expected"),
    [
        (FP32, "fp32", 4 * 110),
        (replace(FP32, options={"precision": "bf16"}), "bf16", 2 * 110),
        (INT8, "int8", 110),
        (replace(INT8, backend="eager"), "int8", 100 + 4 * 10),
        (replace(FP32, quantization={"weights": 4, "activations": "none"}), "int8", 50 + 10),
    ],
)
def test_bytes_as_they_are_stored(manifest, precision, expected):
    assert precision_of(manifest) == precision
    assert bytes_read(manifest, Work(operations=1, weights=100, rows=10)) == expected
