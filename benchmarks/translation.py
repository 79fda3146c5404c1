"""Translations of documents, whole and sentence by sentence; a glossary with and without; sentences at once over cores.

    python benchmarks/translation.py APPLICATION CORPUS [most=300] [sentences=10] [rounds=7] [terms=20]
        [parts=chunks,terms,pace]

APPLICATION is what `millis build app=translation` made, CORPUS the folder with its pairs. `chunks`: documents are made
of test sentences, `sentences` of them in two paragraphs. They are judged as documents: translated sentence by sentence,
as one text on one thread and on two, and given to the model in one piece. `terms`: the `terms` words that most test
sentences have, of those whose partner in training has a capital letter where any has, as nouns have in German; they are
to be called as they are called there, or by words that nobody knows. `pace`: two threads with a runner each, two that
share one, and two processes, against one thread, all in turn: speed-ups are medians over rounds.
"""

import multiprocessing
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, cast

import numpy as np
from results import Table

import millis
from millis.applications.measure import judged
from millis.applications.pool import RunnerPool
from millis.applications.translation.lexicon import Lexicon
from millis.applications.translation.pairs import Pair, pairs
from millis.metrics import named

OPTIONS = {"most": "300", "sentences": "10", "rounds": "7", "terms": "20", "parts": "chunks,terms,pace"}
RUNNER: Any = None  # of a process


def main() -> int:
    folder, corpus = sys.argv[1:3]
    options = OPTIONS | dict(argument.split("=", 1) for argument in sys.argv[3:])
    one, two = (cast(Any, millis.load(folder, threads=threads)) for threads in (1, 2))
    settings = one.application._settings
    columns = (settings.source, settings.target)
    told = pairs(Path(corpus), "test", columns, int(options["most"]))
    if "chunks" in options["parts"]:
        chunks(one, two, documents(told, int(options["sentences"]), settings.blanks), settings)
    if "terms" in options["parts"]:
        terms(one, told, Lexicon.of(pairs(Path(corpus), "train", columns)), int(options["terms"]), settings.metric)
    if "pace" in options["parts"]:
        pace(folder, one, two, told, int(options["rounds"]))
    return 0


def documents(told: Sequence[Pair], count: int, blanks: bool) -> list[list[Pair]]:
    """So many sentences each, the last ones left out where they are fewer."""
    return [list(told[begin : begin + count]) for begin in range(0, len(told) - count + 1, count)]


def text_of(sentences: Sequence[str], blank: str) -> str:
    """Two paragraphs."""
    middle = len(sentences) // 2
    return "\n\n".join(blank.join(part) for part in (sentences[:middle], sentences[middle:]))


def chunks(one: Any, two: Any, found: Sequence[Sequence[Pair]], settings: Any) -> None:
    """Quality of documents, and how many are what the sentences are one by one."""
    ours, theirs = " " if "CJK" not in settings.scripts else "", " " if settings.blanks else ""
    sources = [text_of([pair.source for pair in document], ours) for document in found]
    right = [text_of([pair.target for pair in document], theirs) for document in found]
    alone = [text_of([one.predict(pair.source).text for pair in document], theirs) for document in found]
    part = one.parts["translate"]
    ways: dict[str, list[str]] = {
        "sentence by sentence": alone,
        "one text, 1 thread": [one.predict(text).text for text in sources],
        "one text, 2 threads": [two.predict(text).text for text in sources],
        "in one piece to the model": [part.replied(text.replace("\n\n", ours)).text for text in sources],
    }
    columns = ("documents", settings.metric.upper(), "chrF", "the same as sentence by sentence")
    with Table(*columns, title=f"{len(found)} documents of {len(found[0])} sentences") as table:
        for name, answers in ways.items():
            cells = [told_of(kind, answers, right) for kind in (settings.metric, "chrf")]
            same = sum(answer == other for answer, other in zip(answers, alone, strict=True))
            table.row(name, *cells, f"{same} of {len(found)}")


def told_of(kind: str, answers: Sequence[str], right: Sequence[str]) -> str:
    measure = judged(kind, cast(Any, named(kind, (), "written")), answers, right)
    low, high = measure.interval()
    return f"{measure.value:.1f} ± {(high - low) / 2:.1f}"


