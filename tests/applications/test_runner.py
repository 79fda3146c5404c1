"""An application answers as an artifact does: texts, states, deadlines, stages."""

import shutil
from dataclasses import asdict

import pytest
from service import SETTINGS, parts, service

import millis
from millis.applications.manifest import seal
from millis.applications.runner import load
from millis.errors import MillisError
from millis.serving.one_pass import Runner


def test_load_gives_what_a_folder_is(folder, runner):
    assert isinstance(load(folder / "intent"), Runner)
    assert isinstance(millis.load(folder), type(runner))
    about = runner.about
    assert (about.name, about.backend, about.keeps_state, about.pairs) == ("service", "customer_service", True, False)
    assert about.answers == "2 intents and 2 frequent questions, or hands over to a person"
    assert load(folder / "intent").about.keeps_state is False


def test_the_answer_is_the_composition_of_the_stages(runner):
    given = "stop order 48213"
    for _, stage in runner.stages:
        given = stage(given)
    assert given == runner.predict("stop order 48213")
    assert [name for name, _ in runner.stages] == ["read", "slots", "intent", "faq", "reply"]


def test_a_deadline_says_where_the_time_went(runner):
    timed = runner.predict("parcel 48213", deadline_ms=10_000)
    assert timed.kept and timed.answer == runner.predict("parcel 48213")
    assert [*timed.stage_ms] == ["read", "slots", "intent", "faq", "reply"]
    assert sum(timed.stage_ms.values()) == pytest.approx(timed.elapsed_ms)
    assert not runner.predict("parcel", deadline_ms=1e-6).kept
    with pytest.raises(MillisError, match="deadline_ms=0"):
        runner.predict("parcel", deadline_ms=0)


@pytest.mark.parametrize(("asked", "message"), [
    ("", "the text is empty: expected what somebody says"),
    (" \n\t", "the text is empty"),
    (3, "a request got a int, expected a string"),
    (None, "a request got a NoneType, expected a string"),
    (("a", "b"), "a request got a pair of texts, expected one text"),
    (("a", {"intent": 3}), r"state.intent is 3: expected str \| null, got int. Send the state of the last answer"),
    (("a", {"slots": {"x": "y" * 201}}), "expected str of length <= 200"),
    (("a", [1]), "Send the state of the last answer as it came, or none"),
    (("a", {"slots": {str(i): "" for i in range(9)}}), "expected object of length <= 4"),
])  # fmt: skip
def test_what_is_no_request_is_refused_in_a_sentence(runner, asked, message):
    with pytest.raises(MillisError, match=message):
        runner.predict(asked)


@pytest.mark.parametrize(
    "text", ["\x00\x01", "parcel \U0001f4e6 包裹 посылка", "a" * 100_000, "9" * 50_000, "{order_number}"]
)
def test_any_other_text_has_an_answer(runner, text):
    assert runner.predict(text).action in ("ask", "answer", "hand_over", "out_of_scope", "faq")


def test_an_application_without_a_part_or_with_other_settings_does_not_load(tmp_path):
    made = parts(tmp_path / "one")
    shutil.rmtree(made.pop("faq"))
    seal(tmp_path / "one", "one", "customer_service", made, settings={"least_confidence": 1})
    with pytest.raises(MillisError, match="cannot answer: object missing required field least_cosine in settings"):
        load(tmp_path / "one")
    folder = service(tmp_path / "two", entries=[])
    with pytest.raises(
        MillisError, match=r"the part 'faq' finds 2 entries, and there are answers for 0. Build it again"
    ):
        load(folder)
    folder = service(tmp_path / "three", replies={"track": vars(SETTINGS.replies["track"]) | {"asks": {}}})
    with pytest.raises(MillisError, match="there is no answer for the intent 'cancel'"):
        load(folder)


def test_parts_of_other_kinds_are_refused(tmp_path):
    made = parts(tmp_path / "app")
    shutil.rmtree(made["faq"])
    shutil.copytree(made["intent"], made["faq"])
    seal(tmp_path / "app", "app", "customer_service", made, settings=asdict(SETTINGS))
    with pytest.raises(MillisError, match=r"the part 'faq' answers 4 labels .*: expected one that finds entries"):
        load(tmp_path / "app")
