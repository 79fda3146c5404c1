"""Tensors of every kind that an archive holds, for property tests; equality is of bits."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from millis.storage.archive import DTYPES

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9)


@st.composite
def tensors(draw):
    """Any bits at all, NaNs and negative zeros among them, with a drawn share of zeros and of repeats."""
    dtype, shape = np.dtype(draw(st.sampled_from(sorted(DTYPES)))), draw(SHAPES)
    count = int(np.prod(shape))
    seed, zeros, few = (
        draw(st.integers(0, 2**32 - 1)),
        draw(st.sampled_from([0, 0.3, 0.6, 0.9, 1])),
        draw(st.booleans()),
    )
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 256, count * dtype.itemsize, dtype=np.uint8)
    array = values.view(dtype).copy() if dtype.kind != "b" else generator.random(count) < 0.5
    if few and count:
        array = array[generator.integers(0, min(count, 5), count)]
    array[generator.random(count) < zeros] = 0
    if draw(st.booleans()):
        array = np.where(generator.random(count) < 0.1, np.array(-0.0).astype(dtype), array)
    return array.reshape(shape)


def same_bits(one, other):
    """Whether two arrays have one dtype, one shape and the same bits."""
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
