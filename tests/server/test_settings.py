import pytest

from millis.errors import MillisError
from millis.server import settings as module
from millis.server.settings import Settings


@pytest.fixture(autouse=True)
def four_cpus(monkeypatch):
    monkeypatch.setattr(module, "available_cpus", lambda: [2, 3, 4, 5])


@pytest.mark.parametrize(
    ("threads", "workers", "shares"),
    [
        (1, None, [[2], [3], [4], [5]]),
        (1, 2, [[2], [3]]),
        (2, None, [[2, 3], [4, 5]]),
        (3, None, [[2, 3, 4]]),
        (8, 1, [[2, 3, 4, 5]]),
    ],
)
def test_every_worker_has_cpus_of_its_own(threads, workers, shares):
    assert Settings(("a",), threads=threads, workers=workers).shares() == shares


def test_more_workers_than_cpus():
    with pytest.raises(MillisError) as error:
        Settings(("a",), threads=2, workers=3).shares()
    assert str(error.value) == (
        "workers=3 of threads=2 need 6 CPUs, and there are 4: they would wait for each other. Say workers=2"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"artifacts": ()}, "a server needs an artifact: say artifact=FOLDER, or artifact="),
        ({"artifacts": ("x/a", "y/a")}, "x/a and y/a are both called 'a', by which requests name them: rename one"),
        ({"deadline_ms": 0}, "deadline_ms=0: expected a positive number of milliseconds"),
        ({"deadline_ms": float("inf")}, "deadline_ms=inf: expected a positive number of milliseconds"),
        ({"deadline_ms": float("nan")}, "deadline_ms=nan: expected a positive number of milliseconds"),
        ({"workers": 0}, "workers=0: expected 1 or more"),
        ({"threads": 0}, "threads=0: expected 1 or more"),
    ],
)
def test_settings_that_are_none(changes, message):
    with pytest.raises(MillisError, match=message):
        Settings(**{"artifacts": ("a",)} | changes)


def test_requests_name_artifacts_by_their_folders(tmp_path):
    settings = Settings((str(tmp_path / "a"), "b/"))
    assert [*settings.folders] == ["a", "b"] and settings.folders["a"] == tmp_path / "a"
    assert settings.is_private and not Settings(("a",), host="0.0.0.0").is_private
