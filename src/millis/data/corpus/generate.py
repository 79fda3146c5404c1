"""Write the bundled corpus from its templates, or check that the files are what the templates yield.

    python -m millis.data.corpus.generate            write the files beside this one
    python -m millis.data.corpus.generate --check    exit status 1 and the names of the files that differ

Each split has template and clause sets of its own, so a classifier meets no training template in the test split.
A row is [greeting] [clause] request [clause], where all but the request are optional and mean nothing.
Standard library only; the same bytes on every machine (gzip: the same content, zlib builds may pack differently).
"""

import argparse
import gzip
import hashlib
import io
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

from millis.data.corpus.grammar import (
    SPLITS,
    Clause,
    Template,
    expand,
    pick,
    read_clauses,
    read_slots,
    read_templates,
)
from millis.data.corpus.typing_habits import type_out

FOLDER = Path(__file__).parent
SEED = 2024
OUT_OF_SCOPE = "out_of_scope"

ROWS_PER_INTENT = {"train": 121, "validation": 25, "test": 38}
"""For an intent of share 1. 30 intents and out_of_scope make about 4000 / 830 / 1260 rows: one epoch of a 22 M
parameter encoder over the training split takes little more than a minute on one CPU core."""

SHARES = {
    "track_order": 1.5,
    "internet_down": 1.4,
    "request_refund": 1.3,
    "cancel_order": 1.2,
    "cancel_subscription": 1.2,
    "return_item": 1.2,
    "pause_subscription": 0.7,
    "cancel_visit": 0.8,
    "close_account": 0.7,
    "exchange_item": 0.8,
    "pay_later": 0.8,
    "change_payment_method": 0.8,
    OUT_OF_SCOPE: 2.8,
}
"""Imbalance: how often an intent occurs, relative to an intent not named here."""

MOST_USES_OF_A_SENTENCE = 5
"""A request without slots comes back at most so often, each time with other words around it."""


class Row(NamedTuple):
    """One utterance and the template its request was made from."""

    text: str
    label: int
    template: Template

    def as_json(self) -> str:
        content = {"text": self.text, "label": self.label, "label_name": self.template.intent}
        return json.dumps(content, ensure_ascii=False)


class Frames(NamedTuple):
    """The clauses of one split."""

    greeting: list[Clause]
    before: list[Clause]
    after: list[Clause]


def labels() -> list[str]:
    """Label names in alphabetical order, `out_of_scope` last; the position is the integer label."""
    intents = sorted(read_templates("train"))
    intents.remove(OUT_OF_SCOPE)
    return [*intents, OUT_OF_SCOPE]


def normalised(text: str) -> str:
    """Case-folded, with single spaces: two texts equal in this form count as duplicates."""
    return " ".join(text.casefold().split())


def _say(clauses: list[Clause], intent: str, slots: Mapping[str, list[str]], rng: Random) -> str:
    allowed = [clause.text for clause in clauses if intent not in clause.barred]
    return expand(pick(rng, allowed), dict(slots), rng)


def utter(request: str, intent: str, frames: Frames, slots: Mapping[str, list[str]], rng: Random) -> str:
    """Put a greeting (20 %) and clauses before (22 %) and after (20 %) the request, and type it out."""
    greet, before, after = rng.random() < 0.20, rng.random() < 0.22, rng.random() < 0.20
    text = request
    if before:
        text = _say(frames.before, intent, slots, rng) + pick(rng, (". ", ", ", ". ")) + text
    if greet:
        text = _say(frames.greeting, intent, slots, rng) + ", " + text
    if after:
        text += (" " if text.endswith("?") else ". ") + _say(frames.after, intent, slots, rng)
    return type_out(text, rng)


def make_intent(split: str, intent: str, templates: list[Template], label: int, seen: set[str]) -> list[Row]:
    """The rows of one intent in one split: templates in turn, no text whose normalised form is in `seen` (extended)."""
    rng = Random(f"{SEED}/{split}/{intent}")
    slots = read_slots()
    frames = Frames(*(read_clauses(split, place) for place in Frames._fields))
    wanted = round(ROWS_PER_INTENT[split] * SHARES.get(intent, 1.0))
    uses: Counter[str] = Counter()
    rows: list[Row] = []
    for turn in range(50 * wanted):
        if len(rows) == wanted:
            return rows
        template = templates[turn % len(templates)]
        # Of a few expansions the least used: templates with many fillers do not repeat themselves.
        request = min((expand(template.text, slots, rng) for _ in range(4)), key=lambda sentence: uses[sentence])
        if uses[request] == MOST_USES_OF_A_SENTENCE:
            continue
        text = utter(request, intent, frames, slots, rng)
        if normalised(text) not in seen:
            seen.add(normalised(text))
            uses[request] += 1
            rows.append(Row(text, label, template))
    raise ValueError(
        f"{split}/{intent}: the templates yield {len(rows)} rows of {wanted}; add templates or alternatives"
    )


def make_corpus() -> dict[str, list[Row]]:
    """`{split: rows}`, shuffled within the split."""
    names = labels()
    seen: set[str] = set()
    corpus = {}
    for split in SPLITS:
        templates = read_templates(split)
        rows = [row for at, name in enumerate(names) for row in make_intent(split, name, templates[name], at, seen)]
        rng = Random(f"{SEED}/{split}/order")
        corpus[split] = [row for _, row in sorted(((rng.random(), row) for row in rows), key=lambda pair: pair[0])]
    return corpus


def contents() -> dict[str, bytes]:
    """`{file name: uncompressed bytes}` of all files, `checksums.json` (SHA-256 of these bytes) included."""
    corpus = make_corpus()
    lines = {split: "".join(row.as_json() + "\n" for row in rows).encode() for split, rows in corpus.items()}
    files = {
        "train.jsonl.gz": lines["train"],
        "validation.jsonl": lines["validation"],
        "test.jsonl": lines["test"],
        "labels.txt": "".join(name + "\n" for name in labels()).encode(),
    }
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return files | {"checksums.json": (json.dumps(checksums, indent=2) + "\n").encode()}


def read_content(path: Path) -> bytes:
    """The uncompressed bytes of a corpus file."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def write_content(path: Path, content: bytes) -> None:
    """Write `content`, compressed (without a time stamp) where the name ends in .gz."""
    if path.suffix == ".gz":
        packed = io.BytesIO()
        with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as stream:
            stream.write(content)
        content = packed.getvalue()
    path.write_bytes(content)


def differing(folder: Path) -> list[str]:
    """Names of the files in `folder` that are missing or are not what the templates yield."""
    return [
        name
        for name, content in contents().items()
        if not (folder / name).exists() or read_content(folder / name) != content
    ]


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m millis.data.corpus.generate", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the files on disk, write nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files are (default: the package)")
    options = parser.parse_args(arguments)
    if options.check:
        wrong = differing(options.folder)
        if wrong:
            print(f"differ from the templates: {', '.join(wrong)}; run without --check to write them anew")
        return 1 if wrong else 0
    for name, content in contents().items():
        write_content(options.folder / name, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
