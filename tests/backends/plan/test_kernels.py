"""Each kernel of each instruction set against NumPy: integers exactly, floats to a few units in the last place."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from millis.backends.plan import library, packing
from millis.backends.plan.steps import Activation
from millis.backends.plan.words import ACTIVATIONS

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 130), st.integers(1, 70))  # rows, inputs, outputs
SEEDS = st.integers(0, 2**32 - 1)
RUNS = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module", params=library.SETS)
def number(request):
    """An instruction set, as the library counts them."""
    if lacking := library.missing():
        pytest.skip(lacking)
    if request.param not in library.available():
        pytest.skip(f"this processor has no {request.param}")
    return library.SETS[request.param]


def at(array):
    return None if array is None else array.ctypes.data


def multiply(number, rows, weights, steps, zeros, scales, sums, bias, outputs, wide):
    """Rows [M, padded inputs] times packed weights; results [M, outputs]."""
    count, stride = rows.shape
    results = np.full((count, packing.padded(outputs) + 16), np.nan, np.float32)
    inputs = weights[1]
    library.load().millis_multiply(
        number, at(rows), stride, at(steps), at(zeros), count, inputs, outputs, at(weights[0]), at(scales), at(sums),
        at(bias), wide, at(results), results.shape[1],
    )  # fmt: skip
    return results[:, :outputs]


def integer_case(rows, inputs, outputs, high, chance, extreme):
    """Bytes, zero points and integers; at their ends where `extreme`, which is what saturates 16 bits."""
    values = chance.choice([-high, high] if extreme else np.arange(-high, high + 1), (outputs, inputs)).astype(np.int8)
    stride = packing.padded(inputs, 64)
    given = chance.integers(255 if extreme else 0, 256, (rows, stride)).astype(np.uint8)
    zeros = chance.integers(0, 256, rows).astype(np.int32)
    sums = np.pad(values.sum(axis=1, dtype=np.int32), (0, packing.padded(outputs) - outputs))
    return given, zeros, values, sums


@RUNS
@given(SIZES, SEEDS, st.sampled_from([64, 127, 128]), st.booleans())
def test_sums_of_integers_are_exact(number, sizes, seed, high, extreme):
    rows, inputs, outputs = sizes
    chance = np.random.default_rng(seed)
    given, zeros, values, sums = integer_case(rows, inputs, outputs, min(high, 127), chance, extreme)
    if high == 128:
        values[:, 0] = -128
        sums = np.pad(values.sum(axis=1, dtype=np.int32), (0, packing.padded(outputs) - outputs))
    ones = np.ones(packing.padded(outputs), np.float32)
    packed = packing.integer_panels(values), inputs
    found = multiply(
        number, given, packed, np.ones(rows, np.float32), zeros, ones, sums, None, outputs, high > 64
    )  # fmt: skip
    centred = given[:, :inputs].astype(np.int64) - zeros[:, None]
    assert np.array_equal(found, (centred @ values.T.astype(np.int64)).astype(np.float32))


def test_long_sums_are_exact_too(number):
    chance = np.random.default_rng(0)
    given, zeros, values, sums = integer_case(3, 65536, 5, 127, chance, extreme=True)
    zeros[:] = 0
    ones = np.ones(16, np.float32)
    packed = packing.integer_panels(values), 65536
    found = multiply(number, given, packed, np.ones(3, np.float32), zeros, ones, sums, None, 5, True)
    assert np.array_equal(found, (given.astype(np.int64) @ values.T.astype(np.int64)).astype(np.float32))


@RUNS
@given(SIZES, SEEDS)
def test_steps_scales_and_bias_are_applied(number, sizes, seed):
    rows, inputs, outputs = sizes
    chance = np.random.default_rng(seed)
    given, zeros, values, sums = integer_case(rows, inputs, outputs, 127, chance, extreme=False)
    steps = chance.random(rows, np.float32) + np.float32(0.1)
    scales, bias = (chance.random(outputs, np.float32) + np.float32(0.1) for _ in range(2))
    packed = packing.integer_panels(values), inputs
    found = multiply(
        number, given, packed, steps, zeros, packing.row(scales), sums, packing.row(bias), outputs, True
    )  # fmt: skip
    exact = (given[:, :inputs].astype(np.int64) - zeros[:, None]) @ values.T.astype(np.int64)
    expected = exact * (steps[:, None].astype(np.float64) * scales) + bias
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-5 * np.abs(expected).max())


def multiply_blocks(number, rows, values, steps, zeros, scales, bias, block):
    """Rows [M, padded inputs] times values [O, I] in -8..7 with scales [O, blocks]; results [M, O]."""
    (count, stride), (outputs, inputs) = rows.shape, values.shape
    results = np.full((count, packing.padded(outputs) + 16), np.nan, np.float32)
    weighed = values * np.repeat(scales, block, axis=1)[:, :inputs].astype(np.float64)
    packed, panels, offsets = packing.nibble_panels(values), packing.panels(scales), packing.row(weighed.sum(axis=1))
    library.load().millis_multiply_blocks(
        number, at(rows), stride, at(steps), at(zeros), count, inputs, outputs, block, at(packed), at(panels),
        at(offsets), at(bias), at(results), results.shape[1],
    )  # fmt: skip
    return results[:, :outputs]


BLOCKS = st.sampled_from([8, 16, 32, 128])


@RUNS
@given(SIZES, SEEDS, BLOCKS, st.booleans())
def test_sums_of_4_bits_are_exact(number, sizes, seed, block, extreme):
    rows, inputs, outputs = sizes
    chance = np.random.default_rng(seed)
    values = chance.choice([-8, 7] if extreme else np.arange(-8, 8), (outputs, inputs)).astype(np.int8)
    given = chance.integers(255 if extreme else 0, 256, (rows, packing.padded(inputs, 64))).astype(np.uint8)
    zeros = chance.integers(0, 256, rows).astype(np.int32)
    scales = np.ones((outputs, -(-inputs // block)), np.float32)
    found = multiply_blocks(number, given, values, np.ones(rows, np.float32), zeros, scales, None, block)
    centred = given[:, :inputs].astype(np.int64) - zeros[:, None]
    assert np.array_equal(found, (centred @ values.T.astype(np.int64)).astype(np.float32))


@RUNS
@given(SIZES, SEEDS, BLOCKS)
def test_blocks_have_scales_of_their_own(number, sizes, seed, block):
    rows, inputs, outputs = sizes
    chance = np.random.default_rng(seed)
    values, scales = packing.blocked(chance.normal(size=(outputs, inputs)).astype(np.float32), block)
    given = chance.integers(0, 256, (rows, packing.padded(inputs, 64))).astype(np.uint8)
    zeros, steps = chance.integers(0, 256, rows).astype(np.int32), chance.random(rows, np.float32) + np.float32(0.1)
    bias = chance.normal(size=outputs).astype(np.float32)
    found = multiply_blocks(number, given, values, steps, zeros, scales, packing.row(bias), block)
    weights = values * np.repeat(scales.astype(np.float64), block, axis=1)[:, :inputs]
    expected = (given[:, :inputs].astype(np.float64) - zeros[:, None]) @ weights.T * steps[:, None] + bias
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5 * max(1, np.abs(expected).max()))
    alone = multiply_blocks(number, given[-1:], values, steps[-1:], zeros[-1:], scales, packing.row(bias), block)
    assert np.array_equal(alone[0], found[-1])  # whatever rows there are beside


@RUNS
@given(SIZES, SEEDS, st.booleans())
def test_products_of_floats(number, sizes, seed, biased):
    rows, inputs, outputs = sizes
    chance = np.random.default_rng(seed)
    given = chance.normal(size=(rows, inputs)).astype(np.float32)
    weights = chance.normal(size=(outputs, inputs)).astype(np.float32)
    bias = chance.normal(size=outputs).astype(np.float32) if biased else None
    packed = packing.panels(weights), inputs
    found = multiply(
        number, given, packed, None, None, None, None, None if bias is None else packing.row(bias), outputs, False
    )  # fmt: skip
    expected = given.astype(np.float64) @ weights.T.astype(np.float64) + (0 if bias is None else bias)
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)


def multiply_halves(number, emulated, rows, weights, inputs, bias, outputs):
    """Rows [M, padded inputs] of bf16 times packed weights of bf16; results [M, outputs]."""
    count, stride = rows.shape
    results = np.full((count, packing.padded(outputs) + 16), np.nan, np.float32)
    library.load().millis_multiply_halves(
        number, emulated, at(rows), stride, count, inputs, outputs, at(weights), at(bias), at(results),
        results.shape[1],
    )  # fmt: skip
    return results[:, :outputs]


@RUNS
@given(SIZES, SEEDS, st.booleans())
def test_products_of_bf16_by_the_instruction_and_without_it(number, sizes, seed, emulated):
    rows, inputs, outputs = sizes
    chance = np.random.default_rng(seed)
    values, weights = (torch.from_numpy(chance.normal(size=(n, inputs))).bfloat16() for n in (rows, outputs))
    bias = chance.normal(size=outputs).astype(np.float32)
    given = np.full((rows, packing.padded(inputs, 64)), 0x7FC0, np.uint16)  # what pads a row is no number
    given[:, : packing.padded(inputs, 2)] = 0
    given[:, :inputs] = packing.halves(values.float().numpy())
    packed = packing.half_panels(weights.float().numpy())
    found = multiply_halves(number, emulated, given, packed, inputs, packing.row(bias), outputs)
    expected = values.double().numpy() @ weights.double().numpy().T + bias
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)
    alone = multiply_halves(number, emulated, given[-1:], packed, inputs, packing.row(bias), outputs)
    assert np.array_equal(alone[0], found[-1])  # whatever rows there are beside


def round_rows(number, values, width):
    rows, stride = values.shape
    given, steps, zeros = np.zeros((rows, stride), np.uint8), np.zeros(rows, np.float32), np.zeros(rows, np.int32)
    library.load().millis_round_rows(
        number, at(values), stride, rows, width, at(given), at(steps), at(zeros)
    )  # fmt: skip
    return given[:, :width], steps, zeros


def rounded(values):
    """The same in NumPy, in fp32 as the kernels."""
    low = np.minimum(values.min(axis=1), 0)
    step = (np.maximum(values.max(axis=1), 0) - low) / np.float32(255)
    step = np.where(step < np.finfo(np.float32).tiny, np.float32(1), step)
    inverse = np.float32(1) / step
    zero = np.clip(np.floor(-low * inverse + np.float32(0.5)), 0, 255)
    given = np.clip(np.rint(values * inverse[:, None]) + zero[:, None], 0, 255)
    return given.astype(np.uint8), step, zero.astype(np.int32)


@RUNS
@given(st.integers(1, 9), st.integers(1, 200), SEEDS, st.sampled_from(["normal", "positive", "negative", "tiny", "0"]))
def test_rows_are_rounded_as_numpy_rounds_them(number, rows, width, seed, kind):
    values = np.full((rows, packing.padded(width, 64)), 1e30, np.float32)  # what pads a row is not read
    drawn = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    values[:, :width] = {
        "normal": drawn, "positive": np.abs(drawn), "negative": -np.abs(drawn), "tiny": drawn * np.float32(1e-30),
        "0": drawn * 0,
    }[kind]  # fmt: skip
    for found, expected in zip(round_rows(number, values, width), rounded(values[:, :width]), strict=True):
        assert np.array_equal(found, expected)


def test_a_row_by_hand(number):
    # Range -1..4: step 5 / 255, zero 51; 1.5 / step = 76.5, which is rounded to the even 76.
    values = np.zeros((1, 64), np.float32)
    values[0, :4] = [-1, 4, 0, 1.5]
    given, steps, zeros = round_rows(number, values, 4)
    assert (given.tolist(), zeros.tolist()) == ([[0, 255, 51, 127]], [51])
    assert steps[0] == pytest.approx(5 / 255)


def round_head(number, values, size):
    given, step = np.full(size + 16, 99, np.int8), np.zeros(1, np.float32)
    library.load().millis_round_head(number, at(values), size, at(given), at(step))
    assert (given[size:] == 99).all()  # nothing is written beyond the head
    return given[:size], step[0]


@RUNS
@given(st.integers(1, 100), SEEDS, st.sampled_from([1.0, 1e-30, 1e30, 0.0]))
def test_a_head_is_rounded_as_numpy_rounds_it(number, size, seed, scale):
    values = np.full(packing.padded(size, 64), 3e30, np.float32)  # the next head's are not read
    values[:size] = np.random.default_rng(seed).normal(size=size).astype(np.float32) * np.float32(scale)
    step = np.abs(values[:size]).max() / np.float32(127)
    step = step if step >= np.finfo(np.float32).tiny else np.float32(1)
    found, taken = round_head(number, values, size)
    assert taken == step
    assert np.array_equal(found, np.rint(values[:size] * (np.float32(1) / step)))


def test_a_head_by_hand(number):
    # The largest magnitude is 254: a step is 2. 3 is 1.5 steps, rounded to the even 2, 5 is 2.5, to the even 2.
    values = np.zeros(64, np.float32)
    values[:5] = [-254, 3, 5, -6, 0]
    found, step = round_head(number, values, 5)
    assert (found.tolist(), step) == ([-127, 2, 2, -3, 0], 2)


@RUNS
@given(SIZES, SEEDS)
def test_products_with_bytes_are_exact(number, sizes, seed):
    rows, inputs, outputs = sizes
    chance = np.random.default_rng(seed)
    given = chance.integers(-50, 51, (rows, inputs)).astype(np.float32)  # sums stay below 2^24
    values = chance.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    packed = np.pad(values, ((0, packing.padded(outputs) - outputs), (0, 0)))
    packed = np.ascontiguousarray(packed.reshape(-1, 16, inputs).swapaxes(1, 2))  # [panels][inputs][16]
    results = np.full((rows, packing.padded(outputs) + 16), np.nan, np.float32)
    library.load().millis_multiply_bytes(
        number, at(given), inputs, rows, inputs, outputs, at(packed), at(results), results.shape[1]
    )
    assert np.array_equal(results[:, :outputs], given @ values.T.astype(np.float32))


REFERENCES = {
    "none": lambda x: x,
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: max(x, 0.0),
    "tanh": math.tanh,
    "silu": lambda x: x / (1 + math.exp(-x)),
}


def test_every_activation_has_a_reference():
    assert set(REFERENCES) == set(Activation.__args__)


@pytest.mark.parametrize("name", REFERENCES)
def test_activations(number, name):
    given = np.concatenate([np.linspace(-30, 30, 4801), [-80.0, 80.0, 1e-20]]).astype(np.float32)
    room = np.zeros(packing.padded(len(given), 64), np.float32)
    room[: len(given)] = given
    library.load().millis_activate(number, at(room), len(given), ACTIVATIONS.index(name))
    expected = np.array([REFERENCES[name](float(value)) for value in given])
    assert np.abs(room[: len(given)] - expected).max() < 2e-6
    assert np.allclose(room[: len(given)], expected, rtol=1e-5, atol=1e-6)
