"""Sentences: patterns of three languages filled with one meaning, each by its own grammar."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from millis.data.parallel import chinese, english, german
from millis.data.parallel.actions import Action
from millis.data.parallel.german import IT, WHICH, Case, Predicate, finite
from millis.data.parallel.lexicon import POSSESSIONS, Thing, Triple
from millis.data.parallel.states import State
from millis.data.parallel.values import Value

NOTHING = Triple("", "", "")
Fill = Callable[[str, "Meaning"], str]
OF_NUMBER = {
    "it": ("it", "they"),
    "It": ("It", "They"),
    "are": ("is", "are"),
    "were": ("was", "were"),
}  # by whether many
_GAP = re.compile(r"\{([^{}]*)\}")
_CONTRACTED = {"von dem": "vom", "zu dem": "zum", "zu der": "zur", "in dem": "im", "bei dem": "beim", "an dem": "am"}
_APART = re.compile(rf"\b({'|'.join(_CONTRACTED)})\b", re.IGNORECASE)
_FORMS = {"inf", "zu", "part", "sub", "fin", "rest", "aux"}  # of what is done


class Phrase(NamedTuple):
    """A thing that is spoken of.

    Args:
        article: `the`, `this`, `a`, `my` (the customer's, whoever speaks), or nothing.
        adjective: Empty texts where there is none.
        numeral: For more than one, `+` for a plural without one, empty texts for the singular.
        model: A name.
    """

    thing: Thing
    article: str
    adjective: Triple = NOTHING
    numeral: Triple = NOTHING
    model: str = ""

    @property
    def gender(self) -> german.Gender:
        """In German."""
        return "p" if self.many else self.thing.german.gender

    @property
    def many(self) -> bool:
        """Whether there are several."""
        return self.numeral != NOTHING

    @property
    def person(self) -> str:
        """Of its verb in German: they have the form of we."""
        return "wir" if self.many else "er"


class Meaning(NamedTuple):
    """What a sentence says.

    Args:
        mine: Whether the customer speaks, and is *I*; else *you*.
        values: By their names.
        x, y: What is spoken of.
        action: What is done.
        state: What is said of `x`.
    """

    mine: bool
    values: Mapping[str, Value]
    x: Phrase | None = None
    y: Phrase | None = None
    action: Action | None = None
    state: State | None = None

    def phrase(self, name: str) -> Phrase:
        """`x` or `y`, or what the customer has."""
        found = {"x": self.x, "y": self.y}.get(name)
        return found or Phrase(POSSESSIONS[name], "my")

    def value(self, name: str, which: int = 0) -> Triple:
        """A value; of a span of time its first or its second."""
        found = self.values[name]
        return found if isinstance(found, Triple) else found[which]


def written(pattern: Triple, meaning: Meaning) -> Triple:
    """The sentence in all three languages."""
    in_german = _filled(_with_sich(pattern.german, meaning), _german, meaning)
    contracted = _APART.sub(lambda found: found[0][0] + _CONTRACTED[found[0].lower()][1:], in_german)
    return Triple(
        _tidy(_filled(pattern.english, _english, meaning)),
        _tidy(contracted),
        _filled(pattern.chinese, _chinese, meaning).replace(" ", "").replace("了了", "了"),
    )


def phrase_in_german(phrase: Phrase, case: Case, mine: bool) -> str:
    """A phrase in a case."""
    article = ("mein" if mine else "Ihr") if phrase.article == "my" else phrase.article
    noun = phrase.thing.german
    return german.noun_phrase(noun, article, phrase.adjective.german, phrase.numeral.german, case, phrase.model)


def _filled(text: str, fill: Fill, meaning: Meaning) -> str:
    """A pattern without gaps: what is done or said brings gaps of its own."""
    while _GAP.search(text):
        text = _GAP.sub(lambda gap: fill(gap[1], meaning), text)
    return text


def _english(gap: str, meaning: Meaning) -> str:
    name, _, owned = gap.partition(":")
    if meaning.action is not None and gap in ("do", "done", "doing"):
        said = meaning.action.said.english
        return said if gap == "do" else (english.participle if gap == "done" else english.gerund)(said)
    if meaning.state is not None and gap in ("is", "is x"):
        state, x = meaning.state, meaning.phrase("x")
        asked = english.question(state.one, state.many, "{x}", x.many)
        return asked if gap == "is x" else state.many if x.many else state.one
    if gap in meaning.values:
        return meaning.value(gap).english
    if gap == "me":
        return "me" if meaning.mine else "you"
    if gap in OF_NUMBER:
        return OF_NUMBER[gap][meaning.phrase("x").many]
    phrase = meaning.phrase(owned or name.lower())
    article = ("my" if meaning.mine else "your") if phrase.article == "my" else phrase.article
    noun = phrase.thing.english
    return english.noun_phrase(noun, article, phrase.adjective.english, phrase.numeral.english, phrase.model)


def _german(gap: str, meaning: Meaning) -> str:
    form, _, adverb = gap.partition(" ")
    name, *rest = form.split(":")
    if meaning.state is not None and (rest == ["x"] or name.startswith("end")):
        return _said(meaning.state.german, name, meaning.phrase("x").person)
    if meaning.action is not None and name in _FORMS:
        return _done(meaning.action.german, name, "".join(rest), re.sub(r"@(\w+)", r"{\1}", adverb))
    if name in ("er", "which"):
        return (IT if name == "er" else WHICH)[meaning.phrase("x").gender, rest[0]]
    if name in meaning.values:
        return meaning.value(name, rest == ["dat"]).german
    if not rest:
        mine = {"mir": "mir", "mich": "mich", "sich": "mich"}
        yours = {"mir": "Ihnen", "mich": "Sie", "sich": "sich"}
        return (mine if meaning.mine else yours).get(name) or _be(name, meaning.phrase("x"))
    *owned, case = rest
    phrase = meaning.phrase(owned[0] if owned else name)
    return phrase_in_german(phrase, case, meaning.mine)  # type: ignore[arg-type]


def _be(form: str, subject: Phrase) -> str:
    """ist or sind, wurde or wurden"""
    return finite("sein", subject.person) if form == "ist" else f"{form}n" if subject.many else form


def _done(predicate: Predicate, form: str, person: str, adverb: str) -> str:
    """What is done, in the form that a frame asks for."""
    if form in ("fin", "aux"):
        return finite(predicate.verb, person) if form == "fin" else predicate.auxiliary(person)
    if form == "sub":
        return predicate.subordinate(person, adverb)
    forms = {"inf": predicate.infinitive, "zu": predicate.with_zu, "part": predicate.participle, "rest": predicate.rest}
    return forms[form](adverb)


def _said(predicate: Predicate, form: str, person: str) -> str:
    """What is said of a thing, in the form that a frame asks for; `-sich` without its pronoun, which stands before."""
    if form == "fin":
        return finite(predicate.verb, person)
    said = predicate.subordinate(person) if form.startswith("sub") else predicate.rest()
    return said.removeprefix("sich ") if form.endswith("-sich") else said


def _with_sich(text: str, meaning: Meaning) -> str:
    """The pattern with *sich* before a subject that is a noun: *weil sich der Wecker abschaltet*."""
    if meaning.state is None or not meaning.state.german.middle.startswith("sich "):
        return text
    if "{fin:x} {x:nom}" in text:
        return text.replace("{fin:x}", "{fin:x} sich").replace("{end}", "{end-sich}")
    return text.replace("{x:nom} {sub:x}", "sich {x:nom} {sub-sich:x}")


def _chinese(gap: str, meaning: Meaning) -> str:
    name, _, owned = gap.partition(":")
    if meaning.action is not None and gap in ("do", "did"):
        return (chinese.plain if gap == "do" else chinese.done)(meaning.action.said.chinese)
    if meaning.state is not None and gap == "is":
        return meaning.state.chinese
    if gap in meaning.values:
        return meaning.value(gap).chinese
    if gap in ("它", "me"):
        it = "它们" if meaning.x is not None and meaning.x.many else "它"
        return it if gap == "它" else "我" if meaning.mine else "您"
    phrase = meaning.phrase(owned or name)
    article = ("我的" if meaning.mine else "您的") if phrase.article == "my" else phrase.article
    noun, measure = phrase.thing.chinese, phrase.thing.measure
    return chinese.noun_phrase(noun, measure, article, phrase.adjective.chinese, phrase.numeral.chinese, phrase.model)


def _tidy(text: str) -> str:
    """One blank between words, none before a mark, one stop, and each sentence with a capital."""
    text = re.sub(r" ([,.?!:])", r"\1", " ".join(text.split())).replace("..", ".")
    return re.sub(r"(^|(?<![ap]\.m)(?<!\d)[.?!] )(\w)", lambda found: found[1] + found[2].upper(), text)
