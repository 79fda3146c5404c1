"""How recommendations are built: an encoder of items' texts, and towers that are learned from histories."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from millis.applications import contract
from millis.applications.contract import Row, given
from millis.applications.recommendation import corpus as own
from millis.applications.recommendation.answering import ENCODER, Settings, State, row_of, vectors_of
from millis.applications.recommendation.catalogue import Catalogue, Names
from millis.applications.recommendation.interactions import Columns, read_histories, read_items
from millis.applications.recommendation.learning import Learning, learn
from millis.errors import MillisError
from millis.serving.one_pass import Runner

QUERIES = 200  # users whose searches compare the graph with looking at every item
TIMED = 500  # requests
MOST = 2000  # items whose texts the encoder learns from


@dataclass(frozen=True)
class Recommendation:
    """How recommendations are built.

    Args:
        parts: Of `encoder`, which gives vectors of items' texts: overrides of `millis compress`.
        learning: Of both towers.
        item: Column of an item's id, in the catalogue and in the interactions.
        user, time: Columns of the interactions.
        text: Columns of the catalogue that an item's text is made of, the title first.
        seed: Of the towers.
        name: Of the folders that it is built in.

    Raises:
        MillisError: no column of texts.
    """

    parts: Mapping[str, Sequence[str]]
    learning: Learning = field(default_factory=Learning)
    item: str = "item"
    user: str = "user"
    time: str = "time"
    text: Sequence[str] = ("title", "genres")
    seed: int = 0
    name: str = "recommendation"
    kind: ClassVar[str] = "recommendation"

    def __post_init__(self) -> None:
        if not self.text or isinstance(self.text, str):
            raise MillisError("app.text names no columns: expected those of an item's text, such as [title,genres]")

    @property
    def columns(self) -> Columns:
        """Of the files."""
        return Columns(self.item, self.user, self.time, tuple(self.text))

    def write_corpus(self, folder: Path) -> None:
        """The stories and readers that ship with it."""
        own.write(folder)

    def check(self, corpus: Path) -> None:
        """Refuse what is no catalogue with histories.

        Raises:
            MillisError: as said.
        """
        read_histories(corpus, self.columns, read_items(corpus, self.columns))

    def prepare(self, corpus: Path, folder: Path) -> None:
        """Items as the encoder learns them: each text finds itself; the texts say no more than that."""
        texts = list(dict.fromkeys(read_items(corpus, self.columns).texts))
        entries = [{"id": str(place), "text": text} for place, text in enumerate(texts[:MOST])]
        asked = [{"text": entry["text"], "label": entry["id"]} for entry in entries]
        for name, rows in (("collection", entries), ("train", asked)):
            written = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / f"{name}.jsonl").write_text(written, encoding="utf-8")

    def inputs(self, corpus: Path, folder: Path) -> Mapping[str, Sequence[str]]:
        """See `prepare`."""
        collection = given("task.collection", folder / "collection.jsonl")
        return {ENCODER: ["task=retrieval", collection, "data=local", given("data.path", folder), "data.text=text"]}

    def settle(self, corpus: Path, parts: Mapping[str, Runner], folder: Path) -> Mapping[str, Any]:
        """Towers, the catalogue, and a graph where that finds what is nearest and is faster."""
        items = read_items(corpus, self.columns)
        histories = read_histories(corpus, self.columns, items)
        learned = learn(vectors_of(parts[ENCODER], items.texts), histories, self.learning, self.seed)
        catalogue = Catalogue(Names(list(items.ids), list(items.texts)), learned.vectors, learned.popularity)
        users = [learned.tower.user(learned.vectors[list(one.history)]) for one in histories.validation[:QUERIES]]
        graphed, comparison = catalogue.graphed(np.stack(users))
        (graphed if comparison.pays else catalogue).write(learned.tower, folder)
        return asdict(Settings(comparison.note(len(items.ids))))

    def rows(self, corpus: Path) -> Sequence[Row]:
        """The test questions."""
        items = read_items(corpus, self.columns)
        return [row_of(one, items.ids) for one in read_histories(corpus, self.columns, items).test]

    def requests(self, rows: Sequence[Row]) -> Sequence[contract.Asked]:
        """Histories without words."""
        return [("", asdict(State(list(row["history"])))) for row in rows[:TIMED]]
