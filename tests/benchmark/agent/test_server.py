"""What the server says to clients that are not ours."""

import gzip
import hashlib
import http.client
import json
import logging
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event

import pytest
from waiting import until

import millis
from millis.benchmark.agent import server
from millis.benchmark.agent.server import MAX_REQUEST_BYTES, Agent
from millis.errors import MillisError
from millis.server import bodies

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


HOLD = f"""
import sys; from millis.benchmark.agent.server import Agent
with Agent("127.0.0.1", 0, {TOKEN!r}, 1, 1) as agent:
    (agent.folder / "sent").write_text("weights"); print(agent.folder, flush=True); sys.stdin.read()
"""


def holder(temporary):
    """An agent in a process of its own, and where it keeps what it is sent."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(millis.__file__).parents[1]), "TMPDIR": str(temporary)},
    )
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_agent_left_is_removed_by_the_next_and_a_living_ones_stays(agent, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (killed, left), (living, kept) = holder(tmp_path), holder(tmp_path)
    killed.kill()
    killed.wait()
    assert (left / "sent").is_file() and tmp_path in left.parents
    with agent() as there:
        assert not left.exists()
        assert (kept / "sent").read_text() == "weights"
        own = there.folder
        assert own.stat().st_mode & 0o077 == 0, "nobody else may look into it"
    living.communicate("")
    assert not own.exists() and not kept.exists()


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
        assert answer["refused"].startswith("101 bytes are more than the 100 that are taken at once")
        status, _ = ask(there, "PUT", f"/v1/measurements/{'0' * 32}", Content_Length=str(MAX_REQUEST_BYTES + 1))
        assert status == 413


def test_a_body_of_unknown_length(agent):
    kept = f"PUT /v1/blobs/{'0' * 64}"
    with agent() as there:
        assert ask(there, "PUT", f"/v1/blobs/{'0' * 64}", Content_Length=None, Transfer_Encoding="chunked")[0] == 411
        for length in ("Content-Length: -1", "Content-Length: 1e3", "Content-Length: 1\r\nContent-Length: 2"):
            assert said(there, written(kept, b"x", length)).startswith("HTTP/1.0 400 ")
        both = "Content-Length: 5\r\nTransfer-Encoding: chunked"
        assert said(there, written(kept, b"0\r\n\r\n", both)).startswith("HTTP/1.0 400 ")


def test_a_body_is_taken_as_it_is_sent(agent):
    """What is compressed would have another size than the one that was looked at."""
    content = gzip.compress(b"0" * 1000)
    name = hashlib.sha256(content).hexdigest()
    with agent() as there:
        assert ask(there, "PUT", f"/v1/blobs/{name}", content, Content_Encoding="gzip") == (201, {"kept": name})


def said(agent, *requests):
    """All that is answered to `requests`, sent at once on one connection, until it is closed."""
    with socket.create_connection(("127.0.0.1", agent.port), timeout=10) as line:
        line.sendall(b"".join(requests))
        return b"".join(iter(lambda: line.recv(1 << 16), b"")).decode()


def written(start, body=b"", length="Content-Length: {}", connection="close"):
    head = f"{start} HTTP/1.1\r\nHost: agent\r\nAuthorization: Bearer {TOKEN}\r\nConnection: {connection}\r\n"
    return f"{head}{length.format(len(body))}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("start", "length", "status"),
    [
        ("PUT /nowhere", "Content-Length: {}", 404),
        (f"PUT /v1/measurements/{'0' * 31}", "Content-Length: {}", 404),
        ("GET /v1/agent", "Content-Length: {}", 200),
        ("POST /v1/agent", "Content-Length: {}", 404),
        ("GET /v1/agent", "Content-Length : {}", 400),
    ],
)
def test_a_body_that_is_not_read_is_no_next_request(agent, start, length, status):
    inner = written("GET /v1/agent")
    with agent() as there:
        answers = said(there, written(start, inner, length, "keep-alive"), written("GET /v1/blobs/0"))
    first, *others = re.findall(r"HTTP/1.\d (\d+) ", answers)
    assert int(first) == status
    assert others == ([] if status == 400 else ["404"]), "what is in the body is not answered"


def test_requests_whose_bodies_are_read_share_a_connection(agent):
    content = b"content"
    kept = f"PUT /v1/blobs/{hashlib.sha256(content).hexdigest()}"
    with agent() as there:
        first, second = (written(start, body, connection="keep-alive") for start, body in ((kept, content), ABOUT))
        answers = said(there, first, second, written(kept, content))
    assert re.findall(r"HTTP/1.\d (\d+) ", answers) == ["201", "200", "201"]


ABOUT = ("GET /v1/agent", b"")


def answered(port):
    """Status for the right token, and the seconds it took."""
    start = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/v1/agent", headers={"Authorization": f"Bearer {TOKEN}"})
    status = connection.getresponse().status
    connection.close()
    return status, time.monotonic() - start


def test_strangers_who_dawdle_keep_nobody_out_and_are_closed(agent, monkeypatch):
    """A byte of a header now and then, on more connections than were ever served at once."""
    monkeypatch.setattr(server, "HEADERS_S", 2.0)
    with agent() as there, ExitStack() as held:
        lines = [held.enter_context(socket.create_connection(("127.0.0.1", there.port))) for _ in range(200)]
        for line in lines:
            line.sendall(b"GET /v1/agent HTTP/1.1\r\nX: ")
        assert {answered(there.port)[0] for _ in range(10)} == {200}
        end = time.monotonic() + 20
        while lines:  # each sends on, and is closed all the same
            assert time.monotonic() < end, f"{len(lines)} connections of strangers are still there"
            lines = [line for line in lines if still_open(line)]
            time.sleep(0.1)


def still_open(line):
    try:
        line.sendall(b"a")
        line.setblocking(False)
        return line.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_strangers_are_bounded_and_the_first_makes_room(agent, monkeypatch):
    monkeypatch.setattr(server, "STRANGERS", 3)
    with agent() as there, ExitStack() as held:
        assert answered(there.port)[0] == 200
        lines = []
        for _ in range(3):
            lines.append(held.enter_context(socket.create_connection(("127.0.0.1", there.port), timeout=10)))
            assert until(lambda: len(there._server._strangers) == len(lines))
        assert answered(there.port)[0] == 200
        assert lines[0].recv(1) == b"", "the first was closed"
        assert all(map(still_open, lines[1:]))


def test_who_has_shown_the_token_makes_no_room_for_strangers(agent, monkeypatch):
    monkeypatch.setattr(server, "STRANGERS", 2)
    content = b"content"
    request = written(f"PUT /v1/blobs/{hashlib.sha256(content).hexdigest()}", content)
    with agent() as there, ExitStack() as held:
        assert answered(there.port)[0] == 200
        line = held.enter_context(socket.create_connection(("127.0.0.1", there.port), timeout=10))
        line.sendall(request[:-3])
        assert until(lambda: there._server.requests_count == 2 and not there._server._strangers)
        for _ in range(5):
            held.enter_context(socket.create_connection(("127.0.0.1", there.port)))
        assert answered(there.port)[0] == 200
        line.sendall(request[-3:])
        assert line.recv(1 << 16).startswith(b"HTTP/1.1 201 ")


def test_a_burst_loses_nobody(agent):
    with agent() as there, ThreadPoolExecutor(200) as crowd:
        assert [status for status, _ in crowd.map(answered, [there.port] * 200)] == [200] * 200


def test_a_wrong_token_is_not_lingered_for(agent, monkeypatch):
    monkeypatch.setattr(server, "LINGER_S", 600.0)
    head = "PUT /v1/agent HTTP/1.1\r\nHost: agent\r\nAuthorization: Bearer wrong\r\nContent-Length: 1000\r\n\r\n"
    with agent() as there:
        assert said(there, head.encode()).startswith("HTTP/1.1 401 ")


def test_who_goes_silent_in_a_body_is_not_waited_for(agent, monkeypatch):
    monkeypatch.setattr(bodies, "SILENCE_S", 0.1)
    with agent() as there:
        answer = said(there, written(f"PUT /v1/blobs/{'0' * 64}", b"x" * 10)[:-1])
        assert answer.startswith("HTTP/1.1 408 ")
        assert list((there.folder / "blobs").iterdir()) == []


def test_who_hangs_up_in_a_body_leaves_nothing(agent, caplog):
    with agent() as there:
        with socket.create_connection(("127.0.0.1", there.port)) as line:
            line.sendall(written(f"PUT /v1/blobs/{'0' * 64}", b"x" * 10)[:-1])
            assert until(lambda: list((there.folder / "blobs").iterdir()))
        assert until(lambda: not list((there.folder / "blobs").iterdir()))
        assert answered(there.port)[0] == 200
    assert caplog.text == ""


def test_a_request_that_waits_holds_up_nobody(agent, monkeypatch):
    """More of them than the machine has threads to spare."""
    coming = Future()
    with agent() as there, ThreadPoolExecutor(50) as crowd:
        monkeypatch.setattr(there._laboratory, "answer", lambda id: coming)
        waiting = [crowd.submit(ask, there, "GET", f"/v1/measurements/{'0' * 32}") for _ in range(50)]
        assert answered(there.port)[0] == 200
        assert until(lambda: there._server.requests_count == 51)
        assert answered(there.port)[0] == 200
        coming.set_result({"error": "none"})
        assert [one.result() for one in waiting] == [(200, {"error": "none"})] * 50


def test_paths_lead_nowhere_else(agent):
    content = b"content"
    with agent() as there:
        for path in (
            "/v1/blobs/../../x",
            "/v1/blobs/..",
            "/v1/blobs/%2e%2e%2fx",
            "/etc/passwd",
            "/v1/measurements/..",
            "/",
            "//////",
        ):
            status, answer = ask(there, "PUT", path, content)
            assert status in (400, 404) and "refused" in answer, path
        name = hashlib.sha256(content).hexdigest()
        assert ask(there, "PUT", f"/v1/blobs/{name}", content) == (201, {"kept": name})
        assert ask(there, "GET", f"/v1/measurements/{'0' * 32}") == (404, {"lost": True})
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


def test_a_fault_of_the_agent_is_told_and_logged(agent, monkeypatch, caplog):
    with agent() as there:
        monkeypatch.setattr(there._laboratory, "answer", lambda id: 1 / 0)
        status, answer = ask(there, "GET", f"/v1/measurements/{'0' * 32}")
    assert (status, answer) == (500, {"refused": "the agent failed: ZeroDivisionError: division by zero"})
    assert "ZeroDivisionError" in caplog.text


def test_one_that_stops_leaves_nobody_without_an_answer(agent):
    """Clients that connect in the very moment are hung up on, and may ask again; else they would wait a minute."""
    left = []

    def ask_on(port, stopped):
        while not stopped.is_set():
            with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=10) as asking:
                try:
                    asking.sendall(b"GET /v1/about HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    while asking.recv(4096):
                        pass
                except TimeoutError:
                    left.append(port)

    for _ in range(20):
        stopped = Event()
        with ThreadPoolExecutor(4) as clients:
            with agent() as there:
                for _ in range(4):
                    clients.submit(ask_on, there.port, stopped)
                time.sleep(0.05)
            stopped.set()
    assert left == []
