"""How customer service answers: particulars, intent, frequent questions, reply; and how its answers are judged.

    slots    particulars by their form (`slots.py`); those of the state where this message has none
    intent   the most probable intent, and its probability; a message that only says what was asked for keeps the intent
    faq      of a question, the nearest entry of the FAQ; not asked for intents
    reply    the template of the intent, a question for what it lacks, the entry's answer, or that a person takes over

A message is taken as in scope where the probability of its likeliest intent reaches a threshold, chosen on validation
rows so that a stated share of those in scope is accepted. One that is not accepted is out of scope, where that is
likelier than the intent; else a person is asked to take over. So is a question whose nearest entry is too far away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from millis.applications.contract import Request, Row, said
from millis.applications.customer_service.replies import Reply
from millis.applications.customer_service.slots import KINDS, particulars, rest
from millis.applications.measure import Measure, mean, share
from millis.applications.scope import OUTSIDE
from millis.errors import MillisError
from millis.models.outputs import require_one_text
from millis.serving.about import WORD
from millis.serving.one_pass import Runner
from millis.types import Stage

QUESTION = "question"  # the intent of whoever asks what the FAQ answers
PARTS = ("intent", "faq")
FEW = 40  # characters beside a particular that was asked for, which then is all that a message says
DEEP = 10  # places of the FAQ that count for the mean reciprocal rank
Action: TypeAlias = Literal["answer", "ask", "faq", "out_of_scope", "hand_over"]
Short = Annotated[str, Meta(max_length=200)]


@dataclass(frozen=True)
class State:
    """What a conversation has said.

    Args:
        intent: That the last message had.
        asked: The particular that it was asked for.
        slots: Particulars that are known.
    """

    intent: Short | None = None
    asked: Short | None = None
    slots: Annotated[dict[Short, Short], Meta(max_length=len(KINDS))] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """Of the FAQ."""

    id: str
    answer: str


@dataclass(frozen=True)
class Settings:
    """What the manifest holds.

    Args:
        least_confidence: Least probability of an intent that is acted upon.
        least_cosine: Least cosine of an entry that is answered with.
        replies: Intent → its reply.
        entries: Of the FAQ, in the order of the part's collection.
        out_of_scope, hand_over: What is said then.
    """

    least_confidence: float
    least_cosine: float
    replies: dict[str, Reply]
    entries: list[Entry]
    out_of_scope: str
    hand_over: str


class Turn(NamedTuple):
    """An answer.

    Args:
        action: What was done.
        message: What is said.
        intent: The likeliest, whether it was acted upon or not.
        confidence: Its probability.
        entry: Of the FAQ, where its answer is given.
        cosine: How near the nearest entry is, where the FAQ was asked.
        slots: Particulars of this message, and of the state.
        state: For the next request of this conversation.
    """

    action: Action
    message: str
    intent: str
    confidence: float
    entry: str | None
    cosine: float | None
    slots: dict[str, str]
    state: State

    @property
    def text(self) -> str:
        """What is said."""
        return self.message

    def value(self) -> list[Any]:
        """The action and what it is about."""
        return [self.action, self.entry if self.action == "faq" else self.intent]


class _Heard(NamedTuple):
    text: str
    state: State
    slots: dict[str, str]
    intent: str = ""
    confidence: float = 0.0
    accepted: bool = False
    strange: bool = False
    place: int | None = None
    cosine: float | None = None


class CustomerService:
    """Answers messages.

    Args:
        settings: Of the manifest.
        intent, faq: The parts.

    Raises:
        MillisError: parts and settings that do not fit each other.
    """

    State: ClassVar[Any] = State
    writes: ClassVar[bool] = False
    word: ClassVar[str] = WORD

    def __init__(self, settings: Settings, intent: Runner, faq: Runner) -> None:
        self.settings, self._intent, self._faq = settings, intent, faq
        self._labels = labels_of(intent)
        self._outside = outside_of(self._labels)
        if lacking := sorted({*self._labels} - {*settings.replies, QUESTION, *OUTSIDE}):
            raise MillisError(f"there is no answer for the intent {lacking[0]!r}")
        check_faq(faq, len(settings.entries))

    @property
    def summary(self) -> str:
        """How many intents and entries."""
        intents = len(self.settings.replies)
        return f"{intents} intents and {len(self.settings.entries)} frequent questions, or hands over to a person"

    @property
    def steps(self) -> Sequence[Stage]:
        """See the top of this file."""
        return ("slots", self._hear), ("intent", self._understand), ("faq", self._look_up), ("reply", self._reply)

    def judge(self, rows: Sequence[Row]) -> Sequence[Measure]:
        """Right actions and their parts, over rows that stand alone and those of conversations, turn by turn.

        Right is, of an intent, to answer it or to ask what it lacks, with the particulars that the row names; of a
        question, its entry's answer; of a row out of scope, not to act. A person's taking over is right only there.
        """
        turns = self._conversed(rows)
        outside = [row["label"] in OUTSIDE for row in rows]
        inside = [not one for one in outside]
        declined = [turn.action in ("out_of_scope", "hand_over") for turn in turns]
        question = [row["label"] == QUESTION for row in rows]
        right = [_is_right(row, turn) for row, turn in zip(rows, turns, strict=True)]
        asked = [row for row, one in zip(rows, question, strict=True) if one]
        return [
            share("right_action", right),
            share("out_of_scope_recall", declined, outside),
            share("in_scope_acceptance", [not one for one in declined], inside),
            mean("faq_mrr", [self._reciprocal(row) for row in asked], ""),
        ]

    def _conversed(self, rows: Sequence[Row]) -> list[Turn]:
        """The answer to each row, in order; the state goes on within a conversation."""
        states: dict[Any, State] = {}
        turns = []
        for row in rows:
            conversation = row.get("conversation")
            given: Any = Request(row["text"], None if conversation is None else states.get(conversation))
            for _, step in self.steps:
                given = step(given)
            turns.append(given)
            if conversation is not None:
                states[conversation] = given.state
        return turns

    def _reciprocal(self, row: Row) -> float:
        """Of the place of the right entry among the nearest ten, as mean reciprocal ranks count it."""
        found: Any = self._faq.predict(row["text"])
        ids = [self.settings.entries[place].id for place in found.ranked[:DEEP]]
        return 1 / (1 + ids.index(row["entry"])) if row["entry"] in ids else 0.0

    def _hear(self, request: Request) -> _Heard:
        text, state = said(request), request.state or State()
        new = particulars(text)
        known = {kind: value for kind, value in state.slots.items() if kind in KINDS}
        heard = _Heard(text, state, {**known, **new})
        if state.asked in new and state.intent in self.settings.replies and len(rest(text, new)) <= FEW:
            return heard._replace(intent=state.intent, confidence=1.0, accepted=True)
        return heard

    def _understand(self, heard: _Heard) -> _Heard:
        if heard.accepted:
            return heard
        label, inside, outside = intent_of(self._intent, heard.text, self._outside)
        accepted = inside >= self.settings.least_confidence
        name = self._labels[label]
        return heard._replace(intent=name, confidence=inside, accepted=accepted, strange=outside >= inside)

    def _look_up(self, heard: _Heard) -> _Heard:
        if not heard.accepted or heard.intent != QUESTION:
            return heard
        found: Any = self._faq.predict(heard.text)
        cosine = float(found.cosines[0])
        near = cosine >= self.settings.least_cosine
        return heard._replace(place=int(found.ranked[0]) if near else None, cosine=cosine)

    def _reply(self, heard: _Heard) -> Turn:
        settings, carried = self.settings, State(slots=heard.slots)
        entry, reply = None, settings.replies.get(heard.intent)
        action: Action = "hand_over"
        message = settings.hand_over
        if heard.place is not None:
            action, entry = "faq", settings.entries[heard.place].id
            message = settings.entries[heard.place].answer
        elif heard.accepted and reply is not None:
            missing = reply.missing(heard.slots)
            action = "answer" if missing is None else "ask"
            message = reply.filled(heard.slots) if missing is None else reply.asks[missing]
            carried = State(heard.intent, missing, heard.slots)
        elif not heard.accepted and heard.strange:
            action, message = "out_of_scope", settings.out_of_scope
        cosine, confidence = heard.cosine, heard.confidence
        return Turn(action, message, heard.intent, confidence, entry, cosine, heard.slots, carried)


def assemble(settings: Settings, parts: Mapping[str, Runner], folder: Path) -> CustomerService:
    """The application of a manifest.

    Raises:
        MillisError: parts that are missing or do not fit.
    """
    if lacking := [name for name in PARTS if name not in parts]:
        raise MillisError(f"its part {lacking[0]!r} is missing")
    return CustomerService(settings, parts["intent"], parts["faq"])


def labels_of(intent: Runner) -> list[str]:
    """The intents that a part tells apart.

    Raises:
        MillisError: it answers something else.
    """
    manifest = intent.manifest
    require_one_text(manifest.signature.outputs, "the part 'intent'", "Build it with task=intent")
    return [str(label) for label in manifest.task["labels"]]


def outside_of(labels: Sequence[str]) -> list[int]:
    """The labels of what is out of scope: none, one or several."""
    return [place for place, label in enumerate(labels) if label in OUTSIDE]


def check_faq(faq: Runner, entries: int) -> None:
    """Refuse a part that finds no entries, or those of another FAQ.

    Raises:
        MillisError: as said.
    """
    outputs = faq.manifest.signature.outputs
    if [output.choice for output in outputs] != ["vector"]:
        raise MillisError(
            f"the part 'faq' answers {faq.about.answers}: expected one that finds entries (task=retrieval)"
        )
    if (found := faq.manifest.task["size"]) != entries:
        raise MillisError(f"the part 'faq' finds {found} entries, and there are answers for {entries}")


def intent_of(intent: Runner, text: str, outside: Sequence[int]) -> tuple[int, float, float]:
    """The likeliest intent in scope, its probability, and that of being out of scope.

    Args:
        intent: The part.
        text: A message.
        outside: The labels of what is out of scope.
    """
    logits: NDArray[np.float32] = intent.outputs([text])[0][0][0]
    odds = np.exp(logits - logits.max())
    odds /= odds.sum()
    strangers = np.asarray(outside, np.intp)
    strange = float(odds[strangers].sum())
    odds[strangers] = -1.0
    best = int(odds.argmax())
    return best, float(odds[best]), strange


def _is_right(row: Row, turn: Turn) -> bool:
    if row["label"] in OUTSIDE:
        return turn.action in ("out_of_scope", "hand_over")
    if row["label"] == QUESTION:
        return turn.action == "faq" and turn.entry == row["entry"]
    slots = all(turn.slots.get(kind) == value for kind, value in row.get("slots", {}).items())
    actions = (row["action"],) if row.get("action") else ("answer", "ask")
    return turn.action in actions and turn.intent == row["label"] and slots
