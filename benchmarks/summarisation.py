"""Summaries against the first sentences, graphs of sentences and the best that can be; time against length; deadlines.

    python benchmarks/summarisation.py APPLICATION DATA[,DATA...] [lengths=1000,3000,...] [rounds=5] [most=618]
        [parts=quality,length,deadlines]

APPLICATION is what `millis build app=summarisation` made, DATA folders of documents with summaries; the first is what
it was built from, others it never saw. ROUGE is of rouge_score without stemming (`millis.metrics._rouge`), every
summary of as many sentences as the application's. TextRank and LexRank are those of `sumy` (pip install sumy), given
the same sentences; the first `most` test documents are asked. Then documents are put together to texts of up to 100,000
words, which are summarised with and without a deadline, all lengths in turns.
"""

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import process_time_ns
from typing import Any

import numpy as np
from results import Table

import millis
from millis.applications.measure import judged
from millis.applications.sentences import Sentence, sentences
from millis.applications.summarisation.answering import MEASURES, assemble
from millis.applications.summarisation.choosing import marginal
from millis.applications.summarisation.documents import Document, documents, shared
from millis.metrics import named

DEADLINES_MS = (20.0, 50.0, 200.0)
WARM = 20  # requests before any is timed
Chosen = list[int]
Method = Callable[[Document, Sequence[Sentence]], Chosen]


def main() -> int:
    options = {
        "lengths": "1000,3000,10000,30000,100000",
        "rounds": "5",
        "most": "100000",
        "parts": "quality,length,deadlines",
    }
    options |= dict(argument.split("=", 1) for argument in sys.argv[3:])
    runner: Any = millis.load(sys.argv[1])
    folders = [Path(folder) for folder in sys.argv[2].split(",")]
    for folder in folders if "quality" in options["parts"] else ():
        quality(runner, folder, int(options["most"]))
    texts = [one.text for one in documents(folders[0], "test")]
    for text in texts[:WARM]:
        runner.predict(text)
    lengths = [int(words) for words in options["lengths"].split(",")]
    long = {words: of_length(texts, words) for words in lengths}
    if "length" in options["parts"]:
        time_against_length(runner, long, int(options["rounds"]))
    if "deadlines" in options["parts"]:
        deadlines(runner, long, int(options["rounds"]))
    return 0


def quality(runner: Any, folder: Path, most: int) -> None:
    """ROUGE of the application and of what it is compared with."""
    told = [one for one in documents(folder, "test")[:most] if sentences(one.text, "en")]
    settings, count = runner.application._settings, runner.application._settings.sentences
    found = [sentences(one.text, settings.language) for one in told]
    rows = [{"document": one.text, "summaries": one.summaries} for one in told]
    titles = (name.replace("_", "-").upper() for name in MEASURES)
    with Table("summary", *titles, title=f"{folder.name}: {count} of a document's sentences") as table:
        for name, method in (
            ("the first", lambda document, given: list(range(min(count, len(given))))),
            ("at random", at_random(count)),
            ("TextRank (sumy)", graph("text_rank", count)),
            ("LexRank (sumy)", graph("lex_rank", count)),
            ("nearest to the middle", nearest_to_the_middle(runner, count)),
            ("the best there are, one by one", best(count)),
        ):
            answers = [" ".join(given[place].text for place in method(one, given))
                       for one, given in zip(told, found, strict=True)]  # fmt: skip
            told_of(table, name, [judged(kind, named(kind, (), "written"), answers, [one.summaries for one in told])
                                  for kind in MEASURES])  # fmt: skip
        quick = assemble(replace(settings, closely=0), runner.parts, Path())
        told_of(table, "millis, by the survey alone", quick.judge(rows))
        told_of(table, "millis", runner.judge(rows))


def told_of(table: Table, name: str, measures: Sequence[Any]) -> None:
    cells = []
    for one in measures:
        low, high = one.interval()
        cells.append(f"{one.value:.1f} ± {(high - low) / 2:.1f}")
    table.row(name, *cells)


def at_random(count: int) -> Method:
    rng = random.Random(0)
    return lambda document, given: sorted(rng.sample(range(len(given)), min(count, len(given))))


