"""What compressing an application's parts changes, step by step: the table of `millis build`, kept.

    python benchmarks/applications.py app=customer_service
    python benchmarks/applications.py app=customer_service intents=FOLDER strangers=FOLDER faq=FOLDER [each=40]

Any other argument goes to `millis build`. Three public data sets become one customer service, which is written to
`outputs/corpora/public`: the intents of one (Bitext's customer support, or CLINC150), what is out of scope in another
(CLINC150's label `oos`), and the COVID FAQ with other ways to ask its questions. Of an intent `each` rows are for
training and a fifth of it for validation; 100 strangers for either; about `tested` rows of both test splits, evenly, a
third of them strangers. Of the FAQ's 244 other ways to ask a third each are for training, validation and test, and its
own questions are for training. Intents have no answers there: each is answered by its name.
"""

import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from results import Table

from millis import api
from millis.report.applications import chain_cells, kept

FOLDER = Path("outputs/corpora/public")
OUTSIDE, QUESTION = "oos", "question"
STRANGERS = 100  # for training, and for validation: all that CLINC150 has
SPLITS = ("train", "validation", "test")


def main() -> int:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    folders = [options.pop(name) for name in ("intents", "strangers", "faq") if name in options]
    each, tested = int(options.pop("each", 40)), int(options.pop("tested", 900))
    if folders:
        public(*map(Path, folders), each, tested)
        options |= {"data.path": str(FOLDER), "app.name": "customer_service_public"}
    built = api.build("logger=none", *(f"{key}={value}" for key, value in options.items()))
    chains = {name: (chain.measures, chain.measurement) for name, chain in built.chains.items()}
    cells = {name: chain_cells(*chain) for name, chain in chains.items()}
    with Table(options.get("app.name", options.get("app", "")), *cells) as table:
        for line in next(iter(cells.values())):
            table.row(line, *(chain[line] for chain in cells.values()))
    print(kept(*(measures for measures, _ in chains.values())))
    return 0


def public(intents: Path, strangers: Path, faq: Path, each: int, tested: int) -> None:
    """Write the data sets as one customer service."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    entries = list(rows(faq / "faq.jsonl"))
    asked = [row for row in rows(faq / "test.jsonl") if row["label_name"] == "same"]
    names: set[str] = set()
    for place, split in enumerate(SPLITS):
        known = [row for row in labelled(intents, split) if row["label"] != OUTSIDE]
        outside = [row for row in labelled(strangers, split) if row["label"] == OUTSIDE]
        if split == "test":
            said = [*evenly(known, 2 * tested // 3), *evenly(outside, tested // 3)]
        else:
            said = [*first(known, each if split == "train" else each // 5), *outside[:STRANGERS]]
        names |= {row["label"] for row in said}
        questions = [(row["question"], row["faq_id"]) for row in asked[place::3]]
        questions += [(entry["question"], entry["id"]) for entry in entries if split == "train"]
        write(split, [*said, *({"text": text, "label": QUESTION, "entry": str(entry)} for text, entry in questions)])
    write("faq", [{"id": str(one["id"]), "text": one["question"], "answer": one["answer"]} for one in entries])
    answers = {name: f"You asked about: {name.replace('_', ' ')}." for name in sorted(names - {OUTSIDE})}
    answers |= {"out_of_scope": "I do not know about this.", "hand_over": "A colleague takes over."}
    write("answers", [{"intent": name, "answer": answer} for name, answer in answers.items()])


def labelled(folder: Path, split: str) -> list[dict[str, Any]]:
    """Text and label's name of each row of a split."""
    (file,) = folder.glob(f"{split}.jsonl*")
    return [{"text": row["text"], "label": row["label_name"]} for row in rows(file)]


def first(given: Sequence[dict[str, Any]], each: int) -> list[dict[str, Any]]:
    """As many rows of every label, the first ones."""
    taken = Counter[str]()
    found = []
    for row in given:
        taken[row["label"]] += 1
        if taken[row["label"]] <= each:
            found.append(row)
    return found


def evenly(given: Sequence[dict[str, Any]], count: int) -> Sequence[dict[str, Any]]:
    """About so many rows, from the first to the last."""
    return given[:: max(1, len(given) // count)]


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Of lines of JSON, packed or not."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def write(name: str, content: Sequence[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
    (FOLDER / f"{name}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
