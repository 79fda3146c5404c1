"""The corpus that ships with the customer service: written by a seeded grammar, in the layout that one's own data has.

`en.txt` and `zh.txt` hold sections, one entry a line:

    [faq ID]       `= question`, `> answer`, and `train`, `validation` or `test` before a template of a message
    [intent NAME]  templates of messages, of Chinese; English ones are those of the bundled corpus (`INTENTS`)
    [answer NAME]  `> template` and `? particular question`
    [before SPLIT] what may stand before a message, `[after SPLIT]` behind it; both mean nothing
    [follow test]  templates of what is said when an order number was asked for
    [slot NAME]    fillers (`millis.data.corpus.grammar`)

Splits have templates of their own. Standard library only; the same bytes on every machine.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from millis.data.bundled import FOLDER as BUNDLED
from millis.data.corpus.generate import OUT_OF_SCOPE, SEED, read_content
from millis.data.corpus.grammar import SPLITS, expand, pick, read_sections

HERE = Path(__file__).parent
QUESTION = "question"
ROWS = {"train": 24, "validation": 6, "test": 10}
"""Of an entry: 20 English ones give 480 questions for training, about as many as a third of the intents' rows."""
OF_INTENT = {"train": 80, "validation": 16, "test": 24}
SHARE_OF_STRANGERS = 3  # times the rows of an intent: what is out of scope is of many kinds
FILES = {"train": "train.jsonl.gz", "validation": "validation.jsonl", "test": "test.jsonl"}  # of the bundled corpus
CONVERSATIONS = 24
FRAMED = 0.3  # of the messages, at either end
Sections = Mapping[str, Sequence[str]]


def write(language: str, folder: Path) -> None:
    """Write the corpus of a language into a folder."""
    sections = read_sections(HERE / f"{language}.txt")
    answers = [_answer(name, lines) for name, lines in _of(sections, "answer")]
    entries = [_entry(name, lines) for name, lines in _of(sections, "faq")]
    rows = {split: _rows(language, sections, split, {one["intent"] for one in answers}) for split in SPLITS}
    files = {**rows, "faq": entries, "answers": answers, "turns": _turns(language, sections, rows["test"], answers)}
    for name, content in files.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


def _of(sections: Sections, kind: str) -> Iterator[tuple[str, Sequence[str]]]:
    for heading, lines in sections.items():
        if heading.startswith(f"{kind} "):
            yield heading.removeprefix(f"{kind} "), lines


def _entry(name: str, lines: Sequence[str]) -> dict[str, Any]:
    said = {line[0]: line[2:] for line in lines if line[0] in "=>"}
    return {"id": name, "text": said["="], "answer": said[">"]}


def _answer(name: str, lines: Sequence[str]) -> dict[str, Any]:
    asks = dict(line[2:].split(" ", 1) for line in lines if line.startswith("?"))
    (answer,) = [line[2:] for line in lines if line.startswith(">")]
    return {"intent": name, "answer": answer} | ({"asks": asks} if asks else {})


def _rows(language: str, sections: Sections, split: str, intents: set[str]) -> list[dict[str, Any]]:
    rows = [
        {"text": text, "label": QUESTION, "entry": entry}
        for entry, lines in _of(sections, "faq")
        for text in _expanded(sections, lines, split, ROWS[split], f"{language}/{entry}")
    ]
    named = dict(_of(sections, "intent"))
    if named:
        for intent, lines in named.items():
            wanted = OF_INTENT[split] * (SHARE_OF_STRANGERS if intent == OUT_OF_SCOPE else 1)
            texts = _expanded(sections, lines, split, wanted, f"{language}/{intent}")
            rows += [{"text": text, "label": intent} for text in texts]
    else:
        rows += _bundled(split, intents)
    chance = Random(f"{SEED}/{language}/{split}/order")
    return [row for _, row in sorted(((chance.random(), row) for row in rows), key=lambda pair: pair[0])]


def _expanded(sections: Sections, lines: Sequence[str], split: str, wanted: int, seed: str) -> list[str]:
    """As many texts of a split's templates as are wanted, or as differ."""
    templates = [line.removeprefix(f"{split} ") for line in lines if line.startswith(f"{split} ")]
    chance, slots = Random(f"{SEED}/{seed}/{split}"), {name: list(fillers) for name, fillers in _of(sections, "slot")}
    found: dict[str, None] = {}
    for turn in range(20 * wanted):
        if len(found) == wanted:
            break
        text = expand(templates[turn % len(templates)], slots, chance)
        before, after = (pick(chance, sections[f"{place} {split}"]).replace("~", "") for place in ("before", "after"))
        found.setdefault(
            (before if chance.random() < FRAMED else "") + text + (after if chance.random() < FRAMED else "")
        )
    return list(found)


def _bundled(split: str, intents: set[str]) -> list[dict[str, Any]]:
    """Messages of the bundled corpus that have one of the intents, the first of each."""
    left = dict.fromkeys(intents, OF_INTENT[split])
    left[OUT_OF_SCOPE] = SHARE_OF_STRANGERS * OF_INTENT[split]
    rows = []
    for line in read_content(BUNDLED / FILES[split]).decode().splitlines():
        row = json.loads(line)
        if left.get(row["label_name"], 0):
            left[row["label_name"]] -= 1
            rows.append({"text": row["text"], "label": row["label_name"]})
    return rows


def _turns(
    language: str, sections: Sections, test: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Conversations: a wish without its order number, the number, and a wish about the same order."""
    chance = Random(f"{SEED}/{language}/turns")
    asking = {one["intent"] for one in answers if "order_number" in one.get("asks", {})}
    openings = [row for row in test if row["label"] in asking and not any(map(str.isdigit, row["text"]))]
    rows = []
    for number in range(CONVERSATIONS):
        first, then = pick(chance, openings), pick(chance, openings)
        order = expand("LK#####" if number % 2 else "4####", {}, chance)
        said = pick(chance, sections["follow test"]).replace("{order_number}", order)
        known = {"conversation": str(number), "slots": {"order_number": order}}
        rows += [
            {"conversation": str(number), "text": first["text"], "label": first["label"], "action": "ask"},
            {**known, "text": said, "label": first["label"], "action": "answer"},
            {**known, "text": then["text"], "label": then["label"], "action": "answer"},
        ]
    return rows
