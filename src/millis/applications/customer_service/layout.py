"""The data of a customer service: a folder that `millis build app=customer_service data.path=FOLDER` reads.

train.jsonl, validation.jsonl, test.jsonl    `text` and `label`: an intent, `question` or `out_of_scope`; a question
                                             also has `entry`, the entry of the FAQ that answers it
faq.jsonl        `id`, `text` (the question) and `answer`
answers.jsonl    `intent`, `answer` (a template, `{order_number}` is filled) and, where wanted, `asks`: particular →
                 what is asked where it is missing; the intents `out_of_scope` and `hand_over` say what is said then
turns.jsonl      may be there: further test rows, `conversation` beside `text` and `label`, in order; `action` and
                 `slots` where they matter
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from millis.applications.customer_service.answering import QUESTION, Action, Entry
from millis.applications.customer_service.replies import Reply
from millis.applications.lines import Said, lines
from millis.applications.scope import OUTSIDE
from millis.applications.tables import SPLITS
from millis.errors import MillisError

FAQ, ANSWERS, TURNS = "faq.jsonl", "answers.jsonl", "turns.jsonl"
OUT_OF_SCOPE, HAND_OVER = "out_of_scope", "hand_over"


@dataclass(frozen=True)
class Message:
    """A row of a split, or a turn of a conversation."""

    text: Said
    label: str
    entry: str | None = None
    conversation: str | None = None
    action: Action | None = None
    slots: dict[str, str] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, Any]:
        """As it is judged."""
        return {name: value for name, value in vars(self).items() if value}


@dataclass(frozen=True)
class _Question:
    id: Said
    text: Said
    answer: str


@dataclass(frozen=True)
class _Answer:
    intent: Said
    answer: str
    asks: dict[str, str] = field(default_factory=dict)


def messages(corpus: Path, name: str) -> list[Message]:
    """The rows of a split, or of `turns`; none where the latter is not there."""
    return [row for _, row in _placed(corpus, name)]


def _placed(corpus: Path, name: str) -> Iterable[tuple[str, Message]]:
    path = corpus / f"{name}.jsonl"
    return () if path.name == TURNS and not path.exists() else lines(path, Message)


def faq_of(corpus: Path) -> list[Entry]:
    """The entries, in order."""
    return [Entry(row.id, row.answer) for _, row in lines(corpus / FAQ, _Question)]


def replies_of(corpus: Path) -> tuple[dict[str, Reply], str, str]:
    """Intent → reply; what is said out of scope, and where a person takes over.

    Raises:
        MillisError: one of these two is missing, or a template names what is no particular.
    """
    found = {}
    for place, row in lines(corpus / ANSWERS, _Answer):
        try:
            found[row.intent] = Reply(row.answer, row.asks)
        except MillisError as error:
            raise MillisError(f"{place}: {error}") from error
    said = [found.pop(name) for name in sorted(OUTSIDE, reverse=True) if name in found]
    outside = said[0] if said else None
    over = found.pop(HAND_OVER, None)
    if outside is None or over is None:
        raise MillisError(
            f"{corpus / ANSWERS} does not say what is answered for {HAND_OVER if over is None else OUT_OF_SCOPE!r}: "
            "add a line for it"
        )
    return found, outside.answer, over.answer


def write(folder: Path, split: str, rows: Iterable[tuple[str, str | None]]) -> None:
    """A split as a part reads it: `text` and `label`."""
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n" for text, label in rows)
    (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")


def check(corpus: Path) -> None:
    """Refuse what is not laid out so.

    Raises:
        MillisError: the file, the line and what is wrong.
    """
    replies, known = replies_of(corpus)[0], _entries(corpus)
    for name in (*SPLITS, TURNS.removesuffix(".jsonl")):
        labels = set()
        for place, row in _placed(corpus, name):
            where = f"{place}: {row.text[:60]!r}"
            if row.label == QUESTION and row.entry not in known:
                raise MillisError(f"{where} names entry {row.entry!r}, which {FAQ} does not have")
            if row.label not in (*replies, QUESTION, *OUTSIDE):
                raise MillisError(f"{where} has the label {row.label!r}, for which {ANSWERS} has no answer")
            labels.add(row.label)
        if name not in SPLITS:
            continue
        if not labels:
            raise MillisError(f"{corpus / name}.jsonl has no rows")
        for wanted, what in (({QUESTION}, "a question"), (OUTSIDE, "out of scope")):
            if not labels & wanted:
                raise MillisError(f"{corpus / name}.jsonl has no row that is {what}: thresholds and measures need some")


def _entries(corpus: Path) -> set[str]:
    """The ids of the FAQ.

    Raises:
        MillisError: two entries have the same, or there are not enough.
    """
    known = set[str]()
    for place, row in lines(corpus / FAQ, _Question):
        if row.id in known:
            raise MillisError(f"{place}: the id {row.id!r} is that of an entry before; each needs one of its own")
        known.add(row.id)
    if len(known) < 2:
        raise MillisError(f"{corpus / FAQ} has {len(known)} entries: expected two or more")
    return known
