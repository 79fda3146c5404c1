"""What the server says to clients that are not ours."""

import hashlib
import http.client
import json
import logging

import pytest

from millis.benchmark.agent.server import MAX_REQUEST_BYTES, Agent
from millis.errors import MillisError

TOKEN = "a-token-of-the-tests"


def ask(agent, method, path, body=b"", **headers):
    """(status, JSON) of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=10)
    connection.putrequest(method, path)
    for name, value in ({"Authorization": f"Bearer {TOKEN}", "Content_Length": str(len(body))} | headers).items():
        for one in [] if value is None else [value] if isinstance(value, str) else value:
            connection.putheader(name.replace("_", "-"), one)
    connection.endheaders()
    connection.send(body)
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def test_without_the_token_nothing_is_told_or_taken(agent, caplog):
    with agent() as there, caplog.at_level(logging.INFO):
        for authorization in (None, "", "Bearer", "Bearer wrong", TOKEN, f"Basic {TOKEN}"):
            for method, path in (("GET", "/v1/agent"), ("PUT", f"/v1/blobs/{'0' * 64}"), ("GET", "/")):
                status, answer = ask(there, method, path, b"x" * 1000, Authorization=authorization)
                assert (status, answer) == (401, {"refused": "a wrong token"})
        assert ask(there, "GET", "/v1/agent")[0] == 200
    assert "a wrong token from 127.0.0.1" in caplog.text
    assert TOKEN not in caplog.text


def test_too_large_is_refused_before_it_is_read(agent):
    with agent(max_file_bytes=100) as there:
        status, answer = ask(there, "PUT", f"/v1/blobs/{'0' * 64}", Content_Length="101")  # and none of them sent
        assert status == 413
        assert answer["refused"].startswith("101 bytes are more than the 100 that this agent takes at once")
        status, _ = ask(there, "PUT", f"/v1/measurements/{'0' * 32}", Content_Length=str(MAX_REQUEST_BYTES + 1))
        assert status == 413


def test_a_body_of_unknown_length(agent):
    with agent() as there:
        for length in ("-1", "", "1e3", ["1", "2"]):
            assert ask(there, "PUT", f"/v1/blobs/{'0' * 64}", Content_Length=length)[0] == 411
        assert ask(there, "PUT", f"/v1/blobs/{'0' * 64}", Transfer_Encoding="chunked")[0] == 411


def test_paths_lead_nowhere_else(agent):
    content = b"content"
    with agent() as there:
        for path in ("/v1/blobs/../../x", "/v1/blobs/..", "/etc/passwd", "/v1/measurements/..", "/", "//////"):
            status, answer = ask(there, "PUT", path, content)
            assert status in (400, 404) and "refused" in answer, path
        name = hashlib.sha256(content).hexdigest()
        assert ask(there, "PUT", f"/v1/blobs/{name}", content) == (201, {"kept": name})
        assert ask(there, "GET", f"/v1/measurements/{'0' * 32}")[0] == 404
        assert ask(there, "GET", f"/v1/blobs/{name}")[0] == 404, "what was sent is not given out"


def test_an_address_that_is_taken(agent):
    with (
        agent() as there,
        pytest.raises(MillisError, match=rf"cannot listen on 127.0.0.1:{there.port}: .*Choose another"),
    ):
        Agent("127.0.0.1", there.port, TOKEN, 1, 1)


def test_a_full_disk_is_told(agent, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with agent() as there:
        monkeypatch.setattr(there._blobs, "receive", full)
        status, answer = ask(there, "PUT", f"/v1/blobs/{'0' * 64}", b"x")
    assert status == 507
    assert (
        answer["refused"] == "what was sent cannot be kept: No space left on device. Make room on the agent's machine"
    )
