"""How a virtual assistant answers: one model says the intent and the slots, parsers make values of them.

    understand   intent and slots, of one encoder (`task=intent_slots`)
    arguments    the slots' words as dates, durations and numbers (`arguments.py`)
    reply        the command and what is said; or that it was not understood

Every keystroke may be sent: a request is the text so far, and is understood from its beginning, so an answer depends on
nothing that was sent before. An intent whose probability is below a threshold, chosen on validation rows, or that is
out of scope, is no command: while somebody types, it is not understood yet.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

from msgspec import Meta

from millis.applications.contract import Request, Row, said
from millis.applications.measure import Measure, share
from millis.applications.scope import OUTSIDE
from millis.applications.virtual_assistant import arguments
from millis.applications.virtual_assistant.arguments import Type, value_of
from millis.errors import MillisError
from millis.serving.about import WORD
from millis.serving.one_pass import Runner
from millis.types import Stage

PART = "understand"
EARLIEST, LATEST = 1900, 9000  # years that it may be: calendars end at 9999
Action: TypeAlias = Literal["command", "ask", "unknown"]


@dataclass(frozen=True)
class State:
    """What a request may bring.

    Args:
        now: What dates are after, in ISO 8601 without a zone; None is the clock of whoever answers.
    """

    now: Annotated[str, Meta(max_length=32)] | None = None


@dataclass(frozen=True)
class Command:
    """An intent that is carried out.

    Args:
        needs: Slots without which it is asked for more.
        asks: What is said then.
    """

    needs: list[str] = field(default_factory=list)
    asks: str = ""


@dataclass(frozen=True)
class Settings:
    """What the manifest holds.

    Args:
        least_confidence: Least probability of an intent that is a command.
        commands: By intent.
        types: Slot → type; one that is not here is text.
        unknown: What is said where nothing was understood.
    """

    least_confidence: float
    commands: dict[str, Command]
    types: dict[str, Type]
    unknown: str


class Argument(NamedTuple):
    """A slot.

    Args:
        slot: Its name.
        words: As they were said, `text[start:end]`.
        type: What its value is.
        value: ISO 8601, seconds, a number or the words; None where they say none of that type.
    """

    slot: str
    words: str
    start: int
    end: int
    type: Type
    value: str | float | None


class Heard(NamedTuple):
    """An answer.

    Args:
        action: `command`; `ask`, where a needed slot is missing; `unknown`.
        intent: The likeliest.
        confidence: Its probability.
        arguments: In the text's order.
        message: What is said.
        state: As it was sent.
    """

    action: Action
    intent: str
    confidence: float
    arguments: tuple[Argument, ...]
    message: str
    state: State

    @property
    def text(self) -> str:
        """What is said."""
        return self.message

    def value(self) -> list[Any]:
        """The action, the intent and the arguments' values by slot."""
        return [self.action, self.intent, [[one.slot, one.value] for one in self.arguments]]


class VirtualAssistant:
    """Understands commands.

    Args:
        settings: Of the manifest.
        understand: The part.

    Raises:
        MillisError: a part and settings that do not fit each other, or parsers that are not installed.
    """

    State: ClassVar[Any] = State
    writes: ClassVar[bool] = False
    word: ClassVar[str] = WORD

    def __init__(self, settings: Settings, understand: Runner) -> None:
        arguments.check()
        self.settings, self._understand = settings, understand
        if lacking := sorted({*labels_of(understand)} - {*settings.commands, *OUTSIDE}):
            raise MillisError(f"there is no command for the intent {lacking[0]!r}")

    @property
    def summary(self) -> str:
        """How many commands and slots."""
        return f"{len(self.settings.commands)} commands with typed arguments"

    @property
    def steps(self) -> Sequence[Stage]:
        """See the top of this file."""
        return ("understand", self._hear), ("arguments", self._type), ("reply", self._reply)

    def judge(self, rows: Sequence[Row]) -> Sequence[Measure]:
        """Right commands at the end of the text and at half of its words.

        A command is right with its intent and exactly its slots, each of the right words; what is out of scope is right
        where it is unknown. At half of the words (⌈n/2⌉ of n), an intent is right that is answered then, and an answer
        is final whose intent and slots are those of the whole text already, as far as their words have arrived.
        """
        ends = [self._answer(row["text"]) for row in rows]
        begun = [half(row["text"]) for row in rows]
        halves = [self._answer(text) for text in begun]
        known = [row["label"] not in OUTSIDE for row in rows]
        right = [_is_right(row, heard) for row, heard in zip(rows, ends, strict=True)]
        return [
            share("right_command", right),
            share("right_intent", [_intent(row) == _said(one) for row, one in zip(rows, ends, strict=True)]),
            share("unknown_recall", [one.action == "unknown" for one in ends], [not one for one in known]),
            share(
                "final_at_half",
                [_settled(a, b, len(text)) for a, b, text in zip(halves, ends, begun, strict=True)],
                known,
            ),
            share("intent_at_half", [_intent(row) == _said(one) for row, one in zip(rows, halves, strict=True)], known),
        ]

    def _answer(self, text: str) -> Heard:
        given: Any = Request(text)
        for _, step in self.steps:
            given = step(given)
        heard: Heard = given
        return heard

    def _hear(self, request: Request) -> tuple[Any, State]:
        return self._understand.predict(said(request)), request.state or State()

    def _type(self, given: tuple[Any, State]) -> tuple[Any, State, tuple[Argument, ...]]:
        found, state = given
        now, types = now_of(state), self.settings.types
        return found, state, tuple(_argument(span, types.get(span.kind, "text"), now) for span in found.spans)

    def _reply(self, given: tuple[Any, State, tuple[Argument, ...]]) -> Heard:
        found, state, made = given
        label, score = found.intent.label, float(found.intent.score)
        command = self.settings.commands.get(label)
        if command is None or score < self.settings.least_confidence:
            return Heard("unknown", label, score, made, self.settings.unknown, state)
        if set(command.needs) - {one.slot for one in made}:
            return Heard("ask", label, score, made, command.asks, state)
        said_back = ", ".join(f"{one.slot}={one.words if one.value is None else one.value}" for one in made)
        return Heard("command", label, score, made, f"{label}({said_back})", state)


