"""In which order sentences are read, and how a deadline cuts that off."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from summaries import summaries_application

from millis.applications.runner import load
from millis.applications.sentences import Sentence
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
