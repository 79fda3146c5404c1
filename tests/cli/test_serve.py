"""`millis serve` up to its listening; what it answers is tested in `tests/server`."""

import pytest
from tiny import millis

from millis.server.supervisor import Server


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    monkeypatch.setattr("millis.cli.serve.set_up", lambda: None)  # the log of this process


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "artifact is needed: add artifact=... to the command"),
        (["artifact=nowhere"], "nowhere"),
        (["artifact=[a/x,b/x]"], "are both called 'x', by which requests name them"),
        (["artifact=nowhere", "log=loud"], "log=loud: expected events or requests or texts"),
        (["artifact=nowhere", "workers=0"], "workers=0: expected a whole number from 1 on or null"),
        (["artifact=nowhere", "deadline_ms=null"], "deadline_ms=None: expected a positive number of milliseconds"),
    ],
)
def test_what_cannot_be_served_is_a_sentence(tmp_path, capsys, arguments, sentence):
    assert millis(tmp_path, "serve", *arguments) != 0
    error = capsys.readouterr().err
    assert error.startswith("error: ") and sentence in error.replace("\n", " ") and "Traceback" not in error


def test_predict_asks_one(tmp_path, capsys):
    assert millis(tmp_path, "predict", "artifact=[a,b]", "--", "a text") == 1
    assert "artifact names several: predict asks one of them" in capsys.readouterr().err


def test_the_token_is_no_childs_to_know(monkeypatch, tmp_path, capsys):
    seen = []
    monkeypatch.setattr(Server, "__init__", lambda self, settings, token: seen.append(token))
    monkeypatch.setattr(Server, "__enter__", lambda self: self)
    monkeypatch.setattr(Server, "__exit__", lambda *_: None)
    monkeypatch.setattr(Server, "serve", lambda self, ready: None)
    monkeypatch.setenv("MILLIS_SERVER_TOKEN", "a-token-of-the-tests")
    assert millis(tmp_path, "serve", "artifact=x", "host=0.0.0.0") == 0
    assert seen == ["a-token-of-the-tests"]
    assert "this is unencrypted: put a proxy with TLS before it" in capsys.readouterr().out
