"""German: noun phrases by gender, number and case, and where a clause puts its verb.

A predicate is written as a dictionary has it, its verb last and in the infinitive, `|` behind a prefix that comes off,
and `@` where adverbs and *nicht* stand: `die Lampe @ zurück|geben`. From it come *geben Sie die Lampe zurück*, *die
Lampe nicht zurückgeben*, *die Lampe zurückzugeben*, *weil ich die Lampe zurückgebe* and *die Lampe zurückgegeben*.
"""

from typing import Literal, NamedTuple, TypeAlias

Case: TypeAlias = Literal["nom", "acc", "dat", "gen"]
Gender: TypeAlias = Literal["m", "n", "f", "p"]
"""Of a phrase; the plural, p, has no other."""
CASES: tuple[Case, ...] = ("nom", "acc", "dat", "gen")


def _table(rows: str) -> dict[tuple[str, str], str]:
    """`m er en em es` → {("m", "nom"): "er", ...}; `-` is nothing."""
    found: dict[tuple[str, str], str] = {}
    for row in rows.strip().splitlines():
        gender, *ends = row.split()
        found.update({(gender, case): end.replace("-", "") for case, end in zip(CASES, ends, strict=True)})
    return found


THE = _table("m der den dem des\nn das das dem des\nf die die der der\np die die den der")
THIS = _table("m er en em es\nn es es em es\nf e e er er\np e e en er")  # dies-
MY = _table("m - en em es\nn - - em es\nf e e er er\np e e en er")  # ein-, mein-, Ihr-
AFTER_THE = _table("m e en en en\nn e e en en\nf e e en en\np en en en en")  # adjectives after der, dieser
AFTER_MY = _table("m er en en en\nn es es en en\nf e e en en\np en en en en")
ALONE = _table("m er en em en\nn es es em en\nf e e er er\np e e en er")
IT = _table("m er ihn ihm seiner\nn es es ihm seiner\nf sie sie ihr ihrer\np sie sie ihnen ihrer")
WHICH = _table("m der den dem dessen\nn das das dem dessen\nf die die der deren\np die die denen deren")


class Noun(NamedTuple):
    """A noun, and its plural in the nominative; one that is written `-` has none."""

    word: str
    gender: Gender
    plural: str

    def form(self, many: bool, case: Case) -> str:
        """Declined."""
        if many:
            return self.plural + ("n" if case == "dat" and self.plural[-1] not in "ns" else "")
        if case != "gen" or self.gender == "f":
            return self.word
        return self.word + ("es" if self.word[-1] in "sßxz" else "s")


def noun_phrase(noun: Noun, article: str, adjective: str, count: str, case: Case, after: str = "") -> str:
    """Article, numeral, adjective, noun, and what comes after it.

    Args:
        article: `the`, `this`, `a`, or the stem of a possessive (`mein`, `Ihr`); empty is none.
        adjective: Its stem, empty where there is none.
        count: A numeral for more than one, `+` for a plural without one, empty for the singular.
    """
    many = count != ""
    gender: Gender = "p" if many else noun.gender
    at = gender, case
    if article == "the":
        first, ends = THE[at], AFTER_THE
    elif article == "this":
        first, ends = "dies" + THIS[at], AFTER_THE
    elif article:
        first, ends = ("ein" if article == "a" else article) + MY[at], AFTER_MY
    else:
        first, ends = "", ALONE
    described = adjective + ends[at] if adjective else ""
    return " ".join(filter(None, [first, count.strip("+"), described, noun.form(many, case), after]))


