"""How a customer service is built: two parts, and thresholds that are chosen on validation rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from millis.applications.contract import Asked, Row, given
from millis.applications.customer_service import layout
from millis.applications.customer_service.answering import (
    PARTS,
    QUESTION,
    intent_of,
    labels_of,
    outside_of,
)
from millis.applications.customer_service.corpus.generate import write
from millis.applications.scope import OUTSIDE, least_confidence
from millis.applications.tables import SPLITS
from millis.errors import MillisError
from millis.serving.one_pass import Runner

NEVER_TOO_FAR = -1.0  # the least cosine there is


@dataclass(frozen=True)
class CustomerService:
    """A customer service.

    Args:
        name: Of the folders that it is built in.
        parts: `intent` and `faq`: how `millis compress` makes them.
        language: Of the corpus that ships with it.
        acceptance: Share of the messages in scope that are to be acted upon, 0..1; the threshold follows.

    Raises:
        MillisError: a share that is none.
    """

    name: str
    parts: Mapping[str, Sequence[str]]
    language: Literal["en", "zh"] = "en"
    acceptance: float = 0.95
    kind: ClassVar[str] = "customer_service"

    def __post_init__(self) -> None:
        if not 0 < self.acceptance <= 1:
            raise MillisError(f"app.acceptance={self.acceptance}: expected a share above 0, up to 1; 0.95 accepts 95 %")

    def write_corpus(self, folder: Path) -> None:
        """See `corpus/CARD.md`."""
        write(self.language, folder)

    def check(self, corpus: Path) -> None:
        """See `layout`."""
        layout.check(corpus)

    def prepare(self, corpus: Path, folder: Path) -> None:
        """The intent's part reads all messages, that of the FAQ the questions."""
        for split in SPLITS:
            rows = layout.messages(corpus, split)
            layout.write(folder / "intent", split, [(row.text, row.label) for row in rows])
            layout.write(folder / "faq", split, [(row.text, row.entry) for row in rows if row.label == QUESTION])

    def inputs(self, corpus: Path, folder: Path) -> Mapping[str, Sequence[str]]:
        """See `prepare`."""
        faq = ["task=retrieval", given("task.collection", corpus / layout.FAQ)]
        data = {part: ["data=local", given("data.path", folder / part)] for part in PARTS}
        return {"intent": ["task=intent", *data["intent"]], "faq": [*faq, *data["faq"]]}

    def settle(self, corpus: Path, parts: Mapping[str, Runner], folder: Path) -> Mapping[str, Any]:
        """Thresholds on the validation rows; what is said."""
        replies, outside, over = layout.replies_of(corpus)
        rows = layout.messages(corpus, "validation")
        strangers = outside_of(labels_of(parts["intent"]))
        understood = [intent_of(parts["intent"], row.text, strangers) for row in rows]
        inside = [found[1] for found, row in zip(understood, rows, strict=True) if row.label not in OUTSIDE]
        confidence = least_confidence(inside, self.acceptance)
        entries, question = layout.faq_of(corpus), labels_of(parts["intent"]).index(QUESTION)
        asked = [
            row
            for row, (label, probability, _) in zip(rows, understood, strict=True)
            if label == question and probability >= confidence
        ]
        found: list[Any] = [parts["faq"].predict(row.text) for row in asked]
        right = [row.entry == entries[one.ranked[0]].id for row, one in zip(asked, found, strict=True)]
        cosine = least_cosine([float(one.cosines[0]) for one in found], right)
        return {
            "least_confidence": confidence, "least_cosine": cosine, "out_of_scope": outside, "hand_over": over,
            "replies": {intent: asdict(reply) for intent, reply in replies.items()},
            "entries": [asdict(entry) for entry in entries],
        }  # fmt: skip

    def rows(self, corpus: Path) -> Sequence[Row]:
        """The test split, and conversations where there are any."""
        return [message.row for name in ("test", "turns") for message in layout.messages(corpus, name)]

    def requests(self, rows: Sequence[Row]) -> Sequence[Asked]:
        """The texts."""
        return [row["text"] for row in rows]


def least_cosine(cosines: Sequence[float], right: Sequence[bool]) -> float:
    """The threshold at which most is right: what is answered with the right entry, and what is not answered and would
    have been wrong. The lowest of several."""
    order = np.argsort(cosines, kind="stable")
    hits = np.asarray(right, bool)[order]
    if not len(hits):
        return NEVER_TOO_FAR
    # Before the nth: n wrong ones are declined rightly, and those from n on are answered.
    scores = np.concatenate([[0], np.cumsum(~hits)]) + np.concatenate([np.cumsum(hits[::-1])[::-1], [0]])
    best = int(scores.argmax())
    if best == 0:
        return NEVER_TOO_FAR
    sorted_cosines = np.asarray(cosines, np.float64)[order]
    return float(sorted_cosines[best]) if best < len(hits) else float(np.nextafter(sorted_cosines[-1], 2.0))
