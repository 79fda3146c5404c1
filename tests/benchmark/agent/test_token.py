import os

import pytest

from millis.benchmark.agent.token import TOKEN, take_token
from millis.errors import MillisError

GOOD = "0123456789abcdef"


def test_the_variable_wins_over_the_file(tmp_path):
    (tmp_path / "token").write_text(GOOD[::-1] + "\n")
    environ = {"MILLIS_AGENT_TOKEN_FILE": str(tmp_path / "token")}
    assert TOKEN.read(environ) == GOOD[::-1]
    assert TOKEN.read({**environ, "MILLIS_AGENT_TOKEN": GOOD}) == GOOD


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "a measuring agent needs a token: set MILLIS_AGENT_TOKEN, or MILLIS_AGENT_TOKEN_FILE"),
        ({"MILLIS_AGENT_TOKEN": "short"}, "has 5 characters; expected 16 or more"),
        ({"MILLIS_AGENT_TOKEN": GOOD + "\nX-Evil: 1"}, "printable ASCII without spaces"),
        ({"MILLIS_AGENT_TOKEN_FILE": "nowhere"}, "MILLIS_AGENT_TOKEN_FILE=nowhere cannot be read"),
    ],
)
def test_tokens_that_are_none(environ, message):
    with pytest.raises(MillisError, match=message) as fault:
        TOKEN.read(environ)
    assert GOOD not in str(fault.value)


@pytest.mark.parametrize("variable", ["MILLIS_AGENT_TOKEN", "MILLIS_AGENT_TOKEN_FILE"])
def test_processes_that_are_timed_do_not_inherit_it(monkeypatch, tmp_path, variable):
    (tmp_path / "token").write_text(GOOD)
    monkeypatch.setenv("MILLIS_AGENT_TOKEN", GOOD)
    monkeypatch.setenv("MILLIS_AGENT_TOKEN_FILE", str(tmp_path / "token"))
    if variable == "MILLIS_AGENT_TOKEN_FILE":
        monkeypatch.delenv("MILLIS_AGENT_TOKEN")
    assert take_token() == GOOD
    assert not {name for name in os.environ if name.startswith("MILLIS_AGENT_TOKEN")}
    with pytest.raises(MillisError, match="needs a token"):
        TOKEN.read()
