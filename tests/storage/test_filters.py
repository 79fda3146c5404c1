import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensors import same_bits, tensors

from millis.errors import MillisError
from millis.storage import filters
from millis.storage.filters import Filter


@given(tensor=tensors())
def test_what_is_filtered_comes_back(tensor):
    flat = tensor.reshape(-1)
    for used in filters.candidates(flat):
        data = filters.apply(used, flat)
        assert data.dtype == np.uint8
        assert data.size == filters.stored_bytes(used, flat.dtype, flat.size)
        assert same_bits(filters.undo(used, data, flat.dtype, flat.size), flat)


@given(values=st.lists(st.integers(0, 127), min_size=1, max_size=40), bits=st.integers(1, 7))
def test_bits_of_every_width(values, bits):
    flat = np.array([value % 2**bits for value in values], np.uint8)
    data = filters.apply(Filter("bits", bits), flat)
    assert data.size == -(-len(values) * bits // 8)
    assert same_bits(filters.undo(Filter("bits", bits), data, flat.dtype, flat.size), flat)


def test_planes_by_hand():
    # Little endian: 0x0201 lies as 01 02.
    data = filters.apply(Filter("planes"), np.array([0x0201, 0x0403], "<u2"))
    assert data.tolist() == [1, 3, 2, 4]


@pytest.mark.parametrize(("bits", "packed"), [(4, [0x21, 0x03]), (2, [0b111001]), (3, [0b11010001, 0b0])])
def test_bits_by_hand(bits, packed):
    # Of 1, 2, 3 the first lies lowest: 3|2|1 is 11 10 01 in twos, 011 010 001 in threes.
    assert filters.apply(Filter("bits", bits), np.array([1, 2, 3], np.uint8)).tolist() == packed


def test_bits_are_offered_where_they_save_some():
    assert [used.bits for used in filters.candidates(np.array([0, 9], np.uint8))] == [8, 4]
    assert len(list(filters.candidates(np.array([255], np.uint8)))) == 1


def test_an_unknown_filter():
    with pytest.raises(MillisError, match="filter 'rot13' is unknown; expected one of plain, planes, bits"):
        filters.undo(Filter("rot13"), np.zeros(1, np.uint8), np.dtype("u1"), 1)
