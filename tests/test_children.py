import pytest

from millis.children import environment


@pytest.mark.parametrize("whose", ["AGENT", "SERVER"])
def test_no_child_knows_a_token(monkeypatch, whose):
    for name in (f"MILLIS_{whose}_TOKEN", f"MILLIS_{whose}_TOKEN_FILE"):
        monkeypatch.setenv(name, "secret")
    assert "secret" not in environment(1).values()


def test_threads_are_set_before_libraries_read_them():
    assert environment(3)["OMP_NUM_THREADS"] == "3"
