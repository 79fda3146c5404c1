"""Small artifacts of a classifier and of what writes, and an application that answers with them in this process."""

import asyncio
import http.client
import json
import threading
from contextlib import contextmanager

import pytest
import torch
from aiohttp import web
from causal import speaker, written
from signatures import answering
from specs import static
from tokenizers import Tokenizer, models, pre_tokenizers

from millis.backends.artifact import write_artifact
from millis.backends.onnxruntime import OnnxRuntime
from millis.described import described
from millis.generation.greedy import Greedy
from millis.models import build
from millis.server.application import Application
from millis.server.metrics import Metrics
from millis.server.served import Artifact
from millis.server.settings import Settings
from millis.storage.manifest import Manifest

WORDS = ["[PAD]", "[UNK]", *"abcdefgh"]


def _classifier(folder, seed=0):
    torch.manual_seed(seed)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    model = build(static(vocab_size=len(WORDS)))
    values = {
        "name": "tiny", "backend": "", "spec": model.spec, "task": answering("no", "yes"),
        "inputs": ("input_ids", "attention_mask"), "max_length": 8, "fingerprint": f"seed {seed}",
    }  # fmt: skip
    write_artifact(folder, model, tokenizer, OnnxRuntime(), Manifest(**values), None, (), None)
    return folder


@pytest.fixture(scope="session")
def classifier():
    """Writes an artifact of two labels to a folder."""
    return _classifier


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Of the classifier."""
    return _classifier(tmp_path_factory.mktemp("served") / "tiny")


@pytest.fixture(scope="session")
def folders(folder):
    """Of the classifier and of the one that writes."""
    return [folder, written(folder.parent / "writer", speaker(), generation=described(Greedy(max_tokens=6)))]


@pytest.fixture(scope="session")
def artifacts(folders):
    return {folder.name: Artifact(folder.name, folder, 1, False) for folder in folders}


class Asking:
    """A client of an application."""

    def __init__(self, application, port):
        self.application, self.port = application, port

    def raw(self, method, path, body=None, **headers):
        """(status, headers, body) of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        found = response.status, response.headers, response.read()
        connection.close()
        return found

    def ask(self, path, body=None, **headers):
        """(status, JSON): of a question where there is a body."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {"Content_Type": "application/json"} | headers if body is not None else headers
        status, _, answer = self.raw("GET" if body is None else "POST", path, content, **given)
        return status, json.loads(answer)


@pytest.fixture
def answering_with(folders, artifacts):
    """Starts an application; gives a client of it."""

    @contextmanager
    def start(token=None, **settings):
        application = Application(Settings(tuple(map(str, folders)), port=0, **settings), token, artifacts, Metrics())
        loop = asyncio.new_event_loop()

        async def listen():
            server = web.Server(application.respond, handler_cancellation=True, auto_decompress=False, access_log=None)
            return server, await loop.create_server(server, "127.0.0.1", 0)

        async def leave():
            listening.close()
            await server.shutdown(1)

        server, listening = loop.run_until_complete(listen())
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield Asking(application, listening.sockets[0].getsockname()[1])
        finally:
            asyncio.run_coroutine_threadsafe(leave(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
            application.lane.close()

    return start
