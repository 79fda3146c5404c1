"""The corpus: templates, which of them are held out, and rows of what they say.

A template is a sentence with all its words but for things, adjectives and values: a frame with an action or a state in
it, or a fact. Each split has templates of its own, so a model meets no test template in training; but every frame,
action and state of a held-out one is trained with others, and every word of it is in a training row.

Standard library only, and `random()` alone of its generators: the same rows in every Python.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain
from random import Random
from typing import NamedTuple

from millis.data.corpus.grammar import pick
from millis.data.parallel import facts, frames, replies, values
from millis.data.parallel.actions import OF_CUSTOMERS, OF_THE_COMPANY, Action
from millis.data.parallel.facts import Fact
from millis.data.parallel.frames import Frame
from millis.data.parallel.lexicon import DESCRIPTIONS, MODELS, THINGS, Thing, Triple
from millis.data.parallel.sentences import NOTHING, Meaning, Phrase, written
from millis.data.parallel.states import ALL as STATES
from millis.data.parallel.states import State

SEED = 2026
ROWS = {"train": 8000, "validation": 800, "test": 1200}
ROUNDS = 40  # in which each template has its turn, until there are enough rows
HELD_OUT = {"validation": 0.08, "test": 0.12}  # of the templates
MOST_HELD_OUT = 0.4  # of the templates of a frame, an action or a state
KNOWN = {True: ("the", "the", "this"), False: ("the", "the", "this", "my", "my")}  # articles, by whether not my
MANY = {True: 0.2, False: 0.08}  # of phrases, by whether they are new
SEVERAL = Triple("+", "+", "+")
TURNS_OF_FACTS = 5  # in one of any other template: they have the most words that nothing else has
OPENED, CLOSED = 0.12, 0.2  # of rows
REASONS_PER_ACTION = 4  # states that are given as the reason of an action, of each frame


class Template(NamedTuple):
    """What rows are made from.

    Args:
        parts: Names of its frame, action and state, or of its fact.
        words: That it is written with.
    """

    parts: tuple[str, ...]
    words: frozenset[str]
    draw: Callable[[Random], Triple]


class Row(NamedTuple):
    """A sentence in three languages."""

    text: Triple
    template: tuple[str, ...]


@cache
def _things(kinds: frozenset[str], banned: frozenset[str]) -> list[Thing]:
    return [one for one in THINGS if kinds <= one.kinds and one.english not in banned]


def phrase(rng: Random, kinds: Iterable[str], marks: Iterable[str] = (), banned: Iterable[str] = ()) -> Phrase:
    """Something that is of all `kinds`.

    Args:
        marks: `new` (a, two), `many` (two), `known` (the, this), `my`, else any of the, this and my; `one`, `plain`
            (without an adjective), `got` (the, and not called old).
        banned: English nouns that it is not.
    """
    marks = frozenset(marks)
    thing = pick(rng, _things(frozenset(kinds), frozenset(banned)))
    new, many = bool(marks & {"new", "many"}), "many" in marks
    article = (
        "a" if new else next((one for one in ("my", "got") if one in marks), "") or pick(rng, KNOWN["known" in marks])
    )
    if not many and "one" not in marks:
        many = rng.random() < MANY[new]
    count = NOTHING
    if many:
        few = article == "this" and rng.random() < 0.6
        count = SEVERAL if few else pick(rng, values.COUNTS[: 2 if rng.random() < 0.7 else None])
        article = "" if new else article
    adjective, model = NOTHING, ""
    if "item" in thing.kinds and "plain" not in marks and rng.random() < 0.25:
        adjective = pick(rng, DESCRIPTIONS[: -1 if new or "got" in marks else None])
    elif {"item", "smart"} <= thing.kinds and not many and rng.random() < 0.2:
        model = pick(rng, MODELS)
    return Phrase(thing, article.replace("got", "the"), adjective, count, model)


def _framed(rng: Random, said: Triple, meaning: Meaning) -> Triple:
    """A sentence, now and then with a greeting before it and a word after it."""
    before = pick(rng, values.OPENINGS) if rng.random() < OPENED else NOTHING
    after = pick(rng, values.CLOSINGS[meaning.mine]) if rng.random() < CLOSED else NOTHING
    parts = zip(before, said, after, strict=True)
    return written(Triple(*(" ".join(part) for part in parts)), meaning)


def _acted(frame: Frame, action: Action, mine: bool, state: State | None = None) -> Template:
    def draw(rng: Random) -> Triple:
        marks = {"new"} if action.new else {"known"} if "!my" in action.marks else {""}
        kinds = [action.kind, *([state.kind] if state else [])]
        x = phrase(rng, kinds, marks, _own(action.said.english)) if action.kind else None
        return _framed(rng, frame.said, Meaning(mine, values.draw(rng), x, action=action, state=state))

    asked = frame.said.english if mine else f"{frame.said.english} (to customers)"
    parts = (asked, action.key, *([state.one] if state else []))
    return Template(parts, _words_of(frame.said) | _words_of(action.said), draw)


def _own(english: str) -> list[str]:
    """What a sentence speaks of already."""
    return [noun for noun in ("router", "phone") if f"my:{noun}" in english]


def _said(frame: Frame, state: State) -> Template:
    got = frame in frames.SAID_OF_THINGS_GOT

    def draw(rng: Random) -> Triple:
        x = phrase(rng, [state.kind], ["got" if got else "", "plain" if "old" in frame.marks else ""])
        return _framed(rng, frame.said, Meaning(True, values.draw(rng), x, state=state))

    return Template((frame.said.english, state.one), _words_of(frame.said), draw)


def _stated(fact: Fact, mine: bool) -> Template:
    def draw(rng: Random) -> Triple:
        x = phrase(rng, [fact.kind], fact.marks, _own(fact.said.english)) if fact.kind else None
        y = phrase(rng, [fact.kind], fact.marks, [x.thing.english]) if x else None
        return _framed(rng, fact.said, Meaning(mine, values.draw(rng), x, y))

    return Template((fact.said.english,), _words_of(fact.said), draw)


def _fits(frame: Frame, action: Action) -> bool:
    return not {f"!{mark}" for mark in frame.marks} & action.marks and not ("not" in frame.marks and action.new)


def _says(frame: Frame, state: State) -> bool:
    if ("bad" in frame.marks and state.good) or ("good" in frame.marks and not state.good):
        return False
    return not ("why" in frame.marks and "!why" in state.marks)


def _templates() -> Iterator[Template]:
    for table, actions, mine in (
        (frames.BY_CUSTOMERS, OF_CUSTOMERS, True),
        (frames.TO_CUSTOMERS, OF_CUSTOMERS, False),
        (frames.OF_CUSTOMERS_WISHES, OF_THE_COMPANY, True),
        (frames.BY_THE_COMPANY, OF_THE_COMPANY, False),
    ):
        yield from (_acted(frame, action, mine) for frame in table for action in actions if _fits(frame, action))
    for table in (frames.SAID_OF_THINGS, frames.SAID_OF_THINGS_GOT):
        yield from (_said(frame, state) for frame in table for state in STATES if _says(frame, state))
    rng = Random(f"{SEED}/reasons")
    for frame in frames.REASONS:
        for action in REASONED["I" in frame.marks]:
            states = [state for state in STATES if _shared(action, state)]
            for state in sorted(states, key=lambda _: rng.random())[:REASONS_PER_ACTION]:
                yield _acted(frame, action, True, state)
    yield from (_stated(fact, True) for fact in facts.BY_CUSTOMERS)
    yield from (_stated(fact, False) for fact in replies.BY_THE_COMPANY)


def _shared(action: Action, state: State) -> bool:
    """Whether the state is a reason for the action, and there are things that both are said of."""
    repairs = action not in OF_CUSTOMERS or action.key.startswith("have")
    together = any({action.kind, state.kind} <= thing.kinds for thing in THINGS)
    return together and not state.good and not (repairs and "!fix" in state.marks)


REASONED = {
    True: [
        one for one in OF_CUSTOMERS if one.key.startswith(("return {x}", "exchange {x}", "send back {x}", "have {x}"))
    ],
    False: [
        one for one in OF_THE_COMPANY if one.key.startswith(("repair {x}", "replace {x}", "check {x}", "collect {x}"))
    ],
}


@cache
def templates() -> tuple[Template, ...]:
    """All templates, in an order that is drawn once."""
    rng = Random(f"{SEED}/templates")
    return tuple(one for _, one in sorted(((rng.random(), one) for one in _templates()), key=lambda pair: pair[0]))


@cache
def splits() -> dict[str, tuple[Template, ...]]:
    """Templates by split: of no frame, action or state is too much held out, and no fact of words that no other has."""
    every = templates()
    spoken = Counter(word for template in every for word in template.words)
    total = Counter(part for template in every for part in template.parts)
    held: Counter[str] = Counter()
    found: dict[str, list[Template]] = {split: [] for split in ROWS}
    for template in every:
        if template.parts[1:]:
            fits = all(held[part] < MOST_HELD_OUT * total[part] - 1 for part in template.parts)
        else:
            fits = all(spoken[word] > 1 for word in template.words)
        split = next((name for name, share in HELD_OUT.items() if len(found[name]) < share * len(every)), "train")
        if fits and split != "train":
            found[split].append(template)
            held.update(template.parts)
        else:
            found["train"].append(template)
    return {split: tuple(some) for split, some in found.items()}


def words(text: Triple) -> set[str]:
    """Words of a sentence in English and German and characters in Chinese, without numbers, names and marks."""
    bare = [re.findall(r"[^\W\d_]+", one.casefold()) for one in text[:2]]
    tagged = (f"{language}:{word}" for language, some in zip(("en", "de"), bare, strict=True) for word in some)
    return {*tagged, *(character for character in text.chinese if character >= "\u4e00")}


@cache
def _words_of(pattern: Triple) -> frozenset[str]:
    return frozenset(words(Triple(*(re.sub(r"\{[^{}]*\}", " ", one) for one in pattern))))


def normalised(text: str) -> str:
    """Two texts that are equal in this form count as one."""
    return " ".join(text.casefold().split())


@cache
def corpus() -> dict[str, tuple[Row, ...]]:
    """`{split: rows}`, no sentence of any language twice.

    Raises:
        ValueError: templates say too little for so many rows.
    """
    seen: set[str] = set()
    known: set[str] = set()
    found = {}
    for split, wanted in ROWS.items():
        rng = Random(f"{SEED}/{split}")
        rows: list[Row] = []
        turns = [template for template in splits()[split] for _ in range(1 if template.parts[1:] else TURNS_OF_FACTS)]
        for template in chain.from_iterable([turns] * ROUNDS):
            text = template.draw(rng)
            forms = set(map(normalised, text))
            if not forms & seen and (split == "train" or words(text) <= known):
                seen |= forms
                rows.append(Row(text, template.parts))
            if len(rows) == wanted:
                break
        else:
            raise ValueError(f"{split}: templates yield {len(rows)} rows of {wanted}; add some")
        if split == "train":
            known = set().union(*(words(row.text) for row in rows))
        found[split] = tuple(sorted(rows, key=lambda _: rng.random()))
    return found
