import numpy as np
import pytest
from hypothesis import given, settings
from tensors import same_bits, tensors

from millis.errors import MillisError
from millis.storage import cheapest
from millis.storage.cheapest import Rule, restore, store

pytest.importorskip("zstandard", reason="the storage extra is not installed")
pytest.importorskip("lz4", reason="the storage extra is not installed")
SMALL = Rule(bandwidth_mb_per_s=1e-3)  # bytes are all that counts
FAST = Rule(bandwidth_mb_per_s=1e9)  # seconds are


def kept_bytes(stored):
    return sum(len(part.data) for part in stored.parts.values())


@settings(max_examples=60)
@given(tensor=tensors())
def test_what_is_stored_comes_back(tensor):
    assert same_bits(restore(store(tensor, SMALL), tensor.shape, tensor.dtype), tensor)


def weights(shape=(256, 256), seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def one_of_four():
    groups = weights().reshape(-1, 4)
    np.put_along_axis(groups, np.argsort(np.abs(groups), axis=1)[:, :3], 0, axis=1)
    return groups.reshape(256, 256)


def blocks():
    matrix = weights()
    matrix[:128] = 0
    matrix[:, :64] = 0
    return matrix


def sparse(share):
    return np.where(np.random.default_rng(1).random((256, 256)) < share, weights(), 0).astype(np.float32)


@pytest.mark.parametrize(
    ("tensor", "encoding", "share"),
    [
        (weights(), "dense", 1.01),
        (one_of_four(), "n_m", 0.266),  # a quarter of the values, 2 bits of 32 for each: 0.25 · (1 + 2 / 32)
        (blocks(), "block_sparse", 0.376),  # 128 x 192 of 256 x 256
        (sparse(0.02), "csr", 0.03),  # a value and a byte in fifty
        (sparse(0.4), "bitmask", 0.44),
        (np.sign(weights()), "codebook", 0.04),  # a bit of 32
        (np.rint(np.clip(weights() * 2, -7, 7)).astype(np.int8), "packed", 0.501),
        (np.array([-100, 0, 3, 90], np.int8)[np.abs(weights()).astype(int).clip(0, 3)], "codebook", 0.251),
        (np.rint(np.clip(weights() * 3, -7, 7)) * np.float32(0.013), "codebook", 0.13),  # one step for all rows
    ],
    ids=["dense", "1:4", "blocks", "2 %", "40 %", "signs", "int4", "4 integers", "one grid"],
)
def test_for_bytes_alone_the_fitting_encoding_wins(tensor, encoding, share):
    stored = store(tensor, Rule(SMALL.bandwidth_mb_per_s, codecs=()))
    assert (stored.encoding, kept_bytes(stored) < share * tensor.nbytes) == (encoding, True)
    assert kept_bytes(store(tensor, SMALL)) <= 1.02 * kept_bytes(stored)  # whichever it is then


def test_a_grid_of_many_rows_needs_no_codebook():
    steps = np.random.default_rng(2).lognormal(-4, 1, (256, 1)).astype(np.float32)
    table = np.rint(weights()).clip(-7, 7) * steps
    table[:, 0] = 7 * steps[:, 0]
    stored = store(table + np.float32(0), SMALL)
    assert stored.encoding == "grid"
    assert kept_bytes(stored) < table.nbytes / 8 + 256 * 4


def test_for_seconds_alone_nothing_is_compressed():
    stored = store(weights(), FAST)
    assert [(stored.encoding, part.codec) for part in stored.parts.values()] == [("dense", "raw")]


def test_a_sample_that_promises_too_much_is_not_believed():
    """The four sampled pieces are constant, all between is noise: compressed, the whole has nearly as many bytes."""
    flat = np.random.default_rng(3).integers(0, 2**32, 1 << 20, np.uint32)
    piece = cheapest.SAMPLE_BYTES // cheapest.SAMPLE_PIECES // 4
    for start in np.linspace(0, flat.size - piece, cheapest.SAMPLE_PIECES).astype(int):
        flat[start : start + piece] = 7
    assert len(set(cheapest._sample(flat).tolist())) == 1
    stored = store(flat, Rule(bandwidth_mb_per_s=100))
    assert [(part.filter.name, part.codec) for part in stored.parts.values()] == [("plain", "raw")]


def test_the_rule_is_what_it_says():
    assert Rule(bandwidth_mb_per_s=50).seconds(stored_bytes=5e6, decode_seconds=0.25) == pytest.approx(0.35)


def test_codecs_that_may_not_be_used_are_not():
    stored = store(np.zeros(10_000, np.float32) + np.float32(0.1), Rule(1e-3, ("zlib",)))
    assert {part.codec for part in stored.parts.values()} <= {"raw", "zlib"}
    assert Rule(codecs=[]).codecs == ("raw",)


def test_long_parts_are_sampled_from_end_to_end():
    flat = np.arange(1_000_000, dtype=np.uint16)
    sample = cheapest._sample(flat)
    assert sample.nbytes == cheapest.SAMPLE_BYTES
    assert (sample[0], sample[-1]) == (flat[0], flat[-1])


@pytest.mark.parametrize("bandwidth", [0, -1, float("nan")])
def test_a_bandwidth_that_is_none(bandwidth):
    with pytest.raises(MillisError, match=r"storage.bandwidth_mb_per_s=.*: expected a positive number, in MB a second"):
        Rule(bandwidth)


def test_a_codec_that_is_none():
    with pytest.raises(MillisError, match="codec 'brotli' is unknown"):
        Rule(codecs=("brotli",))
