"""What requests get, and what they get that are none."""

import json
import logging
import re
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import until

from millis.schema import decoded
from millis.server import application as module
from millis.server.lane import ServiceTime
from millis.server.messages import Question
from millis.types import Text

TOKEN = "a-token-of-the-tests"
PREDICT, STREAM = "/v1/predict", "/v1/stream"


def test_an_answer_is_the_runners_and_says_where_the_time_went(answering_with, artifacts):
    runner = artifacts["tiny"].runner
    with answering_with() as there:
        status, found = there.ask(PREDICT, {"text": "a b c"})
    expected = runner.predict("a b c")
    assert status == 200
    assert found["answer"] == {"label": expected.label, "index": expected.index, "score": pytest.approx(expected.score)}
    assert found["text"] == expected.text
    assert [*found["stage_ms"]] == ["wait", *(name for name, _ in runner.stages)]
    assert sum(found["stage_ms"].values()) == pytest.approx(found["elapsed_ms"], abs=0.2)
    assert (found["kept"], found["step"], found["steps"]) == (True, 1, 1)


def test_several_texts_are_answered_in_their_order(answering_with, artifacts):
    texts: list[Text] = [letter * n for letter in ["a", "b", "c", "d"] for n in (1, 2)] * 5
    with answering_with() as there:
        status, found = there.ask(PREDICT, {"texts": texts, "artifact": "tiny"})
    assert status == 200
    assert [one["text"] for one in found["answers"]] == [artifacts["tiny"].runner.predict(text).text for text in texts]


def events(body):
    """[(kind, data)] of server-sent events."""
    found = re.findall(r"(?:event: (\w+)\n)?data: (.*)\n\n", body.decode())
    return [(kind or "piece", json.loads(data)) for kind, data in found]


def test_a_text_comes_while_it_is_written(answering_with, artifacts):
    with answering_with() as there:
        status, headers, body = there.raw(
            "POST", STREAM, b'{"text": "the cat", "artifact": "writer"}', Content_Type="application/json"
        )
        whole = there.ask(PREDICT, {"text": "the cat", "artifact": "writer"})[1]
    *pieces, (last, done) = events(body)
    assert (status, headers["Content-Type"], last) == (200, "text/event-stream; charset=utf-8", "done")
    assert "".join(data["piece"] for _, data in pieces) == done["text"] == whole["text"]
    assert done["answer"] == whole["answer"] and done["answer"]["ended"] == "length"
    assert [*done["stage_ms"]] == ["wait", "tokenize", "feed", "first", "write", "decode"]
    assert done["text"] == artifacts["writer"].runner.predict("the cat").text


