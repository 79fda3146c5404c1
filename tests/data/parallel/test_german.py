"""German by tables that are written out by hand, and by sentences that a grammar has."""

import re

import pytest

from millis.data.parallel.actions import OF_CUSTOMERS, OF_THE_COMPANY
from millis.data.parallel.generate import corpus
from millis.data.parallel.german import CASES, IT, WHICH, Noun, Predicate, finite, noun_phrase, participle
from millis.data.parallel.lexicon import POSSESSIONS, THINGS
from millis.data.parallel.states import ALL as STATES

NOUNS = {
    "m": Noun("Router", "m", "Router"), "n": Noun("Gerät", "n", "Geräte"), "f": Noun("Lampe", "f", "Lampen"),
}  # fmt: skip
# Nominative, accusative, dative, genitive.
PARADIGMS = {
    ("the", "m"): "der neue Router, den neuen Router, dem neuen Router, des neuen Routers",
    ("the", "n"): "das neue Gerät, das neue Gerät, dem neuen Gerät, des neuen Geräts",
    ("the", "f"): "die neue Lampe, die neue Lampe, der neuen Lampe, der neuen Lampe",
    ("the", "mp"): "die drei neuen Router, die drei neuen Router, den drei neuen Routern, der drei neuen Router",
    ("the", "np"): "die drei neuen Geräte, die drei neuen Geräte, den drei neuen Geräten, der drei neuen Geräte",
    ("the", "fp"): "die drei neuen Lampen, die drei neuen Lampen, den drei neuen Lampen, der drei neuen Lampen",
    ("this", "m"): "dieser neue Router, diesen neuen Router, diesem neuen Router, dieses neuen Routers",
    ("this", "n"): "dieses neue Gerät, dieses neue Gerät, diesem neuen Gerät, dieses neuen Geräts",
    ("this", "f"): "diese neue Lampe, diese neue Lampe, dieser neuen Lampe, dieser neuen Lampe",
    ("this", "mp"): "diese drei neuen Router, diese drei neuen Router, "
    "diesen drei neuen Routern, dieser drei neuen Router",
    ("a", "m"): "ein neuer Router, einen neuen Router, einem neuen Router, eines neuen Routers",
    ("a", "n"): "ein neues Gerät, ein neues Gerät, einem neuen Gerät, eines neuen Geräts",
    ("a", "f"): "eine neue Lampe, eine neue Lampe, einer neuen Lampe, einer neuen Lampe",
    ("mein", "m"): "mein neuer Router, meinen neuen Router, meinem neuen Router, meines neuen Routers",
    ("mein", "n"): "mein neues Gerät, mein neues Gerät, meinem neuen Gerät, meines neuen Geräts",
    ("Ihr", "f"): "Ihre neue Lampe, Ihre neue Lampe, Ihrer neuen Lampe, Ihrer neuen Lampe",
    ("Ihr", "mp"): "Ihre drei neuen Router, Ihre drei neuen Router, Ihren drei neuen Routern, Ihrer drei neuen Router",
    ("", "mp"): "drei neue Router, drei neue Router, drei neuen Routern, drei neuer Router",
    ("", "fp"): "drei neue Lampen, drei neue Lampen, drei neuen Lampen, drei neuer Lampen",
}  # fmt: skip


@pytest.mark.parametrize(("article", "gender"), PARADIGMS)
def test_phrases_are_those_of_the_paradigms(article, gender):
    expected = PARADIGMS[article, gender].split(", ")
    count = "drei" if gender.endswith("p") else ""
    assert [noun_phrase(NOUNS[gender[0]], article, "neu", count, case) for case in CASES] == expected
    bare = [text.replace(f" {form} ", " ") for text, form in zip(expected, map(_described, expected), strict=True)]
    assert [noun_phrase(NOUNS[gender[0]], article, "", count, case) for case in CASES] == bare


def _described(text):
    return re.search(r"neu\w*", text)[0]


