import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensors import same_bits

from millis.errors import MillisError
from millis.storage import encodings
from millis.storage.row_grid import RowGrid, on_grid
from millis.storage.sharing import relative_error


def table(seed=0, rows=50):
    generator = np.random.default_rng(seed)
    return (generator.normal(size=(rows, 32)) * generator.lognormal(size=(rows, 1))).astype(np.float32)


def test_a_row_by_hand():
    # The largest weight 7 makes a step of 1; 0.4 goes to 0 and -2.6 to -3. No smaller step errs less.
    assert on_grid(np.array([[7.0, 0.4, -2.6, 5.0]], np.float32), 4).tolist() == [[7.0, 0.0, -3.0, 5.0]]


@pytest.mark.parametrize("bits", [4, 8])
@given(seed=st.integers(0, 1000), rows=st.integers(1, 20))
def test_what_is_on_a_grid_is_encoded_exactly(bits, seed, rows):
    made = on_grid(table(seed, rows), bits)
    grid = encodings.module("grid")
    parts = grid.encode(made)
    assert parts.numbers["bits"] <= bits
    assert same_bits(grid.decode(parts, made.shape, made.dtype), made)


def test_more_bits_err_less():
    # A uniform step of max / 7 errs by max / 7 / √12; a normal row of 32 has its largest weight at about 2.1 σ.
    assert relative_error(table(), on_grid(table(), 4)) == pytest.approx(2.1 / 7 / 12**0.5, rel=0.3)
    assert relative_error(table(), on_grid(table(), 8)) < 0.006


def test_a_long_weight_may_be_cut_for_the_others():
    row = np.array([[10.0, *([1.0] * 31)]], np.float32)
    made = on_grid(row, 4)  # a step of 10 / 7 would round every 1 to 1.43
    assert np.square(made - row).sum() < 31 * 0.42**2
    assert made[0, 0] < 10


def test_rows_of_zeros_stay():
    assert not on_grid(np.zeros((3, 4), np.float32), 4).any()


def test_tables_are_chosen_by_name():
    tensors = {"m#word_embeddings.weight": table(), "m#dense.weight": table(), "m#embeddings.bias": table()[0]}
    made, note = RowGrid(bits=4, match=["*embeddings*"]).apply(tensors)
    assert [name for name in tensors if made[name] is not tensors[name]] == ["m#word_embeddings.weight"]
    assert note.startswith("1 tables have 4 bits: relative error 0.0")


def test_tables_that_quantization_took():
    tensors = {"m#word_embeddings.weight_quantized": table().astype(np.uint8), "m#dense.weight": table()}
    message = (
        r"matches \*embeddings\*, which is no fp32 matrix of this artifact: it has dense.weight. .*quantization.keep"
    )
    with pytest.raises(MillisError, match=message):
        RowGrid(bits=4, match=["*embeddings*"]).apply(tensors)


def test_bits_that_are_none():
    with pytest.raises(MillisError, match="storage of tables with bits=2: expected 4 or 8"):
        RowGrid(bits=2, match=())
