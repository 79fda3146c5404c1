"""How summaries are answered: split, survey, read, choose.

Parts: `survey` gives vectors of all sentences (a static model), `close` better ones of those that matter (a
transformer).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, cast

import numpy as np
from msgspec import Meta

from millis.applications.contract import Request, Row, said
from millis.applications.measure import Measure, judged
from millis.applications.summarisation.choosing import Numbers, leading, marginal
from millis.applications.summarisation.reading import Read, Reader
from millis.applications.summarisation.worth import FEATURES, known
from millis.errors import MillisError
from millis.metrics import named
from millis.serving.about import WORD
from millis.serving.one_pass import Runner
from millis.types import Stage

MEASURES = ("rouge_1", "rouge_2", "rouge_l")
SURVEY, CLOSE = "survey", "close"


@dataclass(frozen=True)
class Settings:
    """What was chosen when the application was built.

    Args:
        language: Code of the language of texts that are not Chinese.
        sentences: Of a summary.
        share: λ of maximal marginal relevance.
        closely: Most sentences that are read closely.
        quick: Weights of what is known of every sentence (`worth.py`).
        full: Of a sentence that was read closely.
        method: `worth`, or `lead`: the first sentences.
    """

    language: str
    sentences: Annotated[int, Meta(ge=1, le=1000)]
    share: Annotated[float, Meta(ge=0, le=1)]
    closely: Annotated[int, Meta(ge=0, le=100_000)]
    quick: list[float]
    full: list[float]
    method: Literal["worth", "lead"] = "worth"


class Summary(NamedTuple):
    """An answer.

    Args:
        text: The summary.
        sentences: Where what was chosen stands in the text: (begin, end) of each, in order.
        read: How many `characters` were read, how many sentences were found (`sentences`), `surveyed` and read
            `closely`: less than the whole text where the time did not suffice.
    """

    text: str
    sentences: tuple[tuple[int, int], ...]
    read: Mapping[str, int]

    def value(self) -> str:
        """The text."""
        return self.text


def assemble(settings: Settings, parts: Mapping[str, Runner], folder: Path) -> "Summarisation":
    """The application of its parts; `folder` has nothing else.

    Raises:
        MillisError: a part is missing or answers something else, or there are more or fewer weights than features.
    """
    for name, weights in ((SURVEY, settings.quick), (CLOSE, settings.full)):
        output = parts[name].manifest.signature.outputs[0] if name in parts else None
        if output is None or output.choice != "vector":
            raise MillisError(f"the part {name!r} gives no vectors of texts: expected an artifact of task=retrieval")
        if len(weights) != len(FEATURES) + output.width or not np.isfinite(weights).all():
            raise MillisError(
                f"there are {len(weights)} weights of what {name!r} gives: expected {len(FEATURES) + output.width} "
                "finite ones"
            )
    return Summarisation(settings, parts)


class Summarisation:
    """Answers a text with its summary.

    Args:
        settings: What was chosen.
        parts: Loaded.
    """

    State: ClassVar[Any] = None
    writes: ClassVar[bool] = False
    word: ClassVar[str] = WORD

    def __init__(self, settings: Settings, parts: Mapping[str, Runner]) -> None:
        self._settings = settings
        self._reader = Reader(settings.language, parts[SURVEY], parts[CLOSE], settings.closely)
        self._quick, self._full = (np.asarray(one, np.float32) for one in (settings.quick, settings.full))

    @property
    def summary(self) -> str:
        """How long its answers are."""
        count = self._settings.sentences
        return f"a summary of {count} sentence{'s' * (count > 1)}"

    @property
    def steps(self) -> Sequence[Stage]:
        """Split, survey, read, choose."""
        return (
            ("split", self._split), ("survey", self._reader.survey), ("close", self._read), ("choose", self._choose)
        )  # fmt: skip

    def judge(self, rows: Sequence[Row]) -> Sequence[Measure]:
        """ROUGE of the rows' summaries (`millis.metrics._rouge`)."""
        answers = [self.answer(row["document"]).text for row in rows]
        right = [tuple(row["summaries"]) for row in rows]
        return [judged(name, cast(Any, named(name, (), "written")), answers, right) for name in MEASURES]

    def answer(self, text: str) -> Summary:
        """The composition of the steps, without a deadline."""
        given: Any = Request(text)
        for _, step in self.steps:
            given = step(given)
        return cast(Summary, given)

    def _split(self, request: Request) -> Read:
        read = self._reader.split(said(request), request.until_ns)
        if not read.sentences:
            raise MillisError("the text has no sentences: expected words")
        return read

    def _read(self, read: Read) -> Read:
        return self._reader.read(read, known(read.features, read.vectors) @ self._quick)

    def _choose(self, read: Read) -> Summary:
        settings, begun = self._settings, perf_counter_ns()
        if settings.method == "lead":
            places = leading(len(read.sentences), settings.sentences)
        else:
            places = marginal(self.worth(read), read.vectors, settings.sentences, settings.share)
        chosen = [read.sentences[place] for place in places]
        counts = {
            "characters": read.characters,
            "sentences": read.of,
            "surveyed": len(read.sentences),
            "closely": len(read.places),
        }
        text = _joined([one.text for one in chosen])
        self._reader.chosen(perf_counter_ns() - begun, read)
        return Summary(text, tuple((one.begin, one.end) for one in chosen), counts)

    def worth(self, read: Read) -> Numbers:
        """Of each sentence, by all that is known of it, [N]."""
        found = read.worth.copy()
        if read.places:
            found[read.places] = known(read.features[read.places], read.close) @ self._full
        return found


def _joined(texts: Sequence[str]) -> str:
    """Sentences one behind the other, with a blank between them unless Chinese ends or begins there."""
    found = texts[0] if texts else ""
    for text in texts[1:]:
        found += text if ord(found[-1]) > 0x2FFF or ord(text[0]) > 0x2FFF else f" {text}"
    return found