def test_who_leaves_a_stream_is_not_written_for(answering_with, artifacts, monkeypatch):
    ended = []
    write = artifacts["writer"].runner.write_within

    def slow(text, within_ms, say):
        for _ in range(2000):
            if not say("x" * 5000):
                ended.append("left")
                break
            time.sleep(0.005)
        return write(text, within_ms, lambda piece: True)

    monkeypatch.setattr(artifacts["writer"]._writer, "write_within", slow)
    body = b'{"text": "the cat", "artifact": "writer"}'
    with answering_with() as there, socket.create_connection(("127.0.0.1", there.port)) as client:
        head = f"POST {STREAM} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
        client.sendall(f"{head}{len(body)}\r\n\r\n".encode() + body)
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        client.close()
        assert until(lambda: ended == ["left"])
        assert until(lambda: there.application.lane.waiting == 0)
        assert there.ask(PREDICT, {"text": "a"})[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        (PREDICT, b"", 400, "the body: Input data was truncated. /docs says what is expected"),
        (PREDICT, b"nonsense", 400, "the body: JSON is malformed: invalid character (byte 4)"),
        (PREDICT, b"\xff\xfe", 400, "the body: JSON is malformed"),
        (PREDICT, b"[" * 5000, 400, "the body: "),
        (PREDICT, {}, 400, "the body: expected either text or texts"),
        (PREDICT, {"text": "a", "texts": ["b"]}, 400, "the body: expected either text or texts"),
        (PREDICT, {"text": 3}, 400, "the body: text: Expected str | array | null, got int"),
        (PREDICT, {"text": ["a"]}, 400, "the body: text: Expected array of length 2"),
        (PREDICT, {"text": "a", "words": 1}, 400, "the body: Object contains unknown field words"),
        (PREDICT, {"text": "a", "deadline_ms": 0}, 400, "the body: deadline_ms: Expected float > 0.0"),
        (PREDICT, b'{"text": "a", "deadline_ms": NaN}', 400, "the body: JSON is malformed"),
        (PREDICT, {"text": "a", "artifact": "tinny"}, 404, "there is no artifact 'tinny' (did you mean 'tiny'?)"),
        (PREDICT, {"texts": []}, 400, "texts has 0: expected 1 to 50 (max_texts of the server)"),
        (PREDICT, {"texts": ["a"] * 51}, 413, "texts has 51: expected 1 to 50 (max_texts of the server)"),
        (PREDICT, {"text": "a" * 1001}, 413, "a text has 1001 characters: expected 1000 at most (max_characters of"),
        (PREDICT, {"text": ["a", "b" * 1001]}, 413, "a text has 1001 characters"),
        (PREDICT, b" " * 5001, 413, "5001 bytes are more than the 5000 that are taken at once; see max_body_bytes"),
        (STREAM, {"text": "a"}, 400, "artifact 'tiny' answers with 2 labels (no, yes), which has no pieces to stream"),
        (STREAM, {"texts": ["a"]}, 400, "the body: Object contains unknown field texts"),
        ("/v1/preditc", {"text": "a"}, 404, "there is no /v1/preditc here; /docs says what there is"),
        ("/metrics", {"text": "a"}, 405, "/metrics is asked with GET"),
    ],
)
def test_what_is_no_request_gets_a_sentence(answering_with, path, body, status, sentence):
    with answering_with(max_texts=50, max_characters=1000, max_body_bytes=5000) as there:
        found = there.ask(path, body)
    assert found[0] == status
    assert found[1]["error"].startswith(sentence)


@pytest.mark.parametrize(
    "headers",
    [{"Content_Type": "text/plain"}, {"Content_Type": "application/json", "Content_Encoding": "gzip"}],
)
def test_a_body_that_is_no_json(answering_with, headers):
    with answering_with() as there:
        status, _, body = there.raw("POST", PREDICT, b'{"text": "a"}', **headers)
    assert status == 415
    assert json.loads(body)["error"].startswith("expected a body of Content-Type application/json without an encoding")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
LIKELY = st.fixed_dictionaries(
    {}, optional={name: JSON | st.just("a b") | st.just(1.5) for name in ("text", "texts", "artifact", "deadline_ms")}
)


def test_whatever_is_sent_is_answered_or_gets_one_sentence(answering_with):
    with answering_with() as there:

        @settings(max_examples=400)
        @given(st.sampled_from([PREDICT, STREAM]), JSON | LIKELY | st.binary(max_size=40))
        def send(path, body):
            content = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8", "surrogatepass")
            status, _, answer = there.raw("POST", path, content, Content_Type="application/json")
            assert status in (200, 400, 404, 413, 503), answer
            if status not in (200, 503):
                assert "\n" not in json.loads(answer)["error"]

        send()
        assert there.ask(PREDICT, {"text": "a"})[0] == 200


def test_text_of_any_kind_is_answered(answering_with):
    with answering_with() as there:
        for text in ("", " ", "\0", "\u202e", "😀" * 300, "包裹在哪里", "a\r\nb", "a" * 90_000):
            for artifact in ("tiny", "writer"):
                assert there.ask(PREDICT, {"text": text, "artifact": artifact})[0] == 200, text[:10]