def assemble(settings: Settings, parts: Mapping[str, Runner], folder: Path) -> VirtualAssistant:
    """The application of a manifest.

    Raises:
        MillisError: the part is missing, or does not fit.
    """
    if PART not in parts:
        raise MillisError(f"its part {PART!r} is missing")
    return VirtualAssistant(settings, parts[PART])


def labels_of(part: Runner) -> list[str]:
    """The intents that a part tells apart.

    Raises:
        MillisError: it does not answer with an intent and slots.
    """
    shapes = [(output.per, output.choice) for output in part.manifest.signature.outputs]
    if shapes != [("text", "one"), ("token", "one")]:
        raise MillisError(
            f"the part {PART!r} answers {part.about.answers}: expected an intent and slots (task=intent_slots)"
        )
    return [str(label) for label in part.manifest.task["labels"]]


def now_of(state: State) -> datetime:
    """The time that a request brings, or this moment's.

    Raises:
        MillisError: what it brings is no time.
    """
    if state.now is None:
        return datetime.now()
    try:
        now = datetime.fromisoformat(state.now).replace(tzinfo=None)
    except ValueError as error:
        raise MillisError(f"state.now is {state.now!r}: expected a time such as 2026-11-30T17:00:00") from error
    if not EARLIEST <= now.year <= LATEST:
        raise MillisError(f"state.now is {state.now!r}: expected a year from {EARLIEST} to {LATEST}")
    return now


def half(text: str) -> str:
    """A text up to the end of half of its words, the middle one of an odd number included."""
    ends = [0, *(word.end() for word in re.finditer(r"\S+", text))]
    return text[: ends[len(ends) // 2]]


def _argument(span: Any, kind: Type, now: datetime) -> Argument:
    return Argument(span.kind, span.text, span.start, span.end, kind, value_of(span.text, kind, now))


def _intent(row: Row) -> str:
    return "" if row["label"] in OUTSIDE else str(row["label"])


def _said(heard: Heard) -> str:
    """The intent of a command, or of what would be one with more; nothing where it is unknown."""
    return "" if heard.action == "unknown" else heard.intent


def _is_right(row: Row, heard: Heard) -> bool:
    if _intent(row) != _said(heard):
        return False
    return row["label"] in OUTSIDE or sorted(spans_of(row)) == sorted((one.slot, one.words) for one in heard.arguments)


def _settled(early: Heard, final: Heard, arrived: int) -> bool:
    """Whether the answer to the first `arrived` characters is that of the whole text, as far as its words are there."""
    told = {(one.slot, one.start, one.end) for one in early.arguments}
    meant = {(one.slot, one.start, one.end) for one in final.arguments if one.end <= arrived}
    return _said(early) == _said(final) != "" and told == meant


def spans_of(row: Row) -> list[tuple[str, str]]:
    """(slot, words) that a row's tags mark."""
    found: list[tuple[str, list[str]]] = []
    for word, tag in zip(row["text"].split(), row["slots"].split(), strict=True):
        mark, _, kind = tag.partition("-")
        if mark == "B" or (mark == "I" and (not found or found[-1][0] != kind)):
            found.append((kind, [word]))
        elif mark == "I":
            found[-1][1].append(word)
        else:
            found.append(("", []))  # what follows begins anew
    return [(kind, " ".join(words)) for kind, words in found if kind]