def test_nouns_are_declined():
    assert [Noun("Haus", "n", "Häuser").form(False, case) for case in CASES] == ["Haus", "Haus", "Haus", "Hauses"]
    assert Noun("Kühlschrank", "m", "Kühlschränke").form(True, "dat") == "Kühlschränken"
    assert Noun("Handy", "n", "Handys").form(True, "dat") == "Handys"
    assert Noun("Akku", "m", "Akkus").form(False, "gen") == "Akkus"
    assert noun_phrase(NOUNS["f"], "this", "", "+", "dat") == "diesen Lampen"
    assert noun_phrase(NOUNS["m"], "mein", "", "", "gen", "Kestrel-5") == "meines Routers Kestrel-5"


def flat(text):
    return " ".join(text.split())


def test_what_comes_of_a_predicate():
    back, speak, log_in = map(
        Predicate.of,
        ["die Lampe @ zurück|geben", "@ mit einem Mitarbeiter sprechen", "mich @ in meinem Konto an|melden"],
    )
    assert flat(back.infinitive("nicht")) == "die Lampe nicht zurückgeben"
    assert flat(back.with_zu("morgen")) == "die Lampe morgen zurückzugeben"
    assert flat(back.participle("bereits")) == "die Lampe bereits zurückgegeben"
    assert flat(back.subordinate("ich")) == "die Lampe zurückgebe"
    assert flat(back.rest()) == "die Lampe zurück"
    assert flat(speak.with_zu()) == "mit einem Mitarbeiter zu sprechen"
    assert flat(speak.participle("schon")) == "schon mit einem Mitarbeiter gesprochen"
    assert flat(log_in.subordinate("ich", "heute")) == "mich heute in meinem Konto anmelde"
    assert (back.auxiliary("ich"), Predicate.of("@ in einen Tarif wechseln").auxiliary("Sie")) == ("habe", "sind")


@pytest.mark.parametrize(("verb", "expected"), {
    "geben": "gebe gibt geben gegeben", "wechseln": "wechsle wechselt wechseln gewechselt",
    "ändern": "ändere ändert ändern geändert", "arbeiten": "arbeite arbeitet arbeiten gearbeitet",
    "stornieren": "storniere storniert stornieren storniert", "bestellen": "bestelle bestellt bestellen bestellt",
    "überprüfen": "überprüfe überprüft überprüfen überprüft", "melden": "melde meldet melden gemeldet",
    "verschieben": "verschiebe verschiebt verschieben verschoben", "sein": "bin ist sind gewesen",
    "laden": "lade lädt laden geladen", "lassen": "lasse lässt lassen lassen", "holen": "hole holt holen geholt",
    "schalten": "schalte schaltet schalten geschaltet", "vergleichen": "vergleiche vergleicht vergleichen verglichen",
    "unterschreiben": "unterschreibe unterschreibt unterschreiben unterschrieben",
    "tauschen": "tausche tauscht tauschen getauscht",
}.items())  # fmt: skip
def test_verbs_are_conjugated(verb, expected):
    found = [finite(verb, "ich"), finite(verb, "er"), finite(verb, "wir"), participle(verb)]
    assert found == expected.split() and finite(verb, "Sie") == finite(verb, "wir")


def test_pronouns():
    assert [IT["m", case] for case in ("nom", "acc", "dat")] == ["er", "ihn", "ihm"]
    assert [IT["f", case] for case in ("nom", "acc", "dat")] == ["sie", "sie", "ihr"]
    assert [WHICH["p", case] for case in CASES] == ["die", "die", "denen", "deren"]
    assert [WHICH["n", case] for case in CASES] == ["das", "das", "dem", "dessen"]


