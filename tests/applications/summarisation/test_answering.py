"""Summaries that are read off words whose vectors were set by hand."""

from dataclasses import replace
from time import perf_counter_ns

import pytest
from summaries import SETTINGS, summaries_application

from millis.applications.contract import Request
from millis.applications.runner import load
from millis.applications.summarisation.answering import assemble
from millis.errors import MillisError


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    return load(summaries_application(tmp_path_factory.mktemp("summarisation") / "summaries"))


def with_settings(runner, **changes):
    return assemble(replace(SETTINGS, **changes), runner.parts, None)


def test_what_is_worth_most_by_all_that_is_known_is_chosen(runner):
    # Of the cheap vectors cats are best, then fish (0.6), then dogs (0); two are read closely, and fish are like dogs.
    found = runner.predict("One dog. One cat. One fish.")
    assert found.text == "One fish."
    assert found.sentences == ((18, 27),)
    assert found.read == {"characters": 27, "sentences": 3, "surveyed": 3, "closely": 2}
    assert found.value() == "One fish."


def test_what_was_not_read_closely_has_its_cheap_worth(runner):
    assert with_settings(runner, closely=0).answer("One dog. One cat. One fish.").text == "One cat."
    assert (
        with_settings(runner, closely=3)
        .answer(
            "One fish. One dog. One cat.",
        )
        .text
        == "One fish."
    )


def test_the_first_sentences_lead_where_asked(runner):
    assert with_settings(runner, method="lead", sentences=2).answer("A cat. A dog. A fish.").text == "A cat. A dog."


def test_what_repeats_is_left_out(runner):
    text = "One cat. Two cats cat. One dog."
    repeated = with_settings(runner, closely=0, sentences=2, share=1.0).answer(text)
    assert repeated.text == "One cat. Two cats cat."
    assert with_settings(runner, closely=0, sentences=2, share=0.1).answer(text).text == "One cat. One dog."


def test_chinese_sentences_stand_without_blanks(runner):
    assert with_settings(runner, sentences=2).answer("你好。我叫小明！").text == "你好。我叫小明！"


def test_a_deadline_reaches_the_steps(runner):
    late = runner.application._split(Request("A cat. A dog.", None, perf_counter_ns() - 1))
    assert late.until_ns is not None
    timed = runner.predict("A cat. " * 20_000, deadline_ms=25)
    assert timed.answer.read["surveyed"] < 20_000
    assert timed.answer.text.startswith("A cat.")


@pytest.mark.parametrize("text", ["", " \n ", "\u2028"])
def test_nothing_to_summarise_is_said(runner, text):
    with pytest.raises(MillisError, match=r"the text is empty|the text has no sentences"):
        runner.predict(text)


@pytest.mark.parametrize("text", ["\x00\x01\x02", "x" * 5000, "🙂" * 50, "cat 你好。 Ж", "a\n" * 3000])
def test_hostile_texts_are_answered(runner, text):
    found = runner.predict(text)
    assert all(text[begin:end] for begin, end in found.sentences)


def test_it_is_judged_by_rouge(runner):
    rows = [{"document": "One cat. One fish.", "summaries": ["one fish"]}]
    measures = runner.judge(rows)
    assert [one.name for one in measures] == ["rouge_1", "rouge_2", "rouge_l"]
    assert [one.value for one in measures] == [100, 100, 100]


def test_it_says_what_it_is(runner):
    assert runner.about.answers == "a summary of 1 sentence"
    assert [name for name, _ in runner.stages] == ["read", "split", "survey", "close", "choose"]


@pytest.mark.parametrize(("changes", "message"), [
    ({"quick": [1.0]}, "there are 1 weights of what 'survey' gives: expected 7 finite ones"),
    ({"full": [float("nan")] * 7}, "there are 7 weights of what 'close' gives: expected 7 finite ones"),
])  # fmt: skip
def test_weights_that_do_not_fit_are_refused(runner, changes, message):
    with pytest.raises(MillisError, match=message):
        with_settings(runner, **changes)


def test_a_part_that_is_missing_is_named(runner):
    with pytest.raises(MillisError, match="the part 'close' gives no vectors of texts"):
        assemble(SETTINGS, {"survey": runner.parts["survey"]}, None)
