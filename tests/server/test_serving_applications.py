"""An application behind HTTP: as an artifact, with a state that comes and goes."""

import pytest
from service import service

from millis.server.served import Artifact


@pytest.fixture(scope="module")
def folders(tmp_path_factory, classifier):
    """Of an application and of an artifact."""
    place = tmp_path_factory.mktemp("both")
    return [service(place / "service"), classifier(place / "tiny")]


@pytest.fixture(scope="module")
def artifacts(folders):
    return {folder.name: Artifact(folder.name, folder, 1, False) for folder in folders}


def test_a_conversation_is_carried_by_its_requests(answering_with):
    with answering_with() as client:
        status, first = client.ask("/v1/predict", {"text": "parcel"})
        assert (status, first["text"], first["answer"]["action"]) == (200, "which order?", "ask")
        assert [*first["stage_ms"]] == ["wait", "read", "slots", "intent", "faq", "reply"] and first["kept"]
        status, second = client.ask("/v1/predict", {"text": "LK48213", "state": first["answer"]["state"]})
        assert (status, second["text"]) == (200, "order LK48213 is on its way")
        assert (
            client.ask("/v1/predict", {"texts": ["parcel 12345", "open"]})[1]["answers"][1]["text"]
            == "from nine to five"
        )


def test_what_is_served_says_whether_it_keeps_state(answering_with):
    with answering_with() as client:
        _, (ours, other) = client.ask("/v1/artifacts")
    assert (ours["state"], ours["writes"], ours["backend"], ours["pairs"]) == (True, False, "customer_service", False)
    assert other["state"] is False and ours["size_bytes"] > 0


@pytest.mark.parametrize(("body", "message"), [
    ({"text": ""}, "the text is empty: expected what somebody says"),
    ({"texts": ["parcel", "open", " "]}, "texts[2]: the text is empty: expected what somebody says"),
    ({"text": ["a", "b"]}, "a request got a pair of texts, expected one text"),
    ({"texts": ["a", "b"], "state": {}}, "a state comes with one text: send several texts one after the other"),
    ({"text": "a", "state": {"slots": 1}}, "state.slots is 1: expected object, got int. Send the state"),
    ({"text": "a", "state": "x"}, "the body: state: Expected object | null, got str"),
    ({"text": "a", "states": {}}, "unknown field"),
    ({"text": "a", "artifact": "tiny", "state": {}}, "artifact 'tiny' keeps no state: leave `state` out"),
])  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence(answering_with, body, message):
    with answering_with() as client:
        status, answer = client.ask("/v1/predict", body)
        assert status == 400 and message in answer["error"]
        assert client.ask("/v1/stream", {"text": "a"}) == (400, {
            "error": "artifact 'service' answers with 2 intents and 2 frequent questions, or hands over to a person, "
            "which has no pieces to stream: ask /v1/predict"
        })  # fmt: skip


@pytest.mark.parametrize("text", ["\x00\x01\x02", "包裹 48213 посылка 📦", "a" * 100_000, "' OR 1=1 --", "<script>"])
def test_any_text_is_answered(answering_with, text):
    with answering_with() as client:
        status, answer = client.ask("/v1/predict", {"text": text})
        assert status == 200 and answer["text"]
