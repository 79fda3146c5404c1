"""A text read within a time: all of it quickly, and what seems to matter closely.

1. The text is divided into sentences (`split`).
2. Every sentence gets a vector of a cheap model (`survey`): first those that begin the sections, then those behind.
3. What is worth most by what is cheap (`millis.applications.summarisation.worth`) gets a vector of a larger model
   (`close`): the best of each section before the second best of any, up to `closely` sentences.

Where there is a time by which to be done, each step takes as many characters or sentences as fit into its share of
what is left, by what they took here before (`millis.applications.pace`), and the clock ends it in any case; what
choosing among the sentences takes (`chosen`) is left over. So latency is bounded for texts of any length, and what was
not read is told. Without one, time grows in proportion to the text: steps 1 and 2 are linear, step 3 is bounded.

Axes here: N sentences, D of a vector, F features.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.applications.pace import Pace
from millis.applications.sentences import Sentence, sentences
from millis.applications.summarisation.choosing import Numbers
from millis.applications.summarisation.worth import features
from millis.serving.one_pass import Runner

SHARE_OF_SPLIT, SHARE_OF_SURVEY = 0.2, 0.5  # of the time that is left when the step begins
GOLDEN = (5**0.5 - 1) / 2
LEAST = 2000  # characters that are divided however late it is: a few sentences, 0.05 ms


@dataclass
class Read:
    """How far a text was read.

    Args:
        characters: Of the text that was divided into sentences.
        until_ns: Reading of `perf_counter_ns` by which to be done; None where there is time for all.
        sentences: [N] of those that were surveyed, in the order of the text.
        of: How many sentences were found.
        vectors: Of length 1, [N, D].
        features: [N, F].
        places: Of the sentences that were read closely, ascending, [M].
        worth: By what is cheap, [N].
        close: Vectors of `places` by the larger model, of length 1, [M, D].
    """

    characters: int
    until_ns: int | None
    sentences: Sequence[Sentence]
    of: int
    vectors: Numbers = field(default_factory=lambda: np.empty((0, 0), np.float32))
    features: Numbers = field(default_factory=lambda: np.empty((0, 0), np.float32))
    worth: Numbers = field(default_factory=lambda: np.empty(0, np.float32))
    places: Sequence[int] = ()
    close: Numbers = field(default_factory=lambda: np.empty((0, 0), np.float32))


class Reader:
    """Reads texts; several threads may use one.

    Args:
        language: Of texts that are not Chinese (`millis.applications.sentences`).
        survey: Gives vectors, at once.
        close: Gives better ones.
        closely: Most sentences that are read so.
    """

    def __init__(self, language: str, survey: Runner, close: Runner, closely: int) -> None:
        self._language, self._survey, self._close, self._closely = language, survey, close, closely
        self._splitting, self._surveying, self._reading = Pace(20), Pace(300), Pace(10_000)  # ns a character
        self._choosing = Pace(500)  # ns a sentence

    def split(self, text: str, until_ns: int | None) -> Read:
        """The text, or as much of its beginning as there is time for, as sentences; of several without the last one
        where the text was cut, for that may be the beginning of one."""
        begun, most = perf_counter_ns(), len(text)
        if until_ns is not None:
            most = max(LEAST, self._splitting.fits(SHARE_OF_SPLIT * (until_ns - begun)))
        found = sentences(text[:most], self._language)
        self._splitting.learn(perf_counter_ns() - begun, min(most, len(text)))
        if most < len(text) and len(found) > 1:
            found.pop()
        return Read(min(most, len(text)), until_ns, found, len(found))

    def survey(self, read: Read) -> Read:
        """Vectors and features of every sentence, or of those that there is time for, at least of one."""
        begun, until = perf_counter_ns(), None
        if read.until_ns is not None:
            until = begun + int(SHARE_OF_SURVEY * (read.until_ns - begun))
        order = _openings_first(read.sentences) if until is not None else range(len(read.sentences))
        places, rows = self._asked(self._survey, self._surveying, read.sentences, order, until, 1)
        read.vectors, places = _unit(rows, places), sorted(places)
        read.features = features(read.sentences, read.vectors, places)
        read.sentences = [read.sentences[place] for place in places]
        return read

    def read(self, read: Read, worth: Numbers) -> Read:
        """Vectors by the larger model, of the sentences that promise most.

        Args:
            read: After `survey`.
            worth: Of each sentence by what is cheap, [N].
        """
        read.worth, until = worth, read.until_ns
        if until is not None:
            until -= int(self._choosing.most_ns * len(read.sentences))
        order = best_of_each(read.sentences, worth)[: self._closely]
        places, rows = self._asked(self._close, self._reading, read.sentences, order, until, 0)
        if places:
            read.places, read.close = sorted(places), _unit(rows, places)
        return read

    def chosen(self, took_ns: int, read: Read) -> None:
        """Choosing among the sentences took so long: so much is left over the next time."""
        self._choosing.learn(took_ns, len(read.sentences))

    def _asked(
        self, runner: Runner, pace: Pace, texts: Sequence[Sentence], order: Iterable[int], until: int | None, least: int
    ) -> tuple[list[int], list[NDArray[np.float32]]]:
        """Outputs of a model for sentences in `order`, at least `least`, as far as there is time, and their places.

        One that is too long for what is left is passed over.
        """
        places, rows, characters, begun, too_long = list[int](), list[Any](), 0, perf_counter_ns(), False
        for place in order:
            text = texts[place].text
            if until is not None and len(rows) >= least:
                left = until - perf_counter_ns()
                if left <= 0:
                    break
                if pace.most_ns * len(text) > left:
                    too_long = True
                    continue
            rows += [outputs[0] for outputs in runner.outputs([text])]
            places.append(place)
            characters += len(text)
        if too_long and not places:
            pace.doubt()
        pace.learn(perf_counter_ns() - begun, characters)
        return places, rows


def _openings_first(found: Sequence[Sentence]) -> list[int]:
    """Places of sentences: the first of every section, then the second of every section, and so on.

    Sections follow each other as multiples of the golden ratio do on a circle, so that however few of them are reached
    they are spread over the text.
    """
    sections = np.fromiter((one.section for one in found), np.int64, len(found))
    within = np.arange(len(found)) - np.searchsorted(sections, sections)
    order: list[int] = np.lexsort((sections * GOLDEN % 1, within)).tolist()
    return order


def best_of_each(found: Sequence[Sentence], worth: Numbers) -> list[int]:
    """Places of sentences: the best of every section, best first, then the second best of every section, and so on."""
    sections = np.fromiter((one.section for one in found), np.int64, len(found))
    by_section = np.lexsort((-worth, sections))
    ranks = np.empty(len(found), np.int64)
    ranks[by_section] = np.arange(len(found)) - np.searchsorted(sections, sections[by_section])
    order: list[int] = np.lexsort((-worth, ranks)).tolist()
    return order


def _unit(rows: Sequence[NDArray[np.float32]], places: Sequence[int]) -> Numbers:
    """Vectors of length 1 in the order of their places, [N, D]."""
    vectors = np.concatenate(rows)[np.argsort(places)]
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)