# Infinitive → its third person, and its participle; the rest are regular.
IRREGULAR = {
    infinitive: (third, participle)
    for infinitive, third, participle in (
        row.split()
        for row in """
        geben gibt gegeben
        nehmen nimmt genommen
        rufen ruft gerufen
        schließen schließt geschlossen
        verschieben verschiebt verschoben
        laden lädt geladen
        sprechen spricht gesprochen
        entsprechen entspricht entsprochen
        lassen lässt lassen
        behalten behält behalten
        erhalten erhält erhalten
        vergleichen vergleicht verglichen
        unterschreiben unterschreibt unterschrieben
        schreiben schreibt geschrieben
        verbinden verbindet verbunden
        leihen leiht geliehen
        überweisen überweist überwiesen
        sein ist gewesen
        haben hat gehabt
        werden wird geworden
        riechen riecht gerochen
        sehen sieht gesehen
        verlieren verliert verloren
        finden findet gefunden
        kommen kommt gekommen
        """.strip().splitlines()
    )
}
BY_BEING = {"wechseln", "kommen", "sein", "werden", "stürzen"}  # their perfect is with sein
UNSTRESSED = ("be", "emp", "ent", "er", "ge", "miss", "ver", "zer", "über", "unter")
I_AM = {"sein": "bin", "haben": "habe", "werden": "werde"}
THEY_ARE = {"sein": "sind"}


class Predicate(NamedTuple):
    """What is done, taken apart.

    Args:
        middle: What stands between subject and verb, `@` in it where adverbs do.
        prefix: That comes off; empty where none does.
        verb: Without it, in the infinitive.
    """

    middle: str
    prefix: str
    verb: str

    @classmethod
    def of(cls, written: str) -> "Predicate":
        """As in a dictionary; without an `@` adverbs stand before the verb."""
        middle, _, last = written.rpartition(" ")
        prefix, _, verb = last.rpartition("|")
        return cls(middle if "@" in middle else f"{middle} @", prefix, verb)

    def between(self, adverb: str = "") -> str:
        """The middle with an adverb."""
        return self.middle.replace("@", adverb)

    def infinitive(self, adverb: str = "") -> str:
        """die Lampe zurückgeben"""
        return f"{self.between(adverb)} {self.prefix}{self.verb}"

    def with_zu(self, adverb: str = "") -> str:
        """die Lampe zurückzugeben"""
        return f"{self.between(adverb)} {f'{self.prefix}zu' if self.prefix else 'zu '}{self.verb}"

    def participle(self, adverb: str = "") -> str:
        """die Lampe zurückgegeben"""
        return f"{self.between(adverb)} {self.prefix}{participle(self.verb)}"

    def subordinate(self, person: str, adverb: str = "") -> str:
        """die Lampe zurückgebe"""
        return f"{self.between(adverb)} {self.prefix}{finite(self.verb, person)}"

    def rest(self, adverb: str = "") -> str:
        """die Lampe zurück"""
        return f"{self.between(adverb)} {self.prefix}"

    def auxiliary(self, person: str) -> str:
        """habe, bin"""
        return finite("sein" if self.verb in BY_BEING else "haben", person)


def finite(verb: str, person: str) -> str:
    """The present of a verb.

    Args:
        person: `ich`, `er` (or any other singular), `wir` or `Sie`.
    """
    if person in ("wir", "Sie"):
        return THEY_ARE.get(verb, verb)
    if person == "ich":
        return I_AM.get(verb) or (f"{verb[:-3]}le" if verb.endswith("eln") else f"{_stem(verb)}e")
    if verb in IRREGULAR:
        return IRREGULAR[verb][0]
    return _stem(verb) + ("et" if _needs_e(_stem(verb)) else "t")


def participle(verb: str) -> str:
    """The past participle, without a prefix that comes off."""
    if verb in IRREGULAR:
        return IRREGULAR[verb][1]
    bare = verb.endswith("ieren") or verb.startswith(UNSTRESSED)
    return ("" if bare else "ge") + _stem(verb) + ("et" if _needs_e(_stem(verb)) else "t")


def _stem(verb: str) -> str:
    return verb[:-2] if verb.endswith("en") else verb[:-1]


def _needs_e(stem: str) -> bool:
    return stem[-1] in "td" or stem.endswith(("chn", "ffn", "gn"))
