"""How recommendations are answered: what is known of somebody, a vector of that, and the items that score most.

    history   items of the state, and the text as an item that is called so; of neither nothing is known
    user      the tower's vector of these (`tower.py`)
    search    the items that score most, without those of the history (`catalogue.py`)

Whoever has no history and says nothing gets what most people took, and is told so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from msgspec import Meta

from millis.applications.contract import Request, Row
from millis.applications.measure import Measure, mean, share
from millis.applications.recommendation.catalogue import Catalogue, read
from millis.applications.recommendation.interactions import Asked
from millis.applications.recommendation.judging import PLACES, ndcg, recall
from millis.applications.recommendation.tower import Numbers, Tower
from millis.errors import MillisError
from millis.serving.about import WORD
from millis.serving.one_pass import Runner
from millis.types import Stage

ENCODER = "encoder"
LONGEST = 1000  # items of a history that a request may bring
NOBODY = "nothing is known of this user: these are what most people took"
STRANGER = "none of these items is in the catalogue: these are what most people took"

Id = Annotated[str, Meta(max_length=200)]


@dataclass(frozen=True)
class State:
    """What is known of a user.

    Args:
        history: Ids of items that were taken, oldest first.
    """

    history: Annotated[list[Id], Meta(max_length=LONGEST)] = field(default_factory=list)


@dataclass(frozen=True)
class Settings:
    """What the manifest holds.

    Args:
        search: How the catalogue is searched, and what that was measured to find.
    """

    search: str


class Recommended(NamedTuple):
    """An answer.

    Args:
        items: Ids, best first, up to ten.
        texts: What they are called.
        scores: Logarithms of how likely each is taken next, up to a constant.
        note: What to know of it; empty where there is nothing.
        state: The history that was asked with, for the next request.
    """

    items: tuple[str, ...]
    texts: tuple[str, ...]
    scores: tuple[float, ...]
    note: str
    state: State

    @property
    def text(self) -> str:
        """What they are called, a line each."""
        return "\n".join([*([self.note] if self.note else []), *self.texts])

    def value(self) -> list[str]:
        """The ids."""
        return list(self.items)


class _Known(NamedTuple):
    state: State
    taken: list[int]
    said: Numbers | None
    user: Numbers | None = None


def assemble(settings: Settings, parts: Mapping[str, Runner], folder: Path) -> "Recommendation":
    """The application of its parts and its catalogue.

    Raises:
        MillisError: the part is missing or gives no vectors, or the catalogue is damaged or of another encoder.
    """
    if ENCODER not in parts or parts[ENCODER].manifest.signature.outputs[0].choice != "vector":
        raise MillisError(f"the part {ENCODER!r} gives no vectors of texts: expected an artifact of task=retrieval")
    catalogue, tower = read(folder)
    width = parts[ENCODER].manifest.signature.outputs[0].width
    if width != tower.projection.shape[0]:
        raise MillisError(
            f"its tower reads vectors of {tower.projection.shape[0]} numbers, and its encoder gives {width}: they are "
            "not of each other"
        )
    return Recommendation(settings, parts[ENCODER], catalogue, tower)


def vectors_of(encoder: Runner, texts: Sequence[str]) -> Numbers:
    """Vectors of texts, of length 1, [N, T]."""
    rows = np.concatenate([outputs[0] for outputs in encoder.outputs(texts)])
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), np.float32)


class Recommendation:
    """Answers a history, or words, with items.

    Args:
        settings: Of the manifest.
        encoder: Gives vectors of texts.
        catalogue: Items.
        tower: Of users.
    """

    State: ClassVar[Any] = State
    writes: ClassVar[bool] = False
    word: ClassVar[str] = WORD

    def __init__(self, settings: Settings, encoder: Runner, catalogue: Catalogue, tower: Tower) -> None:
        self._settings, self._encoder = settings, encoder
        self.catalogue, self.tower = catalogue, tower
        self._index = catalogue.index  # made now: no request should pay for it

    @property
    def summary(self) -> str:
        """Of how many items."""
        return f"items of a catalogue of {len(self.catalogue.names.ids):,} ({self._settings.search})"

    @property
    def steps(self) -> Sequence[Stage]:
        """History, user, search."""
        return (("history", self._history), ("user", self._user), ("search", self._search))

    def judge(self, rows: Sequence[Row]) -> Sequence[Measure]:
        """Recall and NDCG of the first ten, of what was taken next."""
        places = []
        for row in rows:
            items = self.answer("", row["history"]).items
            places.append(items.index(row["next"]) if row["next"] in items else PLACES)
        found = np.asarray(places, np.float64)
        return [
            share("recall_at_10", (recall(found) > 0).tolist()),
            mean("ndcg_at_10", (100 * ndcg(found)).tolist(), "%"),
        ]

    def answer(self, text: str, history: Sequence[str]) -> Recommended:
        """The composition of the steps."""
        return self._search(self._user(self._history(Request(text, State(list(history))))))

    def _history(self, request: Request) -> _Known:
        state = request.state or State()
        taken = [self._index[name] for name in dict.fromkeys(state.history) if name in self._index]
        said = None
        if request.text and not request.text.isspace():
            said = self.tower.items(vectors_of(self._encoder, [request.text])[0])
        return _Known(state, taken, said)

    def _user(self, known: _Known) -> _Known:
        vectors = self.catalogue.vectors[known.taken[-self.tower.longest :]]
        if known.said is not None:
            vectors = np.concatenate([vectors, known.said[None]])
        return known._replace(user=self.tower.user(vectors)) if len(vectors) else known

    def _search(self, known: _Known) -> Recommended:
        user, note = known.user, ""
        if user is None:
            user = np.zeros(self.catalogue.vectors.shape[1], np.float32)
            note = STRANGER if known.state.history else NOBODY
        places, scores = self.catalogue.best(user, known.taken)
        names = self.catalogue.names
        return Recommended(
            tuple(names.ids[place] for place in places),
            tuple(names.texts[place] for place in places),
            tuple(scores),
            note,
            known.state,
        )


def row_of(asked: Asked, ids: Sequence[str]) -> Row:
    """A question as `judge` reads it."""
    return {"history": [ids[item] for item in asked.history], "next": ids[asked.next]}
