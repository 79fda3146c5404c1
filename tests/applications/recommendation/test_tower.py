"""The tower of users by hand, and against the modules that learn it."""

import numpy as np
import pytest
import torch

from millis.applications.recommendation.learning import Learning, Towers
from millis.applications.recommendation.tower import Tower
from millis.errors import MillisError

ZERO = {
    "projection": np.eye(2), "recency": np.log([3.0, 1.0]), "step": np.zeros((2, 2)), "inner": np.zeros((4, 1)),
    "bias": np.zeros(1), "outer": np.zeros((1, 2)), "popularity": np.zeros(1),
}  # fmt: skip


def test_a_mean_with_recency():
    # The last two of three, the most recent three times as heavy: (3 * (0, 4) + (4, 0)) / 4.
    user = Tower.of(ZERO).user(np.array([[9, 9], [4, 0], [0, 4]], np.float32))
    np.testing.assert_allclose(user, [1, 3])


def test_the_step_and_the_network_are_added():
    tensors = {**ZERO, "step": [[0, 1], [0, 0]], "inner": [[0], [0], [1], [0]], "bias": [1], "outer": [[2, 0]]}
    # One item (2, 0): mean (2, 0), step (0, 2), relu(2 + 1) * (2, 0) = (6, 0).
    np.testing.assert_allclose(Tower.of(tensors).user(np.array([[2, 0]], np.float32)), [8, 2])


def test_numpy_computes_what_was_learned():
    torch.manual_seed(0)
    texts = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    towers = Towers(texts, Learning(size=3, hidden=4, history=3))
    for parameter in towers.parameters():
        torch.nn.init.normal_(parameter)
    tower = towers.tower(-1.0)
    history = [4, 0, 5, 2]  # the first is out of reach
    recent = torch.tensor([[2, 5, 0], [2, 5, 0]])
    there = torch.tensor([[True, True, True], [True, False, False]])
    with torch.no_grad():
        vectors = towers.items(torch.arange(6))
        expected = towers.users(vectors[recent], there)
        alone = towers.items(torch.arange(6), torch.ones(6, dtype=torch.bool))
    np.testing.assert_allclose(tower.user(vectors.numpy()[history]), expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tower.user(vectors.numpy()[[2]]), expected[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tower.items(texts), alone, rtol=1e-4, atol=1e-5)
    assert tower.longest == 3


@pytest.mark.parametrize(("change", "message"), [
    ({"step": np.zeros((3, 2))}, "step has shape (3, 2): expected finite numbers of shape (2, 2)"),
    ({"bias": np.full(1, np.nan)}, "bias has shape (1,): expected finite numbers of shape (1,)"),
    ({"recency": np.zeros(0)}, "recency has shape (0,)"),
])  # fmt: skip
def test_weights_that_do_not_fit_are_refused(change, message):
    with pytest.raises(MillisError) as error:
        Tower.of({**ZERO, **change})
    assert message in str(error.value)


def test_a_weight_that_is_missing_is_named():
    with pytest.raises(MillisError, match="the tower has no outer"):
        Tower.of({name: values for name, values in ZERO.items() if name != "outer"})
