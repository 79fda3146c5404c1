import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millis.errors import MillisError
from millis.storage.cheapest import Rule, store
from millis.storage.sharing import Sharing, k_means, relative_error, share


def weights(shape=(64, 64), seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_k_means_by_hand():
    # Centres begin at 0, 5 and 10. 1, 2 are nearest to 0; 4 and 6 to 5; 10 to 10: means 1, 5, 10, and there it stays.
    # By density they begin at 1, 4 and 10 and end at 1, 5, 10 as well.
    assert k_means(np.array([10, 0, 4, 1, 2, 6.0]), 3).tolist() == [1, 5, 10]


def test_k_means_is_lloyds():
    sklearn = pytest.importorskip("sklearn.cluster", reason="the reference is scikit-learn's")
    values = weights((2000,)).astype(np.float64)
    start = np.linspace(values.min(), values.max(), 8)
    reference = sklearn.KMeans(8, init=start[:, None], n_init=1, max_iter=1000, tol=0).fit(values[:, None])
    distances = np.abs(values[:, None] - k_means(values, 8)).min(axis=1)
    assert np.square(distances).sum() <= reference.inertia_ * (1 + 1e-9)


def test_weights_far_out_do_not_empty_the_clusters():
    values = np.concatenate([weights((4000,)), np.float32([100.0, -80.0])])
    assert len(k_means(values, 16)) == 16
    assert np.square(share(values, 16) - values)[:4000].mean() < 0.02  # 14 clusters for a normal; Lloyd-Max has 0.012


@given(st.lists(st.floats(-100, 100, width=32), max_size=60), st.integers(2, 20))
def test_no_more_centres_than_asked_and_within_the_values(numbers, k):
    centres = k_means(np.array(numbers, np.float32), k)
    assert len(centres) <= k and (np.diff(centres) > 0).all()
    if numbers:
        assert min(numbers) - 1e-3 <= centres[0] and centres[-1] <= max(numbers) + 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint8])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_shared_weights_are_few_and_near(dtype, bits):
    before = weights() if dtype == np.float32 else (weights() * 30 + (128 if dtype == np.uint8 else 0)).astype(dtype)
    after = share(before, 2**bits)
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    assert len(np.unique(after)) <= 2**bits
    # A uniform grid of 2^b steps over ±4 σ errs by 8 / 2^b / √12 of σ; k-means by less.
    spread = float(np.std(before.astype(np.float64)))
    assert np.sqrt(np.mean((before.astype(np.float64) - after) ** 2)) <= max(8 / 2**bits / 12**0.5 * spread, 0.3)


def test_what_is_few_already_stays_as_it_is():
    signs = np.sign(weights())
    assert np.array_equal(share(signs, 4), signs)


def test_zeros_stay_zeros():
    before = np.where(np.random.default_rng(1).random((64, 64)) < 0.7, 0, weights()).astype(np.float32)
    after = share(before, 16)
    assert np.array_equal(after == 0, before == 0)
    assert len(np.unique(after)) <= 16


def test_what_is_shared_takes_its_bits_in_an_archive():
    stored = store(share(weights((256, 256)), 16), Rule(1e-3, ("zlib",)))
    assert stored.encoding == "codebook"
    assert sum(len(part.data) for part in stored.parts.values()) <= 256 * 256 / 2 + 16 * 4


def test_matrices_are_shared_and_the_rest_is_not():
    tensors = {
        "model#dense.weight": weights(),
        "model#embeddings.weight": weights(),
        "model#dense.bias": weights((4096,)),
        "model#small": weights((8, 8)),
        "model#blocks": np.ones((64, 4, 16), np.uint8),  # of MatMulNBits
        "model#ids": np.zeros((64, 64), np.int64),
    }
    made, note = Sharing(bits=4, skip=["*embeddings*"]).apply(tensors)
    assert [name for name in tensors if made[name] is not tensors[name]] == ["model#dense.weight"]
    assert note.startswith("weights of 1 matrices share 16 values each: relative error 0.09")


def test_relative_error_by_hand():
    assert relative_error(np.array([3.0, 4.0]), np.array([3.0, 3.0])) == pytest.approx(0.2)
    assert relative_error(np.zeros(2), np.zeros(2)) == 0


@pytest.mark.parametrize("bits", [1, 9])
def test_bits_that_are_none(bits):
    with pytest.raises(MillisError, match=rf"sharing with bits={bits}: expected 2 to 8, for 4 to 256 values a matrix"):
        Sharing(bits=bits, skip=())
