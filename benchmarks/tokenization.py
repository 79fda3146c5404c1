"""One text to tokens: how long each library takes, and whether both make the same of every text at hand.

    python benchmarks/tokenization.py FOLDER FOLDER ... [model=minilm_l6] [max_length=128]

Every string of the folders' tables and lines of text is read by both, with the model's tokenizer; then the 1,000
of each folder that are nearest to 40 characters are timed one by one, in turns, first as nobody has seen them and then
again.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from recipes import divided
from results import Table
from tokenizers import Tokenizer

from millis.cli.hydra_app import composed
from millis.cli.targets import instantiate
from millis.data.formats import SUFFIXES, read_table
from millis.data.formats.opened import opened
from millis.serving.quick_tokens import quick
from millis.types import Output

TIMED, CHARACTERS = 1000, 40
ROUNDS = 5


def main() -> int:
    own, folders = divided(sys.argv[1:], {"model": "minilm_l6", "max_length": "128"})
    max_length = int(own["max_length"])
    source = instantiate(composed("train", [f"model={own['model']}"]).model)
    _, slow = source([Output("logits", "text", 2)], [])
    fast = quick(slow, slow.to_str(), max(slow.get_vocab().values()), max_length)
    assert fast is not None, "nanotoken is not installed, or cannot read this tokenizer"
    slow.no_padding()
    slow.enable_truncation(max_length)
    columns = ("data", "texts", "not ASCII", "different", "tokenizers µs", "nanotoken µs, first", "again", "ratio")
    with Table(*columns) as table:
        for folder in map(Path, folders):
            texts = list(dict.fromkeys(texts_of(folder)))
            others = f"{sum(not text.isascii() for text in texts):,}"
            short = sorted(texts, key=lambda text: abs(len(text) - CHARACTERS))[:TIMED]
            first, again = timed(fast, short), []
            usual = []
            for _ in range(ROUNDS):
                usual.append(timed(lambda text: slow.encode_batch_fast([text])[0], short))
                again.append(timed(fast, short))
            ratio = f"{np.median(np.divide(usual, again)):.0f}×"
            differ = f"{different(slow, fast, texts):,}"
            times = (f"{number:.3g}" for number in (np.median(usual), first, np.median(again)))
            table.row(folder.name, f"{len(texts):,}", others, differ, *times, ratio)
    return 0


def texts_of(folder: Path) -> Iterator[str]:
    """Every string of a folder's tables, and every line of its texts."""
    for path in sorted(folder.iterdir()):
        if path.name.endswith(SUFFIXES) and path.name != "dataset.json":
            table = read_table(path)
            for row in table.cells(tuple(table.columns)):
                yield from (cell for cell in row if isinstance(cell, str))
        elif path.name.endswith((".txt", ".txt.gz")):
            with opened(path, "UTF-8 text") as file:
                yield from (line.rstrip("\n") for line in file)


def different(slow: Tokenizer, fast: Callable[[str], Any], texts: list[str]) -> int:
    """How many of `texts` have other tokens, or are cut otherwise."""
    found = 0
    for start in range(0, len(texts), 1000):
        part = texts[start : start + 1000]
        for expected, text in zip(slow.encode_batch_fast(part), part, strict=True):
            ids, overflowing = fast(text)
            found += ids.tolist() != expected.ids or overflowing != bool(expected.overflowing)
    return found


def timed(read: Callable[[str], Any], texts: list[str]) -> float:
    """Microseconds a text."""
    start = perf_counter_ns()
    for text in texts:
        _ = read(text).ids
    return (perf_counter_ns() - start) / 1e3 / len(texts)


if __name__ == "__main__":
    sys.exit(main())
