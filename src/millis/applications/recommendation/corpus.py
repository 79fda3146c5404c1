"""A catalogue of invented stories and who read them, made by rules for this project: nobody's titles or habits.

Every story has a genre, which its title tells of, and some are parts of a series. Readers like one or two genres, the
well-known stories more than others, go on with a series that they began, and change their mind now and then. So
popularity, texts and order each tell something. It is not real behaviour and no benchmark.

`random()` alone of Python's generators: the same rows in every Python.
"""

import json
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import NamedTuple

from millis.data.corpus.grammar import pick

SEED = 2026
READERS = 400
STORIES = (6, 24)  # that somebody read, from and to
PARTS = 3  # of a series
SERIES, SINGLE = 5, 15  # of a genre
GOES_ON, STAYS = 0.7, 0.85  # with a series; with the genres one likes
SECOND = 0.5  # of readers have a second genre

GENRES = {
    "crime": (("Silent", "Cold", "Hidden", "Last", "Broken"), ("Witness", "Alibi", "Harbour", "Verdict", "Informer")),
    "space": (("Distant", "Falling", "Dark", "Second", "Outer"), ("Orbit", "Colony", "Star", "Signal", "Airlock")),
    "romance": (("Tender", "Late", "Golden", "Secret", "Sudden"), ("Summer", "Letter", "Promise", "Waltz", "Kiss")),
    "fantasy": (("Ancient", "Burning", "Lost", "Iron", "Elder"), ("Dragon", "Crown", "Spell", "Forest", "Kingdom")),
    "sea": (("Stormy", "Deep", "Grey", "Salt", "Endless"), ("Voyage", "Lighthouse", "Reef", "Captain", "Tide")),
    "cooking": (("Simple", "Royal", "Sweet", "Smoky", "Quick"), ("Kitchen", "Bakery", "Feast", "Pantry", "Spoon")),
    "history": (("Forgotten", "Great", "Fallen", "Old", "First"), ("Empire", "Siege", "Treaty", "Palace", "Queen")),
    "nature": (("Wild", "Green", "Frozen", "Hungry", "Small"), ("Meadow", "Wolf", "Glacier", "Bird", "Swamp")),
}


class Story(NamedTuple):
    """An item: `after` is the part of a series before it, None of others."""

    id: str
    title: str
    genre: str
    after: str | None


def stories(rng: Random) -> list[Story]:
    """The catalogue: of each genre series and single stories, their titles all different."""
    found: list[Story] = []
    for genre, (adjectives, nouns) in GENRES.items():
        titles = [f"The {adjective} {noun}" for adjective in adjectives for noun in nouns]
        titles = [titles.pop(int(rng.random() * len(titles))) for _ in range(SERIES + SINGLE)]
        for title in titles[:SERIES]:
            before = None
            for part in range(1, PARTS + 1):
                found.append(Story(f"s{len(found)}", f"{title}, part {part}", genre, before))
                before = found[-1].id
        found += [Story(f"s{len(found) + n}", title, genre, None) for n, title in enumerate(titles[SERIES:])]
    return found


def readings(rng: Random, catalogue: list[Story]) -> list[tuple[str, str, int]]:
    """(reader, story, time) of all readers."""
    follows = {story.after: story for story in catalogue if story.after}
    known = {genre: [story for story in catalogue if story.genre == genre] for genre in GENRES}
    rows = []
    for number in range(READERS):
        liked = [pick(rng, list(GENRES)), *([pick(rng, list(GENRES))] if rng.random() < SECOND else [])]
        read: dict[str, Story] = {}
        for time in range(STORIES[0] + int(rng.random() * (STORIES[1] - STORIES[0] + 1))):
            last = next(reversed(read.values()), None)
            story = follows.get(last.id) if last is not None and rng.random() < GOES_ON else None
            if story is None or story.id in read:
                genre = pick(rng, liked) if rng.random() < STAYS else pick(rng, list(GENRES))
                story = _by_fame(
                    rng, [one for one in known[genre] if one.id not in read and (not one.after or one.after in read)]
                )
            if story is not None:
                read[story.id] = story
                rows.append((f"r{number}", story.id, time))
    return rows


def _by_fame(rng: Random, among: list[Story]) -> Story | None:
    """One of them, the nth with a weight of 1 / n."""
    if not among:
        return None
    sums = list(accumulate(1 / (n + 1) for n in range(len(among))))
    drawn = rng.random() * sums[-1]
    return next(one for one, end in zip(among, sums, strict=True) if drawn < end)


def write(folder: Path) -> None:
    """Write the corpus into a folder, as one's own data lies there."""
    rng = Random(SEED)
    catalogue = stories(rng)
    items = [{"item": one.id, "title": one.title, "genres": [one.genre]} for one in catalogue]
    taken = [{"user": user, "item": item, "time": time} for user, item, time in readings(rng, catalogue)]
    for name, rows in (("items", items), ("interactions", taken)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
