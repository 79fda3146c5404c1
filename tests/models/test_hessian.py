"""The factor of the inverse against NumPy's inverses of what is left of the Hessian."""

import numpy as np
import pytest
import torch

from millis.models.hessian import dead, inverse_factor


@pytest.fixture
def products():
    x = torch.randn(40, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 4] = 0
    return x.T @ x


@pytest.mark.parametrize("order", [None, torch.arange(12).flip(0)])
def test_each_row_is_that_of_the_inverse_of_what_is_left(products, order):
    factor = inverse_factor(products, 0.02, order).numpy()
    hessian = products.numpy() + np.diag(np.arange(12) == 4)
    hessian = hessian + 0.02 * hessian.diagonal().mean() * np.eye(12)
    hessian = hessian if order is None else hessian[::-1, ::-1]
    for place in range(12):
        row = np.linalg.inv(hessian[place:, place:])[0]
        assert np.allclose(factor[place, place:] * factor[place, place], row, atol=1e-12)
    assert not np.tril(factor, -1).any()


def test_an_input_that_is_never_active(products):
    assert dead(products).tolist() == [place == 4 for place in range(12)]
