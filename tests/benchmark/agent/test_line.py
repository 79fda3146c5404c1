import http.client
import ssl

import pytest

from millis.benchmark.agent import line
from millis.benchmark.agent.line import Line
from millis.errors import MillisError, Unavailable

BUSY = (503, b'{"busy": true}')
REFUSED = ConnectionRefusedError(111, "Connection refused")


@pytest.fixture
def ask(monkeypatch):
    """Asks an agent with so much patience; what happens at each attempt is given, and pauses take no time."""
    monkeypatch.setenv("MILLIS_AGENT_TOKEN", "a-token-of-the-tests")
    now, pauses = [0.0], []

    def sleep(seconds):
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(line.time, "sleep", sleep)
    monkeypatch.setattr(line.time, "monotonic", lambda: now[0])

    def ask(patience_s, *happens):
        attempts = iter(happens)

        def once(self, method, path, body):
            found = next(attempts)
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(Line, "_once", once)
        return Line("http://phone:1", patience_s).ask("GET", "agent")

    ask.pauses = pauses
    return ask


@pytest.mark.parametrize(
    "away",
    [
        REFUSED,
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError("timed out"),
        http.client.RemoteDisconnected("Remote end closed connection without response"),
        ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
        (502, b"<h1>Bad gateway</h1>"),
        (503, b"<h1>Service unavailable</h1>"),
        (503, b'{"message": "no upstream"}'),
        (504, b""),
        (408, b'{"refused": "the body broke off"}'),
    ],
    ids=str,
)
def test_who_is_away_is_waited_for(ask, caplog, away):
    assert ask(300.0, away, away, away, (200, b'{"there": 1}')) == {"there": 1}
    assert ask.pauses == [1, 2, 4]
    (said,) = caplog.messages
    assert said.startswith("no measuring agent answers at http://phone:1 (")
    assert said.endswith("): trying again for 300 s (benchmark.patience_s)")


def test_patience_has_an_end(ask):
    with pytest.raises(Unavailable, match=r"no measuring agent answers at http://phone:1: .*refused\. Start `millis"):
        ask(40.0, *[REFUSED] * 7)
    assert ask.pauses == [1, 2, 4, 8, 15, 10], "40 s together, the longest 15"


@pytest.mark.parametrize("answer", [(404, b'{"lost": true}'), (409, b'{"missing": []}'), BUSY])
def test_an_answer_is_one_whatever_its_status(ask, answer):
    assert ask(300.0, answer) and ask.pauses == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ssl.SSLCertVerificationError(1, "self-signed certificate"), "self-signed certificate"),
        ((200, b"<h1>Hello</h1>"), r"is no measuring agent \(HTTP status 200\)"),
        ((200, b"[]"), r"is no measuring agent \(HTTP status 200\)"),
        ((401, b"{}"), "refuses the token"),
        ((400, b'{"refused": "no room"}'), "refuses: no room"),
    ],
)
def test_what_time_does_not_mend_is_not_waited_for(ask, answer, message):
    with pytest.raises(MillisError, match=message) as fault:
        ask(300.0, answer)
    assert ask.pauses == [] and not isinstance(fault.value, Unavailable)


def test_a_file_that_is_gone_is_no_agent_that_is_away(monkeypatch, tmp_path):
    monkeypatch.setenv("MILLIS_AGENT_TOKEN", "a-token-of-the-tests")
    monkeypatch.setattr(line.time, "sleep", None)
    gone = tmp_path / "model.onnx"
    with pytest.raises(MillisError, match=rf"^cannot send {gone}: it is gone. Make the artifact again") as fault:
        Line("http://phone:1", 300.0).ask("PUT", "blobs/0", gone)
    assert not isinstance(fault.value, Unavailable)
