"""Every instruction set that can run here, one after the other."""

import pytest

from millis.backends.plan import library


@pytest.fixture(params=library.SETS)
def instructions(request, monkeypatch):
    """The name of an instruction set, which plans are opened with."""
    if lacking := library.missing():
        pytest.skip(lacking)
    if request.param not in library.available():
        pytest.skip(f"this processor has no {request.param}")
    monkeypatch.setenv(library.FORCED, request.param)
    return request.param
