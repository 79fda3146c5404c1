"""In which order sentences are read, and how a deadline cuts that off."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from summaries import summaries_application

from millis.applications.runner import load
from millis.applications.sentences import Sentence
from millis.applications.summarisation import reading
from millis.applications.summarisation.reading import LEAST, Reader, _openings_first, best_of_each


def found(*sections):
    return [Sentence("x", 0, 1, section) for section in sections]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return load(summaries_application(tmp_path_factory.mktemp("reading") / "summaries")).parts


@pytest.fixture
def reader(parts):
    return Reader("en", parts["survey"], parts["close"], closely=3)


class Slow:
    """A model that takes so long for a sentence."""

    def __init__(self, runner, seconds):
        self._runner, self._seconds = runner, seconds

    def outputs(self, texts):
        time.sleep(self._seconds)
        return self._runner.outputs(texts)


def test_sections_begin_before_any_goes_on():
    order = _openings_first(found(0, 0, 0, 1, 1, 2))
    assert set(order[:3]) == {0, 3, 5}
    assert set(order[3:5]) == {1, 4}
    assert order[5] == 2


def test_however_few_sections_are_reached_they_are_spread():
    places = sorted(_openings_first(found(*range(100)))[:8])
    assert max(np.diff([0, *places, 99])) < 30


@settings(max_examples=50)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=20).map(sorted), st.integers(0, 999))
def test_orders_have_every_sentence_once(sections, seed):
    sentences = found(*sections)
    worth = np.random.default_rng(seed).normal(size=len(sentences)).astype("f4")
    assert sorted(_openings_first(sentences)) == sorted(best_of_each(sentences, worth)) == list(range(len(sentences)))


def test_the_best_of_each_section_come_before_the_second_best_of_any():
    assert best_of_each(found(0, 0, 1, 1), np.array([5, 4, 1, 3], "f4")) == [0, 3, 1, 2]


def test_without_a_deadline_all_is_surveyed_and_the_best_are_read_closely(reader):
    read = reader.survey(reader.split("A cat. A dog. A fish. A cat and a dog.", None))
    assert (len(read.sentences), read.of, read.vectors.shape) == (4, 4, (4, 2))
    np.testing.assert_allclose(np.linalg.norm(read.vectors, axis=1), 1, rtol=1e-5)
    read = reader.read(read, np.array([0, 3, 1, 2], "f4"))
    assert read.places == [1, 2, 3]
    np.testing.assert_allclose(read.close[:2], [[0, 1], [0, 1]], atol=1e-5)


def test_a_deadline_ends_the_survey_and_reading(parts):
    slow = Reader("en", Slow(parts["survey"], 0.01), Slow(parts["close"], 0.01), closely=100)
    text = "\n\n".join(f"A cat {n}. A dog." for n in range(40))
    begun = time.perf_counter()
    read = slow.survey(slow.split(text, time.perf_counter_ns() + 120_000_000))
    assert 1 <= len(read.sentences) < read.of == 80
    assert len(read.vectors) == len(read.features) == len(read.sentences)
    assert [one.begin for one in read.sentences] == sorted(one.begin for one in read.sentences)
    read = slow.read(read, read.features[:, 0])
    assert len(read.places) < len(read.sentences) or len(read.places) < 12
    assert time.perf_counter() - begun < 10  # 80 sentences and 80 again would be 1.6 s; this machine may be busy


def test_one_sentence_is_surveyed_however_late_it_is(reader):
    late = reader.survey(reader.split("A cat. A dog.", time.perf_counter_ns() - 1))
    assert len(late.sentences) == 1
    assert reader.read(late, late.features[:, 0]).places == ()


def test_of_a_text_that_is_too_long_the_beginning_is_divided(reader):
    read = reader.split("A cat. " * 100_000, time.perf_counter_ns() + 1_000_000)
    assert LEAST <= read.characters < 700_000


class Clock:
    """A clock that stands still but where a model is said to take long."""

    def __init__(self, monkeypatch):
        self.now_ms = 0.0
        monkeypatch.setattr(reading, "perf_counter_ns", lambda: int(self.now_ms * 1e6))

    def model(self, takes_ms):
        return Takes(self, takes_ms)


class Takes:
    """A model that takes so many milliseconds of a clock for each sentence."""

    def __init__(self, clock, ms):
        self._clock, self.ms = clock, ms

    def outputs(self, texts):
        self._clock.now_ms += self.ms
        return [(np.ones((1, 2), "f4"),)]


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def closely_read(reader, clock, within_ms=10, text="One cat sits. Two cats sit. All cats sit."):
    read = reader.survey(reader.split(text, int((clock.now_ms + within_ms) * 1e6)))
    return reader.read(read, read.features[:, 0])


def test_after_a_stall_sentences_are_read_closely_again(clock):
    close = clock.model(1)
    reader = Reader("en", clock.model(0), close, closely=3)
    assert [len(closely_read(reader, clock).places) for _ in range(20)] == [3] * 20
    close.ms = 150
    closely_read(reader, clock)
    close.ms = 1
    assert len(closely_read(reader, clock).places) == 0, "150 ms a sentence do not fit into 10"
    counts = [len(closely_read(reader, clock).places) for _ in range(200)]
    assert counts[-50:] == [3] * 50


def test_what_never_fits_is_seldom_tried(clock):
    reader = Reader("en", clock.model(0), clock.model(30), closely=3)
    tried = [len(closely_read(reader, clock).places) for _ in range(300)]
    assert sum(tried) <= 300 / 15 and max(tried) == 1


def test_a_sentence_that_is_too_long_is_passed_over(clock):
    reader = Reader("en", clock.model(0), clock.model(1), closely=3)
    for _ in range(30):
        closely_read(reader, clock)  # 1 ms for 12 characters
    read = closely_read(reader, clock, 3, f"One cat sits. {'Very ' * 60}long. All cats sit.")
    assert read.places == [0, 2]


def test_what_choosing_takes_is_left_over(clock):
    reader = Reader("en", clock.model(0), clock.model(3), closely=3)
    for _ in range(30):
        read = closely_read(reader, clock)
    assert len(read.places) == 3
    reader.chosen(1_500_000, read)  # 0.5 ms a sentence, its deviation half of that: 1 ms at most, 3 of 10 for three
    assert len(closely_read(reader, clock).places) == 2


def test_half_a_sentence_is_none(clock, monkeypatch):
    monkeypatch.setattr(reading, "LEAST", 20)
    reader = Reader("en", clock.model(0), clock.model(0), closely=0)
    assert [one.text for one in reader.split("One cat sits. Two cats sit.", -1).sentences] == ["One cat sits."]
    assert [one.text for one in reader.split("One cat sits on a mat.", -1).sentences] == ["One cat sits on a ma"]
    assert len(reader.split("One cat. Two cats.", -1).sentences) == 2, "all of it was divided"


def test_where_a_sentence_stands_does_not_depend_on_how_many_there_was_time_for(clock):
    text = "\n\n".join("One cat sits. Two cats sit. All cats sit." for _ in range(3))
    survey = clock.model(1)
    reader = Reader("en", survey, clock.model(0), closely=0)
    every = reader.survey(reader.split(text, None))
    some = reader.survey(reader.split(text, int((clock.now_ms + 9) * 1e6)))
    assert 1 < len(some.sentences) < len(every.sentences) == 9
    places = [every.sentences.index(one) for one in some.sentences]
    np.testing.assert_array_equal(some.features[:, 1:3], every.features[places, 1:3])
