"""How translations are answered: split, terms, translate, join.

    split       the text as sentences, and what stands between them (`layout.py`)
    terms       what of each has to be called what: terms of the glossary, codes, long numbers, words of other scripts
    translate   each sentence by a model that reads no more than that, several at once, with placeholders for terms
    join        the translation, and what a reader of it should know

Each sentence is translated by itself, so texts of any length are, in proportion to their length, and a sentence is the
same whatever stands around it. One that is longer than the model reads is divided at a clause. A term that does not
come back is tried again with other placeholders and then without any; what lacks in the end is said
(`Translation.notes`).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import Annotated, Any, ClassVar, NamedTuple, TypeAlias, cast

import numpy as np
from msgspec import Meta

from millis.applications.contract import Request, Row, said
from millis.applications.measure import Measure, judged
from millis.applications.pace import Pace
from millis.applications.pool import AHEAD, RunnerPool
from millis.applications.translation.glossary import Glossary, Term, standing
from millis.applications.translation.layout import Piece, between, halves, joined
from millis.applications.translation.placeholders import COUNT, Masked, fixed, masked, small_numbers
from millis.applications.translation.source import Source
from millis.errors import MillisError
from millis.metrics import named
from millis.models.outputs import REPLY
from millis.serving.one_pass import Runner
from millis.serving.writer import Writer
from millis.types import Stage

SPREAD = PART = "translate"
DEEPEST = 3  # times that a sentence is divided in two
NOTED = 10  # sentences that one note names
_NUMBERS = re.compile(r"\d+(?:[.,:/-]\d+)*")
Words: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]


@dataclass(frozen=True)
class State:
    """What a request may bring.

    Args:
        glossary: Term → what it is to be called in this request; goes before the application's own.
    """

    glossary: Annotated[dict[Words, Words], Meta(max_length=1000)] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """What was chosen when the application was built.

    Args:
        source, target: The languages.
        scripts: That the source is written in (`scripts.py`).
        blanks: Whether the target has blanks between sentences.
        metric: That judges, beside chrF.
        glossary: Term → what it is to be called.
        placeholders: Whether the part learned with them.
        most_characters: Of a text.
    """

    source: str
    target: str
    scripts: list[str]
    blanks: bool = True
    metric: str = "bleu"
    glossary: dict[str, str] = field(default_factory=dict)
    placeholders: bool = True
    most_characters: Annotated[int, Meta(ge=1)] = 100_000

    @property
    def reads(self) -> Source:
        """The language that is read."""
        return Source(self.source, self.scripts, self.most_characters)


class Translation(NamedTuple):
    """An answer.

    Args:
        text: The translation.
        sentences: How many the text has, and how many of them were `translated`: fewer where the time was up, or where
            they are not in the language.
        terms: How many terms of the glossary were `found`, and how many of these are `kept`.
        notes: What a reader should know, a sentence each; none where nothing is.
        state: As it was sent.
    """

    text: str
    sentences: Mapping[str, int]
    terms: Mapping[str, int]
    notes: tuple[str, ...]
    state: State

    def value(self) -> str:
        """The text."""
        return self.text


class Sentence(NamedTuple):
    """One that is to be translated.

    Args:
        piece: Of the text.
        terms: Of the glossary.
        foreign: Whether it is not in the language, and stays as it is.
    """

    piece: Piece
    terms: tuple[Term, ...]
    foreign: bool


class Job(NamedTuple):
    """A request on its way."""

    request: Request
    found: Sequence[Piece]
    behind: str
    glossary: Glossary
    state: State
    sentences: Sequence[Sentence] = ()
    written: Sequence["Written"] = ()
    left: bool = False


class Written(NamedTuple):
    """A sentence that was translated.

    Args:
        text: Of the translation.
        parts: That it was divided into.
        whole: Whether each of them came to its end.
        lacks: What should be in it and is not.
    """

    text: str
    parts: int = 1
    whole: bool = True
    lacks: tuple[str, ...] = ()


def assemble(settings: Settings, parts: Mapping[str, Runner], folder: Path) -> "Translator":
    """The application of its part; `folder` has nothing else.

    Raises:
        MillisError: the part is missing or answers something else, or the glossary contradicts itself.
    """
    part = parts.get(PART)
    if not isinstance(part, Writer) or part.manifest.signature.outputs[0].name != REPLY:
        raise MillisError(f"the part {PART!r} writes no text for a text: expected an artifact of task=translation")
    return Translator(settings, part)


class Translator:
    """Answers a text with its translation.

    Args:
        settings: What was chosen.
        part: Loaded.
    """

    State: ClassVar[Any] = State
    writes: ClassVar[bool] = True

    def __init__(self, settings: Settings, part: Writer) -> None:
        self._settings, self._part, self._source = settings, part, settings.reads
        self._glossary = Glossary(settings.glossary)
        self._pool = RunnerPool([part])
        self._pace = Pace(200_000)  # ns a character

    def spread(self, runners: Sequence[Runner]) -> None:
        """Ask these as well: others of the same part, a thread each."""
        self._pool = RunnerPool([self._part, *runners])

    @property
    def summary(self) -> str:
        """From which language into which."""
        return f"a translation from {self._settings.source} to {self._settings.target}"

    @property
    def word(self) -> str:
        """Of the language, as far as a server that warms it has to know."""
        return self._source.word

    @property
    def steps(self) -> Sequence[Stage]:
        """Split, terms, translate, join."""
        return (("split", self._split), ("terms", self._terms), ("translate", self._translate), ("join", self._join))

    def judge(self, rows: Sequence[Row]) -> Sequence[Measure]:
        """BLEU and chrF of the rows' translations; and, where rows have any, the shares of numbers and of terms kept:
        numbers are those that source and reference both have."""
        answers = [self.answer(row["source"]) for row in rows]
        texts, right = [one.text for one in answers], [row["target"] for row in rows]
        names = (self._settings.metric, "chrf")
        found = [judged(name, cast(Any, named(name, (), "written")), texts, right) for name in names]
        numbers = [_numbers_kept(row, text) for row, text in zip(rows, texts, strict=True)]
        terms = [(one.terms["kept"], one.terms["found"]) for one in answers]
        for name, counts in (("numbers_kept", numbers), ("terms_kept", terms)):
            statistics = np.array(counts, np.float64).reshape(-1, 2)
            if statistics[:, 1].any():
                found.append(Measure(name, statistics * (100, 1)))
        return found

    def answer(self, text: str) -> Translation:
        """The composition of the steps, without a deadline."""
        given: Any = Request(text)
        for _, step in self.steps:
            given = step(given)
        return cast(Translation, given)

    def _split(self, request: Request) -> Job:
        state = request.state or State()
        glossary = self._glossary.with_terms(state.glossary) if state.glossary else self._glossary
        return Job(request, *self._source.read(said(request)), glossary, state)

    def _terms(self, job: Job) -> Job:
        foreign = self._source.foreign(job.found)
        sentences = [
            Sentence(piece, () if strange else (*job.glossary.found(piece.text),), strange)
            for piece, strange in zip(job.found, foreign, strict=True)
        ]
        return job._replace(sentences=sentences)

    def _translate(self, job: Job) -> Job:
        request, done = job.request, list[Written]()
        ahead = AHEAD if request.until_ns is None else 1
        for one in self._pool.each(partial(self._written, until_ns=request.until_ns), self._due(job), ahead):
            done.append(one)
            place = len(done) - 1
            if request.say is not None and not request.say(self._said(job, place, one)):
                return job._replace(written=done, left=True)
        whole = len(done) == len(job.sentences)
        if request.say is not None and whole and job.behind:
            request.say(job.behind)
        return job._replace(written=done)

    def _due(self, job: Job) -> Iterator[Sentence]:
        """The sentences that there is time for, at least one."""
        until = job.request.until_ns
        for place, one in enumerate(job.sentences):
            if until is not None and place and perf_counter_ns() + self._pace.most_ns * len(one.piece.text) > until:
                return
            yield one

    def _written(self, runner: Writer, one: Sentence, until_ns: int | None) -> Written:
        """The translation of a sentence that has most of what it should, of those that there was time for."""
        text = one.piece.text
        if one.foreign:
            return Written(text)
        begun, best = perf_counter_ns(), None
        stay = fixed(text, self._settings.scripts)
        numbers = small_numbers(text, [*one.terms, *stay])
        wanted = [term.target for term in (*one.terms, *stay, *numbers)]
        attempts = _attempts(text, [*one.terms, *stay], numbers)
        for mask in attempts if self._settings.placeholders else (masked(text, ()),):
            written = self._attempt(runner, mask, until_ns)
            lacks = tuple(dict.fromkeys(target for target in wanted if _missing(target, wanted, written.text)))
            if best is None or len(lacks) < len(best.lacks):
                best = written._replace(lacks=lacks)
            if not best.lacks or _is_past(until_ns):
                break
        self._pace.learn(perf_counter_ns() - begun, len(text))
        return cast(Written, best)

    def _attempt(self, runner: Writer, mask: Masked, until_ns: int | None) -> Written:
        written = self._parts(runner, mask.text, 0, until_ns)
        return written._replace(text=mask.restored(written.text))

    def _parts(self, runner: Writer, text: str, depth: int, until_ns: int | None) -> Written:
        """The translation of a sentence, divided where it, or its translation, is longer than the model's texts."""
        fits, written = not runner.cut(text), ""
        if fits:
            reply = runner.replied(text)
            written, fits = reply.text.strip(), reply.ended in ("end", "stop")
        divided = halves(text) if not fits and depth < DEEPEST and not _is_past(until_ns) else None
        if divided is None:  # what is not translated stays
            return Written(written or text, 1, fits and bool(written))
        found = [self._parts(runner, half, depth + 1, until_ns) for half in divided]
        said = joined([one.text for one in found], self._settings.blanks)
        return Written(said, sum(one.parts for one in found), all(one.whole for one in found))

    def _said(self, job: Job, place: int, written: Written) -> str:
        """A translation with what stands before it."""
        return between(job.sentences[place].piece.before, place == 0, self._settings.blanks) + written.text

    def _join(self, job: Job) -> Translation:
        done, of = job.written, len(job.sentences)
        text = "".join(self._said(job, place, one) for place, one in enumerate(done))
        terms = [(one, written) for one, written in zip(job.sentences, done, strict=False) if one.terms]
        found = sum(len(one.terms) for one, _ in terms)
        kept = sum(
            min(number, len(standing(target, written.text)))
            for one, written in terms
            for target, number in Counter(term.target for term in one.terms).items()
        )
        counts = {
            "translated": sum(not one.foreign for one in job.sentences[: len(done)]),
            "found": of,
        }
        whole = text + job.behind if len(done) == of else text
        return Translation(whole, counts, {"kept": kept, "found": found}, (*self._notes(job),), job.state)

    def _notes(self, job: Job) -> Iterator[str]:
        if not job.sentences:
            yield "the text has no letters, and was left as it stands"
        numbered = [*enumerate(zip(job.sentences, job.written, strict=False), 1)]
        if foreign := [number for number, (one, _) in numbered if one.foreign]:
            yield f"{_counted(foreign)} not in {self._settings.source!r}, and left as it stands"
        if divided := [number for number, (_, written) in numbered if written.parts > 1]:
            yield f"{_counted(divided)} longer than the model reads at once, and translated in parts"
        if open_ended := [number for number, (_, written) in numbered if not written.whole]:
            yield f"{_counted(open_ended)} perhaps not translated to the end"
        lacking = [(number, written.lacks) for number, (_, written) in numbered if written.lacks]
        for number, lacks in lacking[:NOTED]:
            yield f"the translation of sentence {number} lacks {', '.join(map(repr, lacks))}"
        if (more := len(lacking) - NOTED) > 0:
            yield f"the translations of {more} more sentences lack something"
        if (done := len(job.written)) < len(job.sentences):
            why = "nobody read on" if job.left else "the time was up"
            yield f"{why}: {done} of {len(job.sentences)} sentences were translated"


