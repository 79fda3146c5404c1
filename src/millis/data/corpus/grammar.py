"""A tiny template language: read the text files in `templates/`, expand one line into one sentence.

    template := text with choices and slots
    choice   := "(" text "|" text ... ")"     one alternative, taken evenly; may be empty; does not nest
    slot     := "<" name ">"                  one filler of that name from slots.txt; `#` in it becomes a digit

All files have `[section]` headings, one entry a line, `# ` for a comment line.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar

TEMPLATES = Path(__file__).parent / "templates"
SPLITS = ("train", "validation", "test")

_CHOICE = re.compile(r"\(([^()]*)\)")
_SLOT = re.compile(r"<(\w+)>")

T = TypeVar("T")


class Template(NamedTuple):
    """One line of a split's template file; `number` counts from 0 within its intent."""

    split: str
    intent: str
    number: int
    text: str


class Clause(NamedTuple):
    """A phrase around the request that asks for nothing; `barred` holds the intents it would contradict."""

    text: str
    barred: frozenset[str]


def pick(rng: Random, options: Sequence[T]) -> T:
    """One option, evenly. Uses `random()` alone: only its numbers are promised to be the same in every Python."""
    return options[int(rng.random() * len(options))]


def read_sections(path: Path) -> dict[str, list[str]]:
    """`{heading: lines}` in file order."""
    sections: dict[str, list[str]] = {}
    heading = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("# "):
            continue
        if line.startswith("["):
            heading = line.strip("[]")
            sections[heading] = []
        else:
            sections[heading].append(line.rstrip())
    return sections


def read_templates(split: str) -> dict[str, list[Template]]:
    """`{intent: templates}` of one split, in file order."""
    sections = read_sections(TEMPLATES / f"{split}.txt")
    return {
        intent: [Template(split, intent, number, text) for number, text in enumerate(lines)]
        for intent, lines in sections.items()
    }


def read_clauses(split: str, place: str) -> list[Clause]:
    """Clauses of one split for one place: "greeting", "before" or "after"."""
    clauses = []
    for line in read_sections(TEMPLATES / "frames.txt")[f"{split} {place}"]:
        text, _, barred = line.partition(" ! ")
        clauses.append(Clause(text, frozenset(barred.split())))
    return clauses


def read_slots() -> dict[str, list[str]]:
    """`{slot: fillers}`."""
    return read_sections(TEMPLATES / "slots.txt")


def expand(text: str, slots: dict[str, list[str]], rng: Random) -> str:
    """One sentence of the template `text`. Raises KeyError for a slot that slots.txt lacks."""
    text = _CHOICE.sub(lambda found: pick(rng, found[1].split("|")), text)
    text = _SLOT.sub(lambda found: pick(rng, slots[found[1]]), text)
    text = re.sub("#", lambda _: pick(rng, "0123456789"), text)
    return " ".join(text.split()).replace(" ,", ",").replace(" ?", "?")
