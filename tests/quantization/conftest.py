"""Numbers worked by hand are those of weights with 8 bits, whichever processor runs the tests."""

import pytest
import torch


@pytest.fixture(autouse=True)
def dot_products(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "x86_64", "avx512_vnni": True})
