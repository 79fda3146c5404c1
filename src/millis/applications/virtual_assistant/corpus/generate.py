"""The corpus that ships with the virtual assistant: templates whose slots are tagged as they are filled.

`en.txt` holds sections, one entry a line:

    [command INTENT]     `needs SLOT ...`, `asks SENTENCE`, and `train`, `validation` or `test` before a template
    [slot NAME : TYPE]   fillers, a line each; without a type it is text

A template is as in `millis.data.corpus.grammar`: `(a|b|)` is a choice, `<slot>` a place, which may stand inside of one.
Standard library only; the same bytes on every machine.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from millis.data.corpus.generate import SEED
from millis.data.corpus.grammar import SPLITS, pick, read_sections

HERE = Path(__file__).parent
ROWS = {"train": 120, "validation": 24, "test": 40}  # of an intent
OWN = ("artist", "place", "person", "task")  # slots of which each split has fillers of its own
OUT_OF_SCOPE = "out_of_scope"
BEFORE = {
    "train": ("please", "hey", "okay", "now", "good morning"),
    "validation": ("listen", "hi there"),
    "test": ("so", "computer", "right then"),
}
FRAMED = 0.4  # of the rows begin with words that mean nothing

_CHOICE = re.compile(r"\(([^()]*)\)")
_PLACE = re.compile(r"<(\w+)>")


class Slot(NamedTuple):
    """What may fill a place."""

    type: str | None
    fillers: list[str]


def write(folder: Path) -> None:
    """Write the corpus into a folder."""
    sections = read_sections(HERE / "en.txt")
    slots = dict(_slots(sections))
    commands = {heading.split()[1]: lines for heading, lines in sections.items() if heading.startswith("command ")}
    for split in SPLITS:
        own = {name: _of_split(name, slot, split) for name, slot in slots.items()}
        rows = [row for name, lines in commands.items() for row in _rows(name, lines, split, own)]
        chance = Random(f"{SEED}/{split}/order")
        ordered = [row for _, row in sorted(((chance.random(), row) for row in rows), key=lambda pair: pair[0])]
        _write(folder / f"{split}.jsonl", ordered)
    _write(
        folder / "commands.jsonl", [_command(name, lines) for name, lines in commands.items() if name != OUT_OF_SCOPE]
    )
    typed = [{"slot": name, "type": slot.type} for name, slot in slots.items() if slot.type]
    _write(folder / "types.jsonl", typed)


def _write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _slots(sections: Mapping[str, list[str]]) -> Iterator[tuple[str, Slot]]:
    for heading, fillers in sections.items():
        if heading.startswith("slot "):
            name, _, kind = heading.removeprefix("slot ").partition(" : ")
            yield name, Slot(kind or None, fillers)


def _of_split(name: str, slot: Slot, split: str) -> list[str]:
    """Of the fillers that are divided among splits, two thirds for training and a sixth each for the others."""
    if name not in OWN:
        return slot.fillers
    part = {"train": lambda place: place % 6 < 4, "validation": lambda place: place % 6 == 4}
    return [one for place, one in enumerate(slot.fillers) if part.get(split, lambda place: place % 6 == 5)(place)]


def _command(name: str, lines: Sequence[str]) -> Mapping[str, object]:
    said = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines if line.startswith(("needs ", "asks "))}
    needs = said.get("needs", "").split()
    return {"intent": name} | ({"needs": needs} if needs else {}) | ({"asks": said["asks"]} if "asks" in said else {})


def _rows(intent: str, lines: Sequence[str], split: str, slots: Mapping[str, list[str]]) -> list[dict[str, str]]:
    """As many rows as an intent has, or as differ."""
    templates = [line.removeprefix(f"{split} ") for line in lines if line.startswith(f"{split} ")]
    chance, found = Random(f"{SEED}/{intent}/{split}"), dict[str, dict[str, str]]()
    for turn in range(20 * ROWS[split] if templates else 0):
        if len(found) == ROWS[split]:
            break
        words = list(_tagged(templates[turn % len(templates)], slots, chance))
        if chance.random() < FRAMED:
            words = [*((word, "O") for word in pick(chance, BEFORE[split]).split()), *words]
        text, tags = (" ".join(column) for column in zip(*words, strict=True))
        found.setdefault(text, {"text": text, "label": intent, "slots": tags})
    return list(found.values())


def _tagged(template: str, slots: Mapping[str, list[str]], chance: Random) -> Iterator[tuple[str, str]]:
    """(word, tag) of one sentence."""
    text = _CHOICE.sub(lambda found: pick(chance, found[1].split("|")), template)
    for piece in _PLACE.sub(r" \g<0> ", text).split():
        place = _PLACE.fullmatch(piece)
        if place is None:
            yield piece, "O"
        else:
            for number, word in enumerate(pick(chance, slots[place[1]]).split()):
                yield word, f"{'I' if number else 'B'}-{place[1]}"
