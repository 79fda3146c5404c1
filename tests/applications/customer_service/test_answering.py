"""A customer service whose parts can be read off (`service`): what it does, says and is judged by."""

from types import SimpleNamespace

import numpy as np
import pytest
from service import SETTINGS

from millis.applications.customer_service.answering import State, intent_of, outside_of


def test_an_intent_is_answered_with_its_particulars(runner):
    turn = runner.predict("parcel 48213")
    assert (turn.action, turn.intent, turn.text) == ("answer", "track", "order 48213 is on its way")
    # "parcel" has logits (8, 0, 0, 0) and the unknown word none: the mean is (4, 0, 0, 0), e^4 / (e^4 + 3) = 0.948.
    assert turn.confidence == pytest.approx(0.948, abs=1e-3)
    assert turn.value() == ["answer", "track"]


def test_of_several_labels_out_of_scope_none_is_an_intent():
    odds = np.array([0.2, 0.25, 0.2, 0.35], "f4")
    part = SimpleNamespace(outputs=lambda texts: [(np.log(odds)[None],)])
    outside = outside_of(["track", "out_of_scope", "cancel", "oos"])
    assert intent_of(part, "x", outside) == pytest.approx((0, 0.2, 0.6))
    assert intent_of(part, "x", []) == pytest.approx((3, 0.35, 0))


def test_what_is_missing_is_asked_for_and_the_next_message_says_it(runner):
    first = runner.predict("parcel")
    assert (first.action, first.text) == ("ask", "which order?")
    assert first.state == State("track", "order_number", {})
    second = runner.predict(("it is LK48213", vars(first.state)))
    assert (second.action, second.intent, second.text) == ("answer", "track", "order LK48213 is on its way")
    third = runner.predict(("stop", vars(second.state)))
    assert (third.action, third.text) == ("answer", "cancelled LK48213"), "the number is carried over"
    assert runner.predict("stop").action == "ask", "nothing is kept without a state"


def test_a_long_message_with_what_was_asked_for_is_understood_anew(runner):
    asked = {"intent": "track", "asked": "order_number", "slots": {}}
    said = "stop " * 9 + "48213"
    assert runner.predict((said, asked)).intent == "cancel"
    assert runner.predict(("48213", asked)).intent == "track"
    assert runner.predict(("weather", asked)).action == "out_of_scope", "it says nothing that was asked for"


def test_a_question_has_the_answer_of_its_entry(runner):
    turn = runner.predict("open")
    assert (turn.action, turn.entry, turn.text) == ("faq", "hours", "from nine to five")
    assert turn.cosine == pytest.approx(1.0) and turn.value() == ["faq", "hours"]
    # Between both entries the cosine is 0.707, less than the 0.8 that is asked for.
    assert runner.predict("open postage").action == "hand_over"


def test_what_is_not_known_is_said(runner):
    assert (runner.predict("weather").action, runner.predict("weather").text) == ("out_of_scope", "i do not know")
    turn = runner.predict("hm")  # (1, 0, 0, 0): e / (e + 3) = 0.475
    assert (turn.action, turn.text, turn.intent) == ("hand_over", SETTINGS.hand_over, "track")
    assert turn.confidence == pytest.approx(0.475, abs=1e-3)
    assert turn.state.intent is None


def test_a_state_that_was_made_up_does_no_harm(runner):
    turn = runner.predict(("48213", {"intent": "nothing", "asked": "order_number", "slots": {"__class__": "x"}}))
    assert turn.action in ("hand_over", "out_of_scope", "ask") and "__class__" not in turn.slots


def test_judging_counts_what_was_done_right(runner):
    rows = [
        {"text": "parcel 48213", "label": "track"},  # answered: right
        {"text": "stop", "label": "track"},  # the wrong intent
        {"text": "open", "label": "question", "entry": "hours"},  # right; its place is 1
        {"text": "open", "label": "question", "entry": "costs"},  # the wrong entry; its place is 2
        {"text": "weather", "label": "out_of_scope"},  # right
        {"text": "parcel", "label": "out_of_scope"},  # acted upon
        {"text": "hm", "label": "track"},  # handed over, and was in scope
        {"text": "parcel", "label": "track", "conversation": "1", "action": "ask"},  # right
        {
            "text": "12345",
            "label": "track",
            "conversation": "1",
            "action": "answer",
            "slots": {"order_number": "12345"},
        },
        {"text": "stop", "label": "cancel", "conversation": "1", "action": "ask"},  # it knows the number: answers
    ]
    found = {measure.name: measure.value for measure in runner.judge(rows)}
    assert found == pytest.approx({
        "right_action": 50.0,  # 5 of 10
        "out_of_scope_recall": 50.0,  # 1 of 2
        "in_scope_acceptance": 87.5,  # 7 of 8
        "faq_mrr": 0.75,  # (1 + 1/2) / 2
    })  # fmt: skip
