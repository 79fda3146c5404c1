"""What the server says to clients that are not ours."""

import hashlib
import http.client
import json
import logging
import socket
import time
from contextlib import ExitStack

import pytest

from millis.benchmark.agent import server
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


def said(agent, *requests):
    """All that is answered to `requests`, sent at once on one connection."""
    with socket.create_connection(("127.0.0.1", agent.port), timeout=10) as line:
        line.sendall(b"".join(requests))
        line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(1 << 16), b"")).decode()


def written(start, body=b"", length="Content-Length: {}"):
    head = f"{start} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n{length.format(len(body))}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("start", "length", "status"),
    [
        ("PUT /nowhere", "Content-Length: {}", 404),
        (f"PUT /v1/measurements/{'0' * 31}", "Content-Length: {}", 404),
        ("GET /v1/agent", "Content-Length: {}", 200),
        ("POST /v1/agent", "Content-Length: {}", 501),
        ("GET /v1/agent", "Content-Length : {}", 411),
    ],
)
def test_a_body_that_is_not_read_is_no_next_request(agent, start, length, status):
    with agent() as there:
        answers = said(there, written(start, body=written("GET /v1/agent"), length=length))
    assert answers.count("HTTP/1.1 ") == 1 and answers.startswith(f"HTTP/1.1 {status} ")
    assert "Connection: close" in answers


def test_requests_whose_bodies_are_read_share_a_connection(agent):
    content = b"content"
    kept = f"PUT /v1/blobs/{hashlib.sha256(content).hexdigest()}"
    with agent() as there:
        answers = said(there, written(kept, content), written("GET /v1/agent"), written(kept, content))
    assert [answers.count(f"HTTP/1.1 {status} ") for status in (201, 200)] == [2, 1]


def test_connections_are_bounded_whoever_has_them(agent, monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS", 3)
    with agent() as there:
        with ExitStack() as idle:
            for _ in range(3):
                idle.enter_context(socket.create_connection(("127.0.0.1", there.port)))
            refused = said(there)
            assert refused.startswith("HTTP/1.1 503 ") and "Connection: close" in refused
            assert "3 connections are open, as many as this agent holds: try again" in refused
        end = time.monotonic() + 10
        while not (answer := said(there, written("GET /v1/agent"))).startswith("HTTP/1.1 200 "):
            assert time.monotonic() < end, answer


def test_who_shows_no_token_is_not_waited_for(agent, monkeypatch):
    monkeypatch.setattr(server._Handler, "timeout", 0.1)
    with agent() as there, socket.create_connection(("127.0.0.1", there.port), timeout=10) as line:
        assert line.recv(1) == b""
    assert server.STRANGER_S < server.CLIENT_S


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