def test_the_token(answering_with, monkeypatch, caplog):
    monkeypatch.setattr(module, "GUESS_PAUSE_S", 0)
    with answering_with(token=TOKEN, host="0.0.0.0") as there, caplog.at_level(logging.INFO):
        for wrong in (None, "Bearer wrong", TOKEN):
            for path, body in ((PREDICT, {"text": "a"}), ("/v1/artifacts", None), ("/metrics", None)):
                status, found = there.ask(path, body, Authorization=wrong)
                assert (status, found["error"]) == (
                    401, "a wrong token: send the header `Authorization: Bearer TOKEN`",
                )  # fmt: skip
        assert there.ask(PREDICT, {"text": "a"}, Authorization=f"Bearer {TOKEN}")[0] == 200
        assert [there.raw("GET", path)[0] for path in ("/", "/docs", "/openapi.json", "/health", "/ready")] == [200] * 5
    assert TOKEN not in caplog.text


def test_without_a_token_no_page_of_another_name_may_ask(answering_with):
    with answering_with() as there:
        assert there.ask(PREDICT, {"text": "a"}, Host="evil.example")[0] == 403
        assert [there.ask("/health", Host=name)[0] for name in ("localhost:1", "127.0.0.1", "[::1]:80")] == [200] * 3


def test_no_texts_in_the_log_unless_they_are_asked_for(answering_with, caplog):
    for log, expected in (("events", 0), ("requests", 0), ("texts", 1)):
        with answering_with(log=log) as there, caplog.at_level(logging.INFO, "millis.server"):
            assert there.ask(PREDICT, {"text": "a secret"})[0] == 200
            assert there.ask("/health")[0] == 200  # what was to be said of it has been said
        lines = [record.fields for record in caplog.records if record.getMessage() == "request"]
        assert len(lines) == (log != "events")
        assert sum("a secret" in str(line) for line in lines) == expected
        caplog.clear()


def test_about_to_end_it_says_so_and_closes_connections(answering_with):
    with answering_with() as there:
        assert there.ask("/ready") == (200, {"ready": True})
        there.application.draining = True
        assert there.ask("/ready") == (503, {"error": "the server is about to end"})
        status, headers, _ = there.raw("POST", PREDICT, b'{"text": "a"}', Content_Type="application/json")
        assert (status, headers["Connection"]) == (200, "close")


def test_too_much_to_do_is_refused_at_once(answering_with):
    with answering_with() as there:
        lane = there.application.lane
        lane.admit(ServiceTime(2500.0), 1, 0)
        status, headers, body = there.raw("POST", PREDICT, b'{"text": "a"}', Content_Type="application/json")
    assert (status, headers["Retry-After"]) == (503, "3")
    assert json.loads(body)["error"].startswith("2500 ms of work are waiting, more than can be done by this request's")


def test_what_fails_for_no_fault_of_the_client_is_logged_and_told(answering_with, artifacts, monkeypatch, caplog):
    monkeypatch.setattr(artifacts["tiny"], "answer", lambda *_: 1 / 0)
    with answering_with() as there:
        assert there.ask(PREDICT, {"text": "a"}) == (500, {"error": "the server failed: ZeroDivisionError"})
    assert "division by zero" in caplog.text


def test_the_description_names_every_address_and_its_examples_are_requests(answering_with):
    with answering_with() as there:
        described = there.ask("/openapi.json")[1]
        pages = {path: there.raw("GET", path)[2].decode() for path in ("/", "/docs")}
        artifacts = there.ask("/v1/artifacts")[1]
        routes = set(there.application._routes) - {"/", "/docs", "/openapi.json"}
    assert set(described["paths"]) == routes and described["openapi"] == "3.1.0"
    assert set(described["components"]["schemas"]) >= {"Question", "Prompt", "Answer", "Fault", "Served"}
    for page in pages.values():
        assert not re.findall(r"(?:src|href)=\"?(?:https?:)?//", page), "nothing from elsewhere"
    for example in re.findall(r'"/v1/\w+": (\{.*?\})', pages["/docs"]):
        assert decoded(re.sub(r"(\w+):", r'"\1":', example).encode(), Question).text
    assert [(one["name"], one["writes"]) for one in artifacts] == [("tiny", False), ("writer", True)]
