import runpy
from pathlib import Path

import pytest

from millis.frontier import Frontier
from millis.record import Record
from millis.sweep.frontier import frontier as find_frontier

STUDY = runpy.run_path(str(Path(__file__).parent / "synthetic.py"))


@pytest.fixture(scope="session")
def records() -> list[Record]:
    return STUDY["study"]()


@pytest.fixture(scope="session")
def frontier(records: list[Record]) -> Frontier:
    return find_frontier(records, resamples=200)


@pytest.fixture(scope="session")
def members() -> set[str]:
    """The names on the frontier, worked out by hand in synthetic.py."""
    return STUDY["FRONTIER"]
