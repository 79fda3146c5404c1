"""A small customer service, written once."""

import pytest
from service import service

from millis.applications.runner import load


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return service(tmp_path_factory.mktemp("applications") / "service")


@pytest.fixture(scope="session")
def runner(folder):
    return load(folder)
