"""How the summarisation is built: what its parts learn, and what is chosen on validation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np

from millis.applications.contract import Asked, Row, given
from millis.applications.sentences import sentences
from millis.applications.summarisation import corpus as own
from millis.applications.summarisation.answering import CLOSE, SURVEY, Settings
from millis.applications.summarisation.choosing import Numbers, marginal
from millis.applications.summarisation.documents import (
    Document,
    documents,
    shared,
    write_collection,
    write_sentences,
)
from millis.applications.summarisation.reading import Read, Reader
from millis.applications.summarisation.worth import fitted, known
from millis.applications.tables import SPLITS
from millis.errors import MillisError
from millis.serving.one_pass import Runner

KIND = "summarisation"
COLLECTION = "collection.jsonl"
PENALTIES = (1.0, 10.0, 100.0, 1000.0)  # of the regression, which are tried on validation
SHARES = (1.0, 0.9, 0.8, 0.7, 0.5)  # λ that are tried on validation


@dataclass(frozen=True)
class Summarisation:
    """How a summarisation is built.

    Args:
        parts: Of `survey`, whose vectors every sentence gets, and of `close`, whose vectors those get that matter:
            overrides of `millis compress`.
        language: Code of the language of documents that are not Chinese.
        sentences: Of a summary; null is the number, up to `most_sentences`, that shares most with the summaries of
            validation.
        most_sentences: See `sentences`.
        closely: Most sentences of a text that are read closely; what a deadline leaves time for is less.
        learned_from: Documents that worth is learned from, and the survey's vectors: the first so many of training,
            and of validation.
        method: `worth`, or `lead`: the first sentences, for comparison.
        name: Of the folders that it is built in.
    """

    parts: Mapping[str, Sequence[str]]
    language: str = "en"
    sentences: int | None = None
    most_sentences: int = 5
    closely: int = 64
    learned_from: int = 2000
    method: Literal["worth", "lead"] = "worth"
    name: str = KIND
    kind: ClassVar[str] = KIND

    def __post_init__(self) -> None:
        if (
            (self.sentences is not None and self.sentences < 1)
            or self.most_sentences < 1
            or self.closely < 0
            or self.learned_from < 1
        ):
            raise MillisError("app.sentences, app.most_sentences and app.learned_from are at least 1, app.closely 0")
        if self.method not in ("worth", "lead"):
            raise MillisError(f"app.method={self.method!r}: expected worth or lead")

    def write_corpus(self, folder: Path) -> None:
        """The articles that ship with it."""
        own.write(folder)

    def check(self, corpus: Path) -> None:
        """Refuse a folder without documents and summaries in all three splits.

        Raises:
            MillisError: as said.
        """
        for split in SPLITS:
            documents(corpus, split)

    def prepare(self, corpus: Path, folder: Path) -> None:
        """The sentences of training documents, which the cheap model learns the vectors of."""
        found = documents(corpus, "train")[: self.learned_from]
        write_sentences(found, self.language, folder / "train.jsonl")
        write_collection(found, folder / COLLECTION)

    def inputs(self, corpus: Path, folder: Path) -> Mapping[str, Sequence[str]]:
        """See `prepare`."""
        data = ["data=local", given("data.path", folder), "data.text=text"]
        return {
            key: ["task=retrieval", given("task.collection", folder / COLLECTION), *data] for key in (SURVEY, CLOSE)
        }

    def settle(self, corpus: Path, parts: Mapping[str, Runner], folder: Path) -> Mapping[str, Any]:
        """Weights of what is known of a sentence from training documents; penalty, λ and length by validation."""
        reader = Reader(self.language, parts[SURVEY], parts[CLOSE], closely=2**31)
        train, told = (
            [_Told.of(reader, document) for document in found if sentences(document.text, self.language)]
            for found in (documents(corpus, split)[: self.learned_from] for split in SPLITS[:2])
        )
        quick, full = (
            min((_fitted(train, way, penalty) for penalty in PENALTIES), key=partial(_missed, told, way))
            for way in (_Told.quick, _Told.full)
        )
        share, count = self._chosen(told, full)
        return asdict(Settings(self.language, count, share, self.closely, quick.tolist(), full.tolist(), self.method))

    def _chosen(self, told: Sequence["_Told"], full: Numbers) -> tuple[float, int]:
        """λ and the number of sentences whose summaries share most with those of validation."""
        counts = range(1, self.most_sentences + 1) if self.sentences is None else (self.sentences,)
        best, found = -1.0, (SHARES[0], counts[0])
        for count in counts:
            for share in SHARES if count > 1 else SHARES[:1]:
                value = float(np.mean([one.summarised(one.full() @ full, count, share) for one in told]))
                if value > best:
                    best, found = value, (share, count)
        return found

    def rows(self, corpus: Path) -> Sequence[Row]:
        """The test documents."""
        return [{"document": one.text, "summaries": list(one.summaries)} for one in documents(corpus, "test")]

    def requests(self, rows: Sequence[Row]) -> Sequence[Asked]:
        """Their texts."""
        return [row["document"] for row in rows]


class _Told(NamedTuple):
    """A document that was read as a whole, all of it closely, and what its sentences are worth, [N]."""

    document: Document
    read: Read
    worth: Numbers

    @classmethod
    def of(cls, reader: Reader, document: Document) -> "_Told":
        read = reader.survey(reader.split(document.text, None))
        read = reader.read(read, read.features[:, 0])
        worth = [shared(one.text, document.summaries) for one in read.sentences]
        return cls(document, read, np.array(worth, np.float32))

    def quick(self) -> Numbers:
        """All that is cheaply known of its sentences."""
        return known(self.read.features, self.read.vectors)

    def full(self) -> Numbers:
        """All that is known of them."""
        return known(self.read.features, self.read.close)

    def summarised(self, worth: Numbers, count: int, share: float) -> float:
        """What the summary that is chosen so shares with those that are right."""
        places = marginal(worth, self.read.vectors, count, share)
        return shared(" ".join(self.read.sentences[place].text for place in places), self.document.summaries)


Way: TypeAlias = Callable[[_Told], Numbers]


def _fitted(train: Sequence[_Told], way: Way, penalty: float) -> Numbers:
    return fitted([way(one) for one in train], [one.worth for one in train], penalty)


def _missed(told: Sequence[_Told], way: Way, weights: Numbers) -> float:
    """What the sentences that are taken as the best lack of the best that there are, in the mean."""
    return float(np.mean([one.worth.max() - one.worth[int(np.argmax(way(one) @ weights))] for one in told]))
