"""Agents on the loopback interface, in this process."""

from contextlib import contextmanager
from threading import Thread

import pytest

from millis.benchmark.agent import client, line, server
from millis.benchmark.agent.server import Agent

TOKEN = "a token of the tests".replace(" ", "-")


@pytest.fixture
def agent(monkeypatch):
    """Starts an agent; gives its address."""
    monkeypatch.setenv("MILLIS_AGENT_TOKEN", TOKEN)
    monkeypatch.setattr(server, "GUESS_PAUSE_S", 0)
    monkeypatch.setattr(line, "PAUSE_S", 0.01)
    client.describe.cache_clear()

    @contextmanager
    def start(max_file_bytes=1 << 20, max_kept_bytes=1 << 22, port=0):
        with Agent("127.0.0.1", port, TOKEN, max_file_bytes, max_kept_bytes) as agent:
            thread = Thread(target=agent.serve)
            thread.start()
            try:
                agent.where = f"http://127.0.0.1:{agent.port}"
                yield agent
            finally:
                agent.stop()
                thread.join()

    return start
