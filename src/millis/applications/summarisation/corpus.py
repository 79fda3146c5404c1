"""Articles of an invented company's newsroom with summaries, written by rules for this project: nobody's texts.

An article is about one change to one product. Two of its sentences say what happened and what came of it, in words that
differ from the summary's; the others are background, numbers that do not matter, what people say, and other news. So
where a sentence stands does not tell what it is worth, and its words do. It is not real language and no benchmark.

`random()` alone of Python's generators: the same articles in every Python.
"""

import json
from pathlib import Path
from random import Random
from typing import NamedTuple

from millis.data.corpus.grammar import pick

SEED = 2026
ARTICLES = {"train": 300, "validation": 60, "test": 80}
SENTENCES = (2, 5)  # of a section, from and to
SECTIONS = (2, 4)

COMPANIES = ("Halden Works", "Brightmoor", "Velora", "Northway Systems", "Kestrel Foods", "Oakline", "Tamsin & Co")
PRODUCTS = (
    "delivery app", "coffee grinder", "night train", "garden sensor", "school tablet", "parcel locker", "city bicycle",
    "heat pump", "ticket machine", "reading lamp", "payment card", "weather station", "water filter", "lift control",
    "hearing aid", "snow plough", "baggage belt", "solar awning", "recipe service", "repair kit",
)  # fmt: skip
PLACES = ("Arnsby", "Port Lune", "Kellerton", "Sandholm", "Wexley", "Graubach", "Monteval", "Ostrava Road")
PEOPLE = ("Ines Calder", "Tomas Rydel", "Mara Whitlock", "Jonas Feld", "Aiko Brandt", "Peter Nwosu")


class Change(NamedTuple):
    """What a company does: in the article, and in the summary."""

    said: tuple[str, ...]
    summary: str


class Effect(NamedTuple):
    """What comes of it: in the article, and in the summary."""

    said: tuple[str, ...]
    summary: str


CHANGES = (
    Change(("{company} withdrew its {product} from sale on {day} after a fault in the battery was found",
            "A fault in the battery has made {company} take the {product} off the shelves"),
           "{company} recalls its {product} over a battery fault"),
    Change(("{company} opened a second plant for the {product} near {place} on {day}",
            "The {product} will from now on be built by {company} at a new plant near {place}"),
           "{company} opens a plant for its {product} near {place}"),
    Change(("{company} cut the price of the {product} by {number} percent on {day}",
            "Buyers pay {number} percent less for the {product} since {company} changed its price list on {day}"),
           "{company} lowers the price of its {product} by {number} percent"),
    Change(("{company} gave the design of the {product} away free of charge on {day}",
            "Anybody may now copy the {product}, for {company} has published its design"),
           "{company} publishes the design of its {product}"),
    Change(("{company} sold the whole business of the {product} to a rival from {place}",
            "The {product} has changed hands: a rival from {place} bought that business from {company}"),
           "{company} sells its {product} to a rival from {place}"),
    Change(("{company} replaced the software of every {product} overnight on {day}",
            "Every {product} woke up with new software after {company} updated all of them on {day}"),
           "{company} updates the software of its {product}"),
)  # fmt: skip
EFFECTS = (
    Effect(("As a result {number} people will lose their work by the end of the year",
            "This costs {number} people their work before the year is over"), "{number} jobs are lost"),
    Effect(("Because of this, waiting times fell by {number} percent within a week",
            "Customers now wait {number} percent less than the week before, the company found"),
           "waiting times fall by {number} percent"),
    Effect(("In consequence the share price rose by {number} percent within hours",
            "Investors answered at once, and the share price climbed by {number} percent"),
           "its shares rise by {number} percent"),
    Effect(("The council of {place} has therefore opened an inquiry",
            "Whether the law was kept is now looked into by the council of {place}"),
           "the council of {place} investigates"),
    Effect(("That made {number} schools order one for every class",
            "After that, {number} schools placed orders for all of their classes"), "{number} schools place orders"),
    Effect(("Therefore complaints doubled, and a hotline was set up in {place}",
            "Twice as many complaints came in as before, so that a hotline was set up in {place}"),
           "complaints double and a hotline opens in {place}"),
)  # fmt: skip
FILLERS = (
    "The first {product} left a workshop in {place} more than {number} years ago",
    "It was a {weather} morning, and the street before the office was busy",
    "{person} has worked for {company} since leaving school",
    "About {number} visitors come to the museum of the firm each month",
    "The firm does not say how many of them it makes in a year",
    "\"We have been asked about that before,\" said {person}",
    "\"My family has used one for years,\" said {person}, who lives in {place}",
    "A meeting on the budget of {place} takes place on {day}",
    "The building was painted blue last year, which not everybody liked",
    "{person} declined to comment on the matter",
    "Trains to {place} ran as usual on {day}",
    "The canteen now serves soup on every {day}",
    "In another matter, the chess club of {company} won its match against {place}",
    "Its head office has {number} windows and a small garden",
    "Photographs of the {product} hang in the hall",
    "The company was founded by two sisters from {place}",
    "Journalists were given tea and a printed sheet of {number} lines",
    "An older model can still be seen in a shop in {place}",
    "The weather service expects a {weather} weekend",
    "{person} collects old advertisements of the {product}",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
WEATHER = ("mild", "rainy", "cold", "sunny", "windy")


def article(rng: Random, name: str) -> dict[str, str]:
    """One article: `id`, `document` and `summary`."""
    words = {
        "company": pick(rng, COMPANIES),
        "product": pick(rng, PRODUCTS),
        "place": pick(rng, PLACES),
        "day": pick(rng, DAYS),
    }
    change, effect = pick(rng, CHANGES), pick(rng, EFFECTS)
    drawn = {kind: str(_whole(rng, 3, 95)) for kind in ("change", "effect")}
    sections = _sections(rng, words)
    _insert(rng, sections[_whole(rng, 0, 1)], pick(rng, change.said).format(number=drawn["change"], **words))
    _insert(rng, sections[-1], pick(rng, effect.said).format(number=drawn["effect"], **words))
    first = change.summary.format(number=drawn["change"], **words)
    text = "\n\n".join(" ".join(f"{sentence}." for sentence in section) for section in sections)
    summary = f"{first}, and {effect.summary.format(number=drawn['effect'], **words)}."
    return {"id": name, "document": text, "summary": summary}


def write(folder: Path) -> None:
    """Write the corpus into a folder, as one's own data lies there."""
    rng = Random(SEED)
    for split, count in ARTICLES.items():
        rows = [article(rng, f"{split}-{number}") for number in range(count)]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")


def _sections(rng: Random, words: dict[str, str]) -> list[list[str]]:
    left = list(FILLERS)
    found = []
    for _ in range(_whole(rng, *SECTIONS)):
        section = []
        for _ in range(_whole(rng, *SENTENCES)):
            filler = left.pop(int(rng.random() * len(left)))
            section.append(_filled(rng, filler, words))
        found.append(section)
    return found


def _filled(rng: Random, filler: str, words: dict[str, str]) -> str:
    own = {
        **words,
        "number": str(_whole(rng, 3, 95)),
        "person": pick(rng, PEOPLE),
        "weather": pick(rng, WEATHER),
        "day": pick(rng, DAYS),
        "place": pick(rng, PLACES),
    }
    return filler.format(**own)


def _insert(rng: Random, section: list[str], sentence: str) -> None:
    section.insert(_whole(rng, 0, len(section)), sentence)


def _whole(rng: Random, least: int, most: int) -> int:
    """A whole number from `least` to `most`."""
    return least + int(rng.random() * (most - least + 1))
