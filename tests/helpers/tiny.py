"""A task of a few rows, a teacher of a few weights, and the command line as a function."""

import json
from pathlib import Path

from millis.cli.main import run

INTENTS = {
    "refund": "i want my money back for this order please",
    "track": "where is my parcel now it should be here",
    "cancel": "stop my order before it ships i changed my mind",
}
BRIEF = [
    "benchmark.rounds=3", "benchmark.requests=4", "benchmark.warmup_seconds=0.2", "benchmark.settle_ms=0",
    "benchmark.processes=1",
]  # fmt: skip
TINY = [
    "model=scratch", "model.layers=2", "model.hidden_size=32", "model.heads=2", "model.ffn_size=64",
    "model.vocab_size=120",
    "teacher.trainer.max_epochs=3", "trainer.max_epochs=2", "logger=none", "data=local",
    *BRIEF,
]  # fmt: skip


def write_data(folder: Path, rows: int = 20) -> None:
    """Three intents told apart by their words, each row a rotation of its sentence."""
    folder.mkdir(parents=True)
    for split, count in (("train", rows), ("validation", 5), ("test", 6)):
        lines = []
        for label, sentence in INTENTS.items():
            words = sentence.split()
            lines += [
                json.dumps({"text": " ".join(words[i % len(words) :] + words[: i % len(words)]), "label": label})
                for i in range(count)
            ]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")


CITIES, DAYS = ("rome", "new york", "lima", "san jose"), ("today", "next friday")


def write_slots(folder: Path, rows: int = 48) -> None:
    """Two intents whose cities and days are slots, under `label` and `slots`; every split has every combination."""
    folder.mkdir(parents=True)
    frames = [("book", "please fly to {city} {day}"), ("weather", "rain in {city} {day}")]
    for split, count in (("train", rows), ("validation", 16), ("test", 16)):
        lines = []
        for i in range(count):
            (label, frame), city, day = frames[i % 2], CITIES[i // 2 % 4], DAYS[i // 8 % 2]
            words = [(word, "O") for word in frame.split()[:-2]]
            for kind, text in (("city", city), ("day", day)):
                words += [(word, f"{'I' if place else 'B'}-{kind}") for place, word in enumerate(text.split())]
            text, slots = (" ".join(column) for column in zip(*words, strict=True))
            lines.append(json.dumps({"text": text, "label": label, "slots": slots}))
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")


ANSWERS = {2: "your parcel is at the door", 1: "your parcel left our house", 0: "we sell shoes and hats"}
CLERKS = ("anna says", "ben wrote", "the clerk said", "a note")


def write_candidates(folder: Path, queries: int = 24) -> None:
    """Questions with three answers each, of relevance 0, 1 and 2 by their words, in turning order."""
    folder.mkdir(parents=True)
    for split, count in (("train", queries), ("validation", 12), ("test", 12)):
        lines = []
        for i in range(count):
            grades = [*ANSWERS][i % 3 :] + [*ANSWERS][: i % 3]
            lines += [
                json.dumps({
                    "question": f"where is my order {split} {i}", "answer": f"{CLERKS[i % 4]} {ANSWERS[grade]}",
                    "label": grade, "asked": f"{split} {i}",
                })
                for grade in grades
            ]  # fmt: skip
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")


def write_texts(folder: Path, rows: int = 24) -> None:
    """Documents of plain text in `texts`; in `pairs` English and German lines, `en` and `de`, and lists `also`."""
    animals = {"cat": "Katze", "cow": "Kuh", "hen": "Henne"}
    for name in ("texts", "pairs"):
        (folder / name).mkdir(parents=True)
    for split, count in (("train", rows), ("validation", 8), ("test", 8)):
        said = [
            (f"the {[*animals][i % 3]} sees {i} mice", f"die {[*animals.values()][i % 3]} sieht {i} Mäuse")
            for i in range(count)
        ]
        (folder / "texts" / f"{split}.txt").write_text("\n".join(english for english, _ in said), encoding="utf-8")
        lines = [
            json.dumps({"en": english, "de": german, "also": [german, german.title()]}) for english, german in said
        ]
        (folder / "pairs" / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")


def millis(place: Path, command: str, *arguments: str) -> int:
    own = [f"paths.outputs={place / 'outputs'}"] if command not in ("predict", "serve", "agent") else []
    texts = list(arguments[arguments.index("--") :]) if "--" in arguments else []
    rest = [argument for argument in arguments if argument not in texts]
    return run(command, [*rest, *own, f"hydra.run.dir={place / 'run'}", *texts])
