"""What compressing an application's parts changes, step by step: the table of `millis build`, kept.

    python benchmarks/applications.py app=customer_service
    python benchmarks/applications.py app=customer_service clinc150=FOLDER covid_faq=FOLDER [each=30]

Any other argument goes to `millis build`. With the folders of CLINC150 (intents, and what is out of scope) and of the
COVID FAQ (questions, and other ways to ask them), both in the layout of `data=local`, they become one customer service,
which is written to `outputs/corpora/public`: `each` training rows of an intent, 3 of it for validation, the whole test
split; of the FAQ's 244 other ways to ask, a third each for training, validation and test, and its own 213 questions for
training. CLINC150's intents have no answers: each is answered by its name.
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
OF_VALIDATION = 3  # rows of an intent
STRANGERS = {"train": 100, "validation": 100}  # all that CLINC150 has


def main() -> int:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    named = {name: options.pop(name, None) for name in ("clinc150", "covid_faq", "each")}
    if named["clinc150"] and named["covid_faq"]:
        public(Path(named["clinc150"]), Path(named["covid_faq"]), int(named["each"] or 30))
        options |= {"data.path": str(FOLDER), "app.name": "customer_service_public"}
    built = api.build("logger=none", *(f"{key}={value}" for key, value in options.items()))
    chains = {name: (chain.measures, chain.measurement) for name, chain in built.chains.items()}
    cells = {name: chain_cells(*chain) for name, chain in chains.items()}
    with Table(options.get("app.name", options.get("app", "")), *cells) as table:
        for line in next(iter(cells.values())):
            table.row(line, *(chain[line] for chain in cells.values()))
    print(kept(*(measures for measures, _ in chains.values())))
    return 0


def public(clinc150: Path, covid_faq: Path, each: int) -> None:
    """Write both data sets as one customer service."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    entries = list(rows(covid_faq / "faq.jsonl"))
    asked = [row for row in rows(covid_faq / "test.jsonl") if row["label_name"] == "same"]
    split_of = ("train", "validation", "test")
    questions = {
        split: [(row["question"], row["faq_id"]) for row in asked[place::3]] for place, split in enumerate(split_of)
    }
    questions["train"] += [(entry["question"], entry["id"]) for entry in entries]
    intents: set[str] = set()
    for split, most in (("train", each), ("validation", OF_VALIDATION), ("test", None)):
        taken, said = Counter[str](), []
        (file,) = clinc150.glob(f"{split}.jsonl*")
        for row in rows(file):
            name = row["label_name"]
            taken[name] += 1
            if most is None or (taken[name] <= STRANGERS.get(split, most) and (name == OUTSIDE or taken[name] <= most)):
                said.append({"text": row["text"], "label": name})
        intents |= {row["label"] for row in said}
        said += [{"text": text, "label": QUESTION, "entry": str(entry)} for text, entry in questions[split]]
        write(split, said)
    write("faq", [{"id": str(one["id"]), "text": one["question"], "answer": one["answer"]} for one in entries])
    answers = {name: f"You asked about: {name.replace('_', ' ')}." for name in sorted(intents - {OUTSIDE})}
    answers |= {"out_of_scope": "I do not know about this.", "hand_over": "A colleague takes over."}
    write("answers", [{"intent": name, "answer": answer} for name, answer in answers.items()])


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
