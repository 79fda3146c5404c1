"""Every encoding gives back the very bits, whatever it is given; and each by a tensor that can be checked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensors import same_bits, tensors

from millis.errors import MillisError
from millis.storage import encodings

NAMES = encodings.names()


def parts(name, array):
    return encodings.module(name).encode(np.asarray(array))


def listed(name, array):
    """What an encoding keeps, as lists."""
    return {key: values.tolist() for key, values in parts(name, array).arrays.items()}


@pytest.mark.parametrize("name", NAMES)
@given(tensor=tensors())
def test_round_trip(name, tensor):
    module = encodings.module(name)
    found = module.encode(tensor) if tensor.size else None
    if found is not None:
        assert all(values.ndim == 1 for values in found.arrays.values())
        assert same_bits(module.decode(found, tensor.shape, tensor.dtype), tensor)


@given(seed=st.integers(0, 2**32 - 1), kept=st.integers(1, 2), rows=st.integers(1, 9), along=st.sampled_from([0, 1]))
def test_round_trip_of_n_of_4(seed, kept, rows, along):
    """Every group of four along a row, or along a column, has `kept` values at most, somewhere."""
    generator = np.random.default_rng(seed)
    groups = generator.normal(size=(rows * 8, 4)).astype(np.float32)
    np.put_along_axis(groups, generator.random(groups.shape).argsort(axis=1)[:, kept:], 0, axis=1)
    matrix = groups.reshape(rows, 32)
    tensor = np.ascontiguousarray(matrix if along == 1 else matrix.T)
    assert_restored("n_m", tensor)


@given(seed=st.integers(0, 2**32 - 1), tiles=st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_round_trip_of_blocks(seed, tiles):
    generator = np.random.default_rng(seed)
    there = generator.random(tiles) < 0.5
    there.flat[: there.size // 2 + 1] = False
    tensor = generator.normal(size=(32 * tiles[0], 32 * tiles[1])).astype(np.float32)
    tensor[~np.kron(there, np.ones((32, 32), bool))] = 0
    assert_restored("block_sparse", tensor)


def assert_restored(name, tensor):
    module = encodings.module(name)
    found = module.encode(tensor)
    assert found is not None
    assert same_bits(module.decode(found, tensor.shape, tensor.dtype), tensor)


@given(tensor=tensors())
def test_dense_always_applies(tensor):
    assert parts("dense", tensor) is not None


def test_dense_comes_first():
    assert NAMES[0] == "dense"
    assert {"csr", "bitmask", "n_m", "block_sparse", "packed", "grid", "codebook"} < set(NAMES)


def test_csr_by_hand():
    # Row 0 skips one zero before 5 and two before 6; row 1 is empty; row 2 begins with 7.
    assert listed("csr", [[0, 5, 0, 0, 6], [0, 0, 0, 0, 0], [7, 0, 0, 0, 0]]) == {
        "values": [5, 6, 7], "gaps": [1, 2, 0], "counts": [2, 0, 1],
    }  # fmt: skip


def test_csr_leaves_dense_tensors_alone():
    assert parts("csr", [1, 1, 0]) is None


def test_bitmask_by_hand():
    # 0b01000010 = 66 and 0b10000000 = 128.
    assert listed("bitmask", [0, 5, 0, 0, 0, 0, 6, 0, 7]) == {"mask": [66, 128], "values": [5, 6, 7]}


def test_two_of_four_by_hand():
    found = parts("n_m", [[0, 5, 0, 6], [7, 0, 0, 0]])
    assert found.numbers == {"n": 2, "m": 4, "first_axis": 0}
    assert found.arrays["values"].tolist() == [5, 6, 7, 0]
    assert found.arrays["places"].tolist() == [1, 3, 0, 1]  # a group of one value brings a zero along
    assert parts("n_m", [[1, 5, 0, 6]]) is None


def test_two_of_four_along_the_first_axis():
    found = parts("n_m", np.array([[0, 5, 0, 6], [7, 8, 0, 0]]).T)
    assert found.numbers == {"n": 2, "m": 4, "first_axis": 1}
    assert found.arrays["values"].tolist() == [5, 6, 7, 8]


def test_blocks_by_hand():
    matrix = np.zeros((8, 8), np.float32)
    matrix[4:, :4] = 1
    found = parts("block_sparse", matrix)
    # Four tiles of 4 x 4, of which the third is kept: 0b00100000 = 32.
    assert (found.numbers, found.arrays["mask"].tolist()) == ({"side": 4}, [32])
    assert found.arrays["values"].tolist() == [1.0] * 16
    assert parts("block_sparse", np.ones((8, 8), np.float32)) is None


def test_packed_by_hand():
    found = parts("packed", np.array([-7, 0, 7], np.int8))
    assert (found.arrays["codes"].tolist(), found.numbers) == ([0, 7, 14], {"low": -7})
    assert parts("packed", np.array([-128, 0], np.int8)) is None  # a byte cannot hold it in less than a byte
    assert parts("packed", np.array([-128, 127])).arrays["codes"].tolist() == [0, 255]
    assert parts("packed", np.array([0.0, 1.0])) is None


@pytest.mark.parametrize("bits", [4, 8])
def test_a_grid_is_found_again(bits):
    top = 2 ** (bits - 1) - 1
    generator = np.random.default_rng(0)
    integers = generator.integers(-top, top + 1, (200, 16)).astype(np.float32)
    integers[:, 3] = top  # a symmetric grid ends at the largest weight
    steps = generator.lognormal(-4, 1, (200, 1)).astype(np.float32)
    integers[7] = 0
    table = integers * steps
    found = parts("grid", table)
    assert found.numbers == {"bits": bits}
    assert np.array_equal(found.arrays["codes"].reshape(200, 16), integers + top)
    assert same_bits(encodings.module("grid").decode(found, table.shape, table.dtype), table)
    table[5, 5] = np.nextafter(table[5, 5], np.float32(1))
    assert parts("grid", table) is None


def test_a_codebook_by_hand():
    found = parts("codebook", np.array([[0.5, -1.0], [-1.0, 0.25]], np.float32))
    # Values in the order of their bits: negative floats come last.
    assert found.arrays["values"].tolist() == [0.25, 0.5, -1.0]
    assert found.arrays["codes"].tolist() == [1, 2, 2, 0]
    assert parts("codebook", np.arange(257, dtype=np.int32)) is None


def test_an_unknown_encoding_is_not_imported():
    with pytest.raises(
        MillisError, match=r"encoding 'os' is unknown; expected one of dense, bitmask, .* Load the archive"
    ):
        encodings.module("os")