def graph(kind: str, count: int) -> Method:
    """TextRank (Mihalcea and Tarau 2004) or LexRank (Erkan and Radev 2004) of sumy, on the same sentences."""
    from sumy.models.dom import ObjectDocumentModel, Paragraph
    from sumy.models.dom import Sentence as Said
    from sumy.summarizers.lex_rank import LexRankSummarizer
    from sumy.summarizers.text_rank import TextRankSummarizer

    class Words:  # sumy's own tokenizer would download one
        def to_words(self, text: str) -> list[str]:
            return [word.strip(".,;:!?()\"'").lower() for word in text.split()]

    ranks = TextRankSummarizer() if kind == "text_rank" else LexRankSummarizer()

    def chosen(document: Document, given: Sequence[Sentence]) -> Chosen:
        said = [Said(one.text, Words()) for one in given]
        taken = ranks(ObjectDocumentModel([Paragraph(said)]), count)
        return [place for place, one in enumerate(said) if any(one is other for other in taken)]

    return chosen


def nearest_to_the_middle(runner: Any, count: int) -> Method:
    """By the cosine with the mean of the larger model's vectors: no summary teaches it anything."""

    def chosen(document: Document, given: Sequence[Sentence]) -> Chosen:
        rows = np.concatenate([outputs[0] for outputs in runner.parts["close"].outputs([one.text for one in given])])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return marginal(rows @ rows.mean(axis=0), rows, count, 1.0)

    return chosen


def best(count: int) -> Method:
    """One sentence after the other that makes the summary share most words with those that are right."""

    def chosen(document: Document, given: Sequence[Sentence]) -> Chosen:
        taken: Chosen = []
        for _ in range(min(count, len(given))):
            left = [place for place in range(len(given)) if place not in taken]
            said = {place: " ".join(given[one].text for one in sorted([*taken, place])) for place in left}
            taken.append(max(left, key=lambda place: shared(said[place], document.summaries)))
        return sorted(taken)

    return chosen


def of_length(texts: Sequence[str], words: int) -> str:
    """Documents one behind the other, a section each, until there are so many words."""
    found, have = [], 0
    while have < words:
        text = texts[len(found) % len(texts)]
        found.append(" ".join(text.split()[: words - have]))
        have += len(found[-1].split())
    return "\n\n".join(found)


def time_against_length(runner: Any, long: dict[int, str], rounds: int) -> None:
    """Milliseconds of processor time of each step, which other processes do not lengthen as they do the clock's.

    The median of rounds in which all lengths take turns.
    """
    names = [name for name, _ in runner.stages]
    taken: dict[int, list[list[float]]] = {words: [] for words in long}
    found: dict[int, int] = {}
    for _ in range(rounds):
        for words, text in long.items():
            given, stamps = text, [process_time_ns()]
            for _, step in runner.stages:
                given = step(given)
                stamps.append(process_time_ns())
            found[words] = given.read["sentences"]
            taken[words].append([(after - before) / 1e6 for before, after in pairwise(stamps)])
    steps = {words: [median(column) for column in zip(*rows, strict=True)] for words, rows in taken.items()}
    longest = max(long)
    columns = ("words", "sentences", *(f"{name} ms" for name in names[1:]), "all ms", "ms a word, over the longest's")
    with Table(*columns, title="time against length, without a deadline") as table:
        for words, row in steps.items():
            share = sum(row) / words / (sum(steps[longest]) / longest)
            cells = [f"{ms:.2f}" for ms in row[1:]]
            table.row(f"{words:,}", f"{found[words]:,}", *cells, f"{sum(row):.1f}", f"{share:.2f}×")


def deadlines(runner: Any, long: dict[int, str], rounds: int) -> None:
    """What is read within a time, and how often that is kept; all in turns."""
    taken: dict[tuple[float, int], list[Any]] = {(ms, words): [] for ms in DEADLINES_MS for words in long}
    for _ in range(rounds * 4):
        for (ms, words), found in taken.items():
            found.append(runner.predict(long[words], deadline_ms=ms))
    with Table("deadline ms", "words", "characters read", "surveyed", "read closely", "p50 ms", "longest ms", "kept",
               title="deadlines") as table:  # fmt: skip
        for (ms, words), found in taken.items():
            read = [one.answer.read for one in found]
            numbers = [f"{median(one[name] for one in read):,.0f}" for name in ("characters", "surveyed", "closely")]
            elapsed = [one.elapsed_ms for one in found]
            kept = 100 * np.mean([one.kept for one in found])
            table.row(
                f"{ms:g}", f"{words:,}", *numbers, f"{median(elapsed):.1f}", f"{max(elapsed):.1f}", f"{kept:.0f} %"
            )


if __name__ == "__main__":
    sys.exit(main())
