"""Answers to histories and words, read off items whose vectors were set by hand."""

from dataclasses import asdict

import numpy as np
import pytest
from stories import NAMES, POPULARITY, TOWER, VECTORS, stories_application

from millis.applications.recommendation.answering import NOBODY, STRANGER, State, assemble
from millis.applications.recommendation.catalogue import Catalogue
from millis.applications.recommendation.tower import Tower
from millis.applications.runner import load
from millis.errors import MillisError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return stories_application(tmp_path_factory.mktemp("recommendation") / "stories")


@pytest.fixture(scope="module")
def runner(folder):
    return load(folder)


def asked(runner, *history, text=""):
    return runner.predict((text, {"history": [*history]}))


def test_what_is_like_the_history_comes_first_and_nothing_of_it_again(runner):
    found = asked(runner, "reef")
    assert found.items == ("tide", "famous", "orbit", "star")
    assert found.texts[0] == "The Tide"
    assert found.scores == (12.0, 1.0, 0.0, 0.0)
    assert found.note == ""
    assert found.state == State(["reef"])
    assert found.value() == ["tide", "famous", "orbit", "star"]


def test_only_the_last_items_count(runner):
    assert asked(runner, "reef", "orbit", "star", "famous").items[0] == "tide"
    assert asked(runner, "tide", "orbit", "star", "famous").scores[0] == 0.0  # three are read, none of them at sea


def test_words_are_an_item_that_is_called_so(runner):
    assert runner.predict("space").items[:2] == ("orbit", "star")
    both = asked(runner, "reef", text="space")  # the mean of (4, 0) and (0, 4) is (2, 2)
    assert (both.items, both.scores) == (("orbit", "tide", "star", "famous"), (8.0, 6.0, 6.0, 1.0))


def test_of_whom_nothing_is_known_gets_what_most_took_and_is_told(runner):
    found = runner.predict("")
    assert (found.items[0], found.note) == ("famous", NOBODY)
    assert found.text.startswith(NOBODY)
    stranger = asked(runner, "no such item")
    assert (stranger.items[0], stranger.note) == ("famous", STRANGER)
    assert asked(runner, "no such item", "reef").items == asked(runner, "reef").items


def test_it_is_judged_by_where_the_next_item_stands(runner):
    rows = [
        {"history": ["reef"], "next": "tide"}, {"history": ["reef"], "next": "orbit"}, {"history": [], "next": "none"}
    ]  # fmt: skip
    recall, ndcg = runner.judge(rows)
    assert (recall.name, ndcg.name) == ("recall_at_10", "ndcg_at_10")
    assert recall.value == pytest.approx(200 / 3)
    assert ndcg.value == pytest.approx((100 + 50) / 3)


def test_it_says_what_it_is(runner):
    assert runner.about.answers == "items of a catalogue of 5 (every item is looked at)"
    assert [name for name, _ in runner.stages] == ["read", "history", "user", "search"]


@pytest.mark.parametrize(("request_", "message"), [
    (("", {"history": "reef"}), "history"),
    (("", {"history": ["x"] * 1001}), "history"),
    (("", {"history": [1]}), "history"),
    (5, "expected a string"),
])  # fmt: skip
def test_what_is_no_request_is_refused(runner, request_, message):
    with pytest.raises(MillisError, match=message):
        runner.predict(request_)


def test_parts_that_do_not_fit_are_refused(runner, folder):
    with pytest.raises(MillisError, match="the part 'encoder' gives no vectors of texts"):
        assemble(runner.application._settings, {}, folder)
    wide = {**TOWER.tensors(), "projection": np.ones((7, 2), np.float32)}
    other = folder.parent / "other"
    other.mkdir()
    Catalogue(NAMES, VECTORS, POPULARITY).write(Tower.of(wide), other)
    with pytest.raises(MillisError, match="reads vectors of 7 numbers, and its encoder gives 2"):
        assemble(runner.application._settings, runner.parts, other)


def test_the_state_is_its_history():
    assert asdict(State()) == {"history": []}
