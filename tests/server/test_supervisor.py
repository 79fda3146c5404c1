"""Processes that answer, die, are replaced, load artifacts anew and end."""

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from waiting import until

import millis
from millis.errors import MillisError
from millis.server import supervisor
from millis.server.settings import Settings
from millis.server.supervisor import Server


@contextmanager
def serving(*folders, **options):
    """A server in a thread, with processes of its own."""
    with Server(Settings(tuple(map(str, folders)), port=0, log="events", grace_s=2, **options)) as server:
        ready = Event()
        thread = Thread(target=server.serve, args=(ready.set,), daemon=True)
        thread.start()
        try:
            assert ready.wait(60)
            yield server
        finally:
            server.stop()
            thread.join(30)
            assert not thread.is_alive()


def ask(server, path="/v1/predict", body=b'{"text": "a b"}'):
    """(status, body) on a connection of its own."""
    host, port = server.address.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("POST" if body else "GET", path, body, {"Content-Type": "application/json"} if body else {})
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def test_a_server_from_its_first_to_its_last_request(tmp_path, folder, classifier, monkeypatch):
    """A worker that is killed is replaced; artifacts are loaded anew, while nothing is lost; a damaged one is not."""
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.01)
    shutil.copytree(folder, tmp_path / "tiny")
    faults, done = [], Event()
    with serving(tmp_path / "tiny", workers=1) as server:
        assert ask(server)[0] == 200
        (first,) = server.processes
        os.kill(first, signal.SIGKILL)
        assert until(lambda: server.processes != [first])
        assert ask(server)[0] == 200, "what comes meanwhile waits for the next"
        assert until(lambda: all(worker.is_ready for worker in server._workers.values()))

        def hammer():
            while not done.is_set():
                status, body = ask(server)
                if status != 200:
                    faults.append((status, body))

        def swap():
            asyncio.run_coroutine_threadsafe(server.swap(), server._loop).result(60)
            return json.loads(ask(server, "/v1/artifacts", None)[1])[0]["fingerprint"]

        hammering = Thread(target=hammer)
        hammering.start()
        try:
            classifier(tmp_path / "tiny", seed=1)
            assert swap() == "seed 1"
            (tmp_path / "tiny" / "model.onnx").write_bytes(b"damaged")
            assert swap() == "seed 1"
            (tmp_path / "tiny" / "model.onnx").unlink()
            assert swap() == "seed 1"
        finally:
            done.set()
            hammering.join()
        assert faults == []
        metrics = ask(server, "/metrics", None)[1].decode()
        assert "millis_worker_starts_total 2.0" in metrics
        assert 'millis_swaps_total{artifact="tiny"} 1.0' in metrics
        assert 'millis_requests_total{artifact="tiny",status="200"}' in metrics
    with pytest.raises(ConnectionRefusedError):
        ask(server)


def test_a_worker_that_was_loading_when_others_swapped_swaps_too(tmp_path, folder, classifier, monkeypatch):
    """It may have read what lay there before."""
    shutil.copytree(folder, tmp_path / "tiny")
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.01)
    said = supervisor.Worker.said
    held = []

    async def held_back(worker):
        found = await said(worker)
        if "ready" in found and held:
            await held.pop().wait()
        return found

    monkeypatch.setattr(supervisor.Worker, "said", held_back)
    with serving(tmp_path / "tiny", workers=1) as server:
        event = asyncio.Event()
        held.append(event)
        (first,) = server.processes
        os.kill(first, signal.SIGKILL)
        assert until(lambda: server.processes != [first] and not held)
        classifier(tmp_path / "tiny", seed=1)
        asyncio.run_coroutine_threadsafe(server.swap(), server._loop).result(60)
        server._loop.call_soon_threadsafe(event.set)
        assert until(lambda: json.loads(ask(server, "/v1/artifacts", None)[1])[0]["fingerprint"] == "seed 1")


def test_a_damaged_artifact_is_said_before_anything_is_served(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "tiny")
    (tmp_path / "tiny" / "model.onnx").write_bytes(b"damaged")
    with (
        Server(Settings((str(tmp_path / "tiny"),), port=0, workers=1)) as server,
        pytest.raises(MillisError, match=r"model.onnx .* Make the artifact again|model.onnx"),
    ):
        server.serve()


def test_what_cannot_be_served(tmp_path, folder):
    with pytest.raises(MillisError, match=r"nowhere"):
        Server(Settings((str(tmp_path / "nowhere"),)))
    with pytest.raises(MillisError) as error:
        Server(Settings((str(folder),), host="0.0.0.0"))
    assert str(error.value) == (
        "host=0.0.0.0 can be reached by others, so the server needs a token: set MILLIS_SERVER_TOKEN, or "
        "MILLIS_SERVER_TOKEN_FILE to a file that holds it (`openssl rand -hex 32` makes one), or listen on "
        "host=127.0.0.1"
    )


def test_one_that_is_to_end_before_it_has_begun(folder):
    with Server(Settings((str(folder),), port=0, workers=1)) as server:
        server.stop()
        server.serve()


COMMAND = "import sys; sys.argv[1:] = ['serve', *sys.argv[1:]]; from millis.cli.main import main; main()"


def begun(said, body):
    """A request whose body is on its way: the socket, and what is left to send."""
    host, port = said.strip().rpartition("//")[2].split(":")
    client = socket.create_connection((host, int(port)), timeout=30)
    half = len(body) // 2
    head = f"POST /v1/predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
    client.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body[:half])
    return client, body[half:]


def test_the_command_swaps_on_hangup_and_answers_what_is_under_way_when_it_is_terminated(folder, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, f"artifact={folder}", "port=0", "workers=1", "grace_s=20"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(millis.__file__).parents[1])},
    )  # fmt: skip
    said = process.stdout.readline()
    assert re.fullmatch(r"serving tiny at http://127.0.0.1:\d+\n", said)
    process.send_signal(signal.SIGHUP)
    lines = [process.stderr.readline() for _ in range(2)]
    client, rest_of_it = begun(said, b'{"text": "a b"}')
    process.send_signal(signal.SIGTERM)
    lines.append(process.stderr.readline())
    client.sendall(rest_of_it)
    answer = http.client.HTTPResponse(client)
    answer.begin()
    assert (answer.status, set(json.loads(answer.read())["answer"])) == (200, {"label", "index", "score"})
    client.close()
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in [*lines, *rest.splitlines()]]
    assert [event for event in events if event != "request"] == ["ready", "swapped", "ending", "ended"]