def _attempts(text: str, terms: Sequence[Term], numbers: Sequence[Term]) -> Iterator[Masked]:
    """A sentence as it is given to the model, one after the other until nothing lacks in the translation."""
    yield masked(text, terms)
    if terms or numbers:
        yield masked(text, [*terms, *numbers], COUNT // 2)
    if terms:
        yield masked(text, ())


def _numbers_kept(row: Row, text: str) -> tuple[int, int]:
    """How many of the numbers that source and reference have are in a translation, and how many these are."""
    common = set(_NUMBERS.findall(row["source"])) & set(_NUMBERS.findall(row["target"]))
    return len(common & set(_NUMBERS.findall(text))), len(common)


def _is_past(until_ns: int | None) -> bool:
    return until_ns is not None and perf_counter_ns() > until_ns


def _missing(target: str, wanted: Sequence[str], text: str) -> bool:
    """Whether a translation has a term, as a word of its own, less often than it should."""
    return len(standing(target, text)) < wanted.count(target)


def _counted(numbers: Sequence[int]) -> str:
    """`sentence 3 is`, `sentences 3, 5 and 8 are`."""
    if len(numbers) == 1:
        return f"sentence {numbers[0]} is"
    if len(numbers) > NOTED:
        return f"sentences {', '.join(map(str, numbers[:NOTED]))} and {len(numbers) - NOTED} more are"
    return f"sentences {', '.join(map(str, numbers[:-1]))} and {numbers[-1]} are"
