"""An application that writes, behind HTTP: its pieces come while it translates."""

import json
import re

import pytest
from translations import translation_application

from millis.server.served import Artifact

PREDICT, STREAM = "/v1/predict", "/v1/stream"
TEXT = "The lamp is old.\n\nThe new lamp is lost. The lamp 48213."


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return [translation_application(tmp_path_factory.mktemp("served") / "letters", most_characters=2000)]


@pytest.fixture(scope="module")
def artifacts(folders):
    return {folder.name: Artifact(folder.name, folder, 2, False) for folder in folders}


def test_pieces_come_in_order_and_then_the_whole_answer(answering_with):
    asked = {"text": TEXT, "state": {"glossary": {"lamp": "Leuchte"}}}
    with answering_with() as there:
        status, _, body = there.raw("POST", STREAM, json.dumps(asked).encode(), Content_Type="application/json")
        whole = there.ask(PREDICT, asked)[1]
        about = there.ask("/v1/artifacts")[1]
    found = re.findall(r"(?:event: (\w+)\n)?data: (.*)\n\n", body.decode())
    *pieces, (last, done) = [(kind, json.loads(data)) for kind, data in found]
    assert (status, last, len(pieces)) == (200, "done", 3)
    assert "".join(data["piece"] for _, data in pieces) == done["text"] == whole["text"]
    assert done["answer"] == whole["answer"] and whole["answer"]["state"] == asked["state"]
    assert [*done["stage_ms"]] == ["wait", "read", "split", "terms", "translate", "join"]
    assert about[0]["writes"] and about[0]["state"] and about[0]["answers"] == "a translation from en to de"


@pytest.mark.parametrize("path", [PREDICT, STREAM])
@pytest.mark.parametrize(("body", "message"), [
    ({"text": ""}, "the text is empty"),
    ({"text": "PK\x00\x01"}, "character 2 of the text is U+0000, which no text has"),
    ({"text": "lamp " * 500}, "the text has 2500 characters: expected at most 2000 at once"),
    ({"text": "我的灯坏了。"}, "no sentence of the text is in 'en'"),
    ({"text": "a", "state": {"glossary": {"a": "b", "A": "c"}}}, "the term 'A' is to be both 'b' and 'c'"),
    ({"text": "a", "state": {"glossary": ["a"]}}, "state.glossary is ["),
])  # fmt: skip
def test_what_cannot_be_translated_is_said_in_a_sentence(answering_with, path, body, message):
    with answering_with() as there:
        status, answer = there.ask(path, body)
        assert status == 400 and message in answer["error"] and "Traceback" not in answer["error"]


def test_mixed_languages_are_answered_with_a_note(answering_with):
    with answering_with() as there:
        status, answer = there.ask(PREDICT, {"text": "The lamp. 我的灯坏了。"})
    assert (status, answer["answer"]["sentences"]) == (200, {"translated": 1, "found": 2})
    assert "sentence 2 is not in 'en', and left as it stands" in answer["answer"]["notes"]
