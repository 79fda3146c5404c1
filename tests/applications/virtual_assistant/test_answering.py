"""A virtual assistant whose part knows a few words: commands, arguments, half of the words."""

from types import SimpleNamespace

import pytest

from millis.applications.contract import Request
from millis.applications.virtual_assistant.answering import (
    Command,
    Settings,
    State,
    VirtualAssistant,
    half,
    spans_of,
)
from millis.errors import MillisError
from millis.tasks.classification import Label
from millis.types import Output

NOW = {"now": "2026-11-30T17:00:00"}
WORDS = {"wake": ("alarm", 0.9), "light": ("lights", 0.95), "rain": ("out_of_scope", 0.99)}
SLOTS = {"seven": "when", "hall": "room", "fifty": "level"}
SETTINGS = Settings(
    least_confidence=0.5,
    commands={"alarm": Command(["when"], "at what time?"), "lights": Command()},
    types={"when": "date", "level": "number"},
    unknown="pardon?",
)


class Knows:
    """A part that takes the last word it knows for the intent, and each word of `SLOTS` for a slot."""

    manifest = SimpleNamespace(
        signature=SimpleNamespace(outputs=(Output("intent", "text", 3), Output("tags", "token", 4))),
        task={"labels": ["alarm", "lights", "out_of_scope"]},
    )
    about = SimpleNamespace(answers="what it answers")

    def predict(self, text):
        intent = next((WORDS[word] for word in reversed(text.split()) if word in WORDS), ("alarm", 0.2))
        spans = [
            SimpleNamespace(kind=SLOTS[word], text=word, start=text.index(word), end=text.index(word) + len(word))
            for word in text.split()
            if word in SLOTS
        ]
        return SimpleNamespace(intent=Label(intent[0], 0, intent[1]), spans=spans)


@pytest.fixture(scope="module")
def assistant():
    return VirtualAssistant(SETTINGS, Knows())


def answer(assistant, text, state=None):
    given = Request(text, None if state is None else State(**state))
    for _, step in assistant.steps:
        given = step(given)
    return given


def test_a_command_has_typed_arguments(assistant):
    heard = answer(assistant, "wake me at seven", NOW)
    assert (heard.action, heard.intent, heard.text) == ("command", "alarm", "alarm(when=2026-12-01T07:00:00)")
    (one,) = heard.arguments
    assert (one.slot, one.words, one.start, one.end, one.type) == ("when", "seven", 11, 16, "date")
    assert heard.value() == ["command", "alarm", [["when", "2026-12-01T07:00:00"]]]
    heard = answer(assistant, "light hall fifty")
    assert [(one.type, one.value) for one in heard.arguments] == [("text", "hall"), ("number", 50.0)]
    assert heard.text == "lights(room=hall, level=50.0)"


def test_what_is_missing_is_asked_for_and_what_is_not_known_said(assistant):
    assert answer(assistant, "wake me")[:2] == ("ask", "alarm") and answer(assistant, "wake").text == "at what time?"
    assert answer(assistant, "w").action == "unknown" and answer(assistant, "w").text == "pardon?"
    assert answer(assistant, "will it rain").action == "unknown", "out of scope, however sure"


def test_without_a_time_the_clock_counts(assistant):
    assert answer(assistant, "wake me at seven").arguments[0].value > "2026"
    with pytest.raises(MillisError, match=r"state.now is 'soon': expected a time such as 2026-11-30T17:00:00"):
        answer(assistant, "wake me", {"now": "soon"})
    with pytest.raises(MillisError, match=r"state.now is '9999-12-31T23:00:00': expected a year from 1900 to 9000"):
        answer(assistant, "wake me at seven", {"now": "9999-12-31T23:00:00"})
    assert answer(assistant, "wake me at seven", {"now": "2026-11-30T17:00:00+02:00"}).arguments[0].value == (
        "2026-12-01T07:00:00"
    )


def test_judging_counts_ends_and_halves(assistant):
    rows = [
        # Right; its half "wake me" asks already: the intent is right then, and final.
        {"text": "wake me at seven", "label": "alarm", "slots": "O O O B-when"},
        # Right; at half, "in the hall", nothing is known: the intent comes last.
        {"text": "in the hall the light fifty", "label": "lights", "slots": "O O B-room O O B-level"},
        # A slot too many is a wrong command with the right intent.
        {"text": "light hall", "label": "lights", "slots": "O O"},
        {"text": "will it rain", "label": "out_of_scope", "slots": "O O O"},
        {"text": "wake up seven", "label": "out_of_scope", "slots": "O O O"},
    ]
    found = {measure.name: measure.value for measure in assistant.judge(rows)}
    assert found == pytest.approx({
        "right_command": 60.0, "right_intent": 80.0, "unknown_recall": 50.0,
        "final_at_half": 200 / 3, "intent_at_half": 200 / 3,  # the first and the third of three
    })  # fmt: skip


class Forgets(Knows):
    """A part that sees no slots before it has read "now"."""

    def predict(self, text):
        found = super().predict(text)
        return found if "now" in text else SimpleNamespace(intent=found.intent, spans=[])


def test_a_slot_that_half_of_the_words_have_and_its_answer_lacks_is_not_final():
    rows = [
        {"text": "light fifty right now", "label": "lights", "slots": "O B-level O O"},
        {"text": "light  up fifty now", "label": "lights", "slots": "O O B-level O"},  # fifty has not arrived
        {"text": "will it rain", "label": "out_of_scope", "slots": "O O O"},
    ]
    found = {one.name: one.value for one in VirtualAssistant(SETTINGS, Forgets()).judge(rows)}
    assert found["final_at_half"] == 50


def test_half_of_the_words_has_the_middle_one():
    assert (half("a b c"), half("a b"), half("a")) == ("a b", "a", "a")
    assert half(" a  b c ") == " a  b" and half(" ") == "", "characters stand where they stood"


def test_spans_are_those_of_the_tags():
    row = {"text": "a b c d e", "slots": "B-x I-x O I-y B-y"}
    assert spans_of(row) == [("x", "a b"), ("y", "d"), ("y", "e")]
    assert spans_of({"text": "a b c", "slots": "I-x O I-x"}) == [("x", "a"), ("x", "c")]


def test_parts_that_do_not_fit_are_refused():
    other = Knows()
    other.manifest = SimpleNamespace(signature=SimpleNamespace(outputs=(Output("logits", "text", 3),)), task={})
    with pytest.raises(
        MillisError, match=r"the part 'understand' answers what it answers: expected an intent and slots"
    ):
        VirtualAssistant(SETTINGS, other)
    with pytest.raises(MillisError, match=r"there is no command for the intent 'lights'"):
        VirtualAssistant(Settings(0.5, {"alarm": Command()}, {}, ""), Knows())
