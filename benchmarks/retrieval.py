"""Retrieval: what finds the entry of an FAQ, how fast, and what a larger collection costs.

    python benchmarks/retrieval.py FAQ [unlabelled=FILE] [distractors=FOLDER,...] [key=value ...]

FAQ is a folder with `faq.jsonl` (id, question, answer) and `test.jsonl` (question, faq_id, label 1 where they mean the
same). Queries to train on are sentences of the answers, others of them validate, and the questions of `test.jsonl` are
asked. Runs `millis compress task=retrieval` with each recipe and prints a table. Then the last student's vectors of
queries are searched for among 1,000 and 100,000 texts (the FAQ's, and distractors from the data sets in these folders)
with Faiss: exactly, and by a graph (HNSW), in turns.
"""

import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from recipes import COLUMNS, cells, compressed, divided
from results import Table

import millis
from millis.cli.hydra_app import composed
from millis.cli.recipes import inputs_of
from millis.metrics import judged
from millis.models.load import Packaged
from millis.models.sentence_vectors import sentence_vectors
from millis.report.tables import frontier_rows
from millis.sweep.frontier import frontier

RECIPES = (
    ["student.layers=3", "quantization=dynamic"],
    ["student.layers=2", "quantization=dynamic"],
    ["student=static"],
)
SIZES = (1_000, 100_000)
SENTENCE = re.compile(r"(?<=[.!?])\s+")
WORDS = 5  # that a sentence has at least


def main() -> int:
    own, overrides = divided(sys.argv[2:], {"unlabelled": "", "distractors": ""})
    source = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / source.name
        cut(source, folder)
        given = [
            "task=retrieval",
            "data=local",
            f"data.path={folder}",
            f"task.collection={folder / 'collection.jsonl'}",
        ]
        given += ["logger=none", *([f"data.unlabelled={own['unlabelled']}"] if own["unlabelled"] else []), *overrides]
        task = inputs_of(composed("compress", given)).task
        records = {record.id: record for recipe in RECIPES for record in compressed([*given, *recipe])}
        metrics = list(judged(task.metrics()))
        columns = ("model", *(name.replace("_", " ") for name in metrics), *COLUMNS)
        with Table(*columns, title=source.name) as table:
            for row in frontier_rows(list(records.values()), frontier(list(records.values()))):
                table.row(*cells(row, metrics))
        queries = [json.loads(line)["text"] for line in (folder / "test.jsonl").read_text().splitlines()]
        if own["distractors"]:
            two = next(record for record in records.values() if record.name.startswith("transformer 2x"))
            among(two.artifact, queries, list(texts_of(folder, own["distractors"].split(","))))
    return 0


def cut(source: Path, folder: Path) -> None:
    """The FAQ as a collection, with queries for three splits; entries of one question are one."""
    folder.mkdir()
    entries = [json.loads(line) for line in (source / "faq.jsonl").read_text(encoding="utf-8").splitlines()]
    first = {entry["question"]: entry["id"] for entry in reversed(entries)}
    same = {entry["id"]: first[entry["question"]] for entry in entries}
    splits: dict[str, list[dict[str, Any]]] = {"train": [], "validation": [], "test": []}
    for entry in entries:
        sentences = [one for one in SENTENCE.split(entry["answer"].replace("\n", " ")) if len(one.split()) >= WORDS]
        held = sentences.pop(1) if len(sentences) > 1 else None
        for text in (entry["question"], *sentences):
            splits["train"].append({"text": text, "label": same[entry["id"]]})
        if held is not None:
            splits["validation"].append({"text": held, "label": same[entry["id"]]})
    for line in (source / "test.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["label"] == 1:
            splits["test"].append({"text": row["question"], "label": same[row["faq_id"]]})
    splits["collection"] = [{"id": place, "text": question} for question, place in first.items()]
    for split, rows in splits.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")


def texts_of(folder: Path, distractors: list[str]) -> Iterator[str]:
    """The collection's texts, then those of the training splits of data sets, each once, in random order."""
    own = [json.loads(line)["text"] for line in (folder / "collection.jsonl").read_text().splitlines()]
    yield from own
    others: dict[str, None] = {}
    for place in distractors:
        inputs = inputs_of(composed("compress", ["data=local", f"data.path={place}", "logger=none"]))
        others |= dict.fromkeys(text for text in inputs.dataset.train.texts if isinstance(text, str))
    yield from random.Random(0).sample([text for text in others if text not in set(own)], len(others) - len(own))


def among(artifact: str, queries: list[str], texts: list[str]) -> None:
    """Time and recall of exact and approximate search in collections of several sizes."""
    faiss.omp_set_num_threads(1)
    runner = millis.load(artifact)
    found = [runner.outputs([query])[0][0] for query in queries]
    vectors = np.concatenate([one / np.linalg.norm(one, axis=1, keepdims=True) for one in found]).astype(np.float32)
    entries = sentence_vectors(Packaged(), texts[: max(SIZES)], 128)
    with Table("entries", "query ms", "exact ms", "graph ms", "graph finds of the exact ten", title="search") as table:
        for size in SIZES:
            if size > len(entries):
                raise SystemExit(f"the distractors give {len(entries)} texts, and {size} are to be searched")
            exact, graph = (
                faiss.IndexFlatIP(entries.shape[1]),
                faiss.IndexHNSWFlat(entries.shape[1], 32, faiss.METRIC_INNER_PRODUCT),
            )
            graph.hnsw.efConstruction, graph.hnsw.efSearch = 200, 128
            exact.add(entries[:size])
            graph.add(entries[:size])
            searches = {"exact": partial(nearest, exact, vectors), "graph": partial(nearest, graph, vectors)}
            times = in_turns({"query": lambda row: runner.predict(queries[row]), **searches}, len(queries))
            share = overlap(exact.search(vectors, 10)[1], graph.search(vectors, 10)[1])
            cells = [f"{times[name]:.3f}" for name in ("query", "exact", "graph")]
            table.row(f"{size:,}", *cells, f"{100 * share:.1f} %")


def nearest(index: Any, vectors: NDArray[np.float32], row: int) -> object:
    """The ten entries that are nearest to one of the vectors."""
    return index.search(vectors[row : row + 1], 10)


def in_turns(ways: dict[str, Callable[[int], object]], rows: int) -> dict[str, float]:
    """Median milliseconds of each way over the rows, which every way takes one after the other."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for row in range(rows):
        for name, way in ways.items():
            begun = time.perf_counter_ns()
            way(row)
            taken[name].append((time.perf_counter_ns() - begun) / 1e6)
    return {name: median(values[rows // 10 :]) for name, values in taken.items()}


def overlap(exact: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """Share of the exact entries that were found."""
    pairs = zip(exact.tolist(), found.tolist(), strict=True)
    return float(np.mean([len(set(one) & set(other)) / len(one) for one, other in pairs]))


if __name__ == "__main__":
    sys.exit(main())