# Article (and an ending, behind -) → the cases that it may mark, by gender; p is the plural. Written out for itself.
ARTICLES = {
    "m": {
        "der": "nom", "den": "acc", "dem": "dat", "des": "gen",
        "-": "nom", "-er": "nom", "-en": "acc", "-em": "dat", "-es": "gen",
    },
    "n": {"das": "nom acc", "dem": "dat", "des": "gen", "-": "nom acc", "-es": "nom acc gen", "-em": "dat"},
    "f": {"die": "nom acc", "der": "dat gen", "-e": "nom acc", "-er": "dat gen"},
    "p": {"die": "nom acc", "den": "dat", "der": "gen", "-e": "nom acc", "-en": "dat", "-er": "gen"},
}  # fmt: skip
CONTRACTED = {"vom": "dem", "zum": "dem", "zur": "der", "im": "dem", "am": "dem", "beim": "dem"}
GOVERNED = {
    "mit": "dat",
    "von": "dat",
    "für": "acc",
    "statt": "gen",
    "zu": "dat",
    "vom": "dat",
    "beim": "dat",
    "bei": "dat",
}
STEMS = ("dies", "mein", "Ihr", "ihr", "ein", "kein")
NUMERALS = {"zwei", "drei", "vier", "fünf", "sechs", "zehn"}
ADJECTIVES = ("neu", "schwarz", "weiß", "blau", "rot", "grün", "grau", "klein", "groß", "alt")


def cases_of(word, gender):
    """The cases that an article marks, none where it does not fit the gender."""
    word = CONTRACTED.get(word.lower(), word)
    if word.lower() in ("der", "die", "das", "den", "dem", "des"):
        return set(ARTICLES[gender].get(word.lower(), "").split())
    stem = next(stem for stem in STEMS if word.lower().startswith(stem.lower()))
    if gender in "mn" and stem == "dies" and word.lower() == "dies":
        return set()
    return set(ARTICLES[gender].get(f"-{word[len(stem) :]}", "").split())


def test_every_article_and_adjective_in_the_corpus_fits_gender_number_and_case():
    forms = {}
    for thing in [*THINGS, *POSSESSIONS.values()]:
        noun = thing.german
        for form, gender in (
            (noun.word, noun.gender), (f"{noun.word}s", noun.gender), (noun.plural, "p"), (f"{noun.plural}n", "p"),
        ):  # fmt: skip
            forms.setdefault(form, set()).add(gender)
    article = re.compile(
        rf"^([dD](er|ie|as|en|em|es)|vom|zum|zur|im|beim|(?:{'|'.join(STEMS)})\w{{0,2}})$", re.IGNORECASE
    )
    checked = governed = 0
    for row in (row for rows in corpus().values() for row in rows):
        words = re.findall(r"[\w-]+", row.text.german)
        for at, word in enumerate(words):
            if word not in forms:
                continue
            before, count, described = at - 1, False, None
            if before >= 0 and words[before].startswith(ADJECTIVES) and not words[before][0].isupper():
                described, before = words[before], before - 1
            if before >= 0 and words[before].lower() in NUMERALS:
                count, before = True, before - 1
            if before < 0 or not article.match(words[before]):
                continue
            marked = words[before]
            fitting = [
                (gender, case)
                for gender in forms[word]
                for case in cases_of(marked, gender)
                if (gender == "p") >= count
            ]
            if described is not None:
                fitting = [(gender, case) for gender, case in fitting if _ends(described, marked, gender, case)]
            assert fitting, row.text.german
            checked += 1
            if before and words[before - 1].lower() in GOVERNED:
                wanted = GOVERNED[words[before - 1].lower()]
                assert wanted in {case for _, case in fitting}, row.text.german
                governed += 1
    assert checked > 7000 and governed > 250


def _ends(adjective, article, gender, case):
    """Whether an adjective's ending is the weak one after der and dieser, the mixed one after ein and mein."""
    ending = next(adjective[len(stem) :] for stem in ADJECTIVES if adjective.startswith(stem))
    weak = "e" if (case == "nom" and gender != "p") or (case == "acc" and gender in "nf") else "en"
    bare = article.lower() in ("mein", "ihr", "ein", "kein")  # without an ending, which the adjective then has
    return ending == ({"m": "er", "n": "es"}[gender] if bare else weak)


def test_every_predicate_has_a_verb_that_is_conjugated_by_rule_or_known():
    for one in [*OF_CUSTOMERS, *OF_THE_COMPANY, *STATES]:
        assert re.fullmatch(r"[a-zäöüß]+n", one.german.verb), one
        assert one.german.middle.count("@") == 1, one