def terms(runner: Any, told: Sequence[Pair], lexicon: Lexicon, count: int, metric: str) -> None:
    """Shares of terms that are kept, and quality of the sentences that have some."""
    links = [(pair, lexicon.links(*pair)) for pair in told]
    nouns = [(pair, [link for link in found if pair.target[link.target[0]].isupper()]) for pair, found in links]
    links = nouns if any(found for _, found in nouns) else links
    words = Counter(pair.source[slice(*link.source)] for pair, found in links for link in found)
    chosen = [word for word, _ in words.most_common(count)]
    known = {word: next(pair.target[slice(*link.target)] for pair, found in links for link in found
                        if pair.source[slice(*link.source)] == word) for word in chosen}  # fmt: skip
    strange = {
        word: f"Q{place}ux".translate(str.maketrans("0123456789", "abcdefghij")) for place, word in enumerate(chosen)
    }
    having = [pair for pair in told if any(one in pair.source for one in chosen)]
    having = [pair for pair in having if runner.predict((pair.source, {"glossary": known})).terms["found"]]
    right = [pair.target for pair in having]
    columns = ("glossary", "terms", "kept without %", "kept with %", f"{metric.upper()} without", "with")
    with Table(*columns, title=f"{len(chosen)} terms in {len(having)} sentences") as table:
        plain = [runner.predict(pair.source) for pair in having]
        for name, glossary in (("as in training", known), ("words of nobody", strange)):
            given = [runner.predict((pair.source, {"glossary": glossary})) for pair in having]
            found = sum(one.terms["found"] for one in given)
            with_terms = sum(one.terms["kept"] for one in given)
            without = kept(runner, having, plain, glossary)
            texts = [[one.text for one in answers] for answers in (plain, given)]
            quality = [told_of(metric, one, right) if glossary is known else "" for one in texts]
            table.row(name, str(found), f"{100 * without / found:.1f}", f"{100 * with_terms / found:.1f}", *quality)


def kept(runner: Any, having: Sequence[Pair], answers: Iterable[Any], glossary: dict[str, str]) -> int:
    """How many terms of sentences are in answers that knew nothing of them."""
    known = type(runner.application._glossary)(glossary)
    return sum(term.target in answer.text for pair, answer in zip(having, answers, strict=True)
               for term in known.found(pair.source))  # fmt: skip


def pace(folder: str, one: Any, two: Any, told: Sequence[Pair], rounds: int) -> None:
    """Characters a second, latency of a sentence, and ways to use two cores."""
    texts = [pair.source for pair in told[:60]]
    text, part = " ".join(texts), one.parts["translate"]
    shared = cast(Any, millis.load(folder))
    shared.application._pool = RunnerPool([shared.parts["translate"]] * 2)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), opened, (folder,)) as processes:
        ways: dict[str, Callable[[], Any]] = {
            "1 thread": lambda: one.predict(text),
            "2 threads, a runner each": lambda: two.predict(text),
            "2 threads, one runner": lambda: shared.predict(text),
            "2 processes": lambda: list(processes.map(asked, texts, chunksize=5)),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, way in ways.items():
                begun = perf_counter()
                way()
                if turn:
                    taken[name].append(perf_counter() - begun)
    with Table(
        "way", "characters a second", "speed-up", title=f"{len(texts)} sentences, {part.manifest.backend}"
    ) as table:
        for name, seconds in taken.items():
            ratio = median(ours / theirs for ours, theirs in zip(taken["1 thread"], seconds, strict=True))
            table.row(name, f"{len(text) / median(seconds):,.0f}", f"{ratio:.2f}×")
    each = []
    for pair in told:
        begun = perf_counter()
        one.predict(pair.source)
        each.append(1e3 * (perf_counter() - begun))
    with Table("sentences", "p50 ms", "p99 ms", title="a sentence, 1 thread") as table:
        table.row(str(len(each)), f"{np.percentile(each, 50):.1f}", f"{np.percentile(each, 99):.1f}")


def opened(folder: str) -> None:
    """In a process."""
    global RUNNER  # noqa: PLW0603
    RUNNER = millis.load(folder)


def asked(text: str) -> str:
    """In a process."""
    return str(RUNNER.predict(text).text)


if __name__ == "__main__":
    sys.exit(main())
