"""How a virtual assistant is built: one part, and a threshold that is chosen on validation rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from millis.applications.contract import Asked, Row, given
from millis.applications.scope import OUTSIDE, least_confidence
from millis.applications.virtual_assistant import arguments, layout
from millis.applications.virtual_assistant.answering import PART
from millis.applications.virtual_assistant.corpus.generate import write
from millis.errors import MillisError
from millis.serving.one_pass import Runner

NOW = "2026-11-30T17:00:00"  # of the texts that are timed, so that builds compare
TYPED = 60  # test rows whose keystrokes are timed


@dataclass(frozen=True)
class VirtualAssistant:
    """A virtual assistant.

    Args:
        name: Of the folders that it is built in.
        parts: `understand`: how `millis compress` makes it.
        acceptance: Share of the validation rows in scope that are to be commands, 0..1; the threshold follows.

    Raises:
        MillisError: a share that is none.
    """

    name: str
    parts: Mapping[str, Sequence[str]]
    acceptance: float = 0.98
    kind: ClassVar[str] = "virtual_assistant"

    def __post_init__(self) -> None:
        if not 0 < self.acceptance <= 1:
            raise MillisError(f"app.acceptance={self.acceptance}: expected a share above 0, up to 1; 0.98 accepts 98 %")

    def write_corpus(self, folder: Path) -> None:
        """See `corpus/CARD.md`."""
        write(folder)

    def check(self, corpus: Path) -> None:
        """See `layout`; the parsers have to be there."""
        arguments.check()
        layout.check(corpus)

    def prepare(self, corpus: Path, folder: Path) -> None:
        """Nothing: the part reads the corpus as it is."""

    def inputs(self, corpus: Path, folder: Path) -> Mapping[str, Sequence[str]]:
        """The splits, with tags under `slots`."""
        return {PART: ["task=intent_slots", "data=local", given("data.path", corpus)]}

    def settle(self, corpus: Path, parts: Mapping[str, Runner], folder: Path) -> Mapping[str, Any]:
        """The threshold on the validation rows; commands and types."""
        commands, unknown = layout.commands_of(corpus)
        rows = [row for row in layout.messages(corpus, "validation") if row.label not in OUTSIDE]
        answers: list[Any] = [parts[PART].predict(row.text) for row in rows]
        scores = [0.0 if one.intent.label in OUTSIDE else float(one.intent.score) for one in answers]
        least = least_confidence(scores, self.acceptance)
        made = {intent: asdict(command) for intent, command in commands.items()}
        return {
            "least_confidence": least, "commands": made, "types": layout.types_of(corpus), "unknown": unknown,
        }  # fmt: skip

    def rows(self, corpus: Path) -> Sequence[Row]:
        """The test split."""
        return [message.row for message in layout.messages(corpus, "test")]

    def requests(self, rows: Sequence[Row]) -> Sequence[Asked]:
        """What is sent while the first test rows are typed: the text after each keystroke."""
        texts = [row["text"][:end] for row in rows[:TYPED] for end in range(1, len(row["text"]) + 1)]
        return [(text, {"now": NOW}) for text in texts]
