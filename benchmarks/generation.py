"""What choosing tokens costs beside the model, and how often a look-up is right.

    python benchmarks/generation.py FOLDER FOLDER ... [size=50000] [tokens=50]

First the loop with a decoder that only hands out rows of logits: of `size` tokens, whose probabilities fall with the
power 1.5 of their rank, so that 0.9 of the mass is in about 60 tokens, in an order that is another every time. Then
masks of forms, over as many byte pairs as the folders' texts give, up to `size` (`millis[constrained]`). All in turns,
on one thread; the least of the rounds, which other work on the machine disturbs least.

Last, without a model, how often `draft=lookup` is right where a model would write each folder's texts as they are: 40
places of each, 256 tokens before and 200 written, 8,192 byte pairs of all folders.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recipes import divided
from results import Table
from tokenization import texts_of

from millis.generation.draft.lookup import Lookup
from millis.generation.draft.speedup import acceptance
from millis.generation.form import Form, grammar
from millis.generation.greedy import Greedy
from millis.generation.sampling import Sampling
from millis.generation.writing import Vocabulary
from millis.models import byte_pairs

ROUNDS = 200  # of a few milliseconds each, so that some have a processor to themselves
ROWS = 256
LETTERS = Vocabulary((), lambda tokens: "".join(chr(97 + token % 26) for token in tokens))
LONGEST = 1_500_000  # characters of a folder
BEFORE, WRITTEN, PLACES = 256, 200, 40


def main() -> int:
    own, folders = divided(sys.argv[1:], {"size": "50000", "tokens": "50"})
    size = int(own["size"])
    choosing(size, int(own["tokens"]))
    texts = {folder.name: "\n".join(texts_of(folder))[:LONGEST] for folder in map(Path, folders)}
    forms(list(texts.values()), size)
    looking(texts)
    return 0


class Rows:
    """A decoder and its continuation in one: rows of logits, whatever is read."""

    def __init__(self, size: int) -> None:
        draws = np.random.default_rng(0)
        logits = (-1.5 * np.log(np.arange(1, size + 1))).astype(np.float32)
        self.rows = np.stack([draws.permutation(logits) for _ in range(ROWS)])
        self.length = 0

    def begin(self, room: int) -> "Rows":
        self.length = 0
        return self

    def read(self, tokens: NDArray[np.int64], every: bool = False) -> NDArray[np.float32]:
        self.length += len(tokens)
        at = self.length % (ROWS - 16)
        return self.rows[at : at + (len(tokens) if every else 1)]

    def rewind(self, length: int) -> None:
        self.length = length


def choosing(size: int, tokens: int) -> None:
    """A row for each way of choosing."""
    decoder, prompt = Rows(size), np.arange(1, 100)

    def reads() -> None:
        for _ in range(tokens):
            decoder.read(prompt[:1])

    def argmax() -> None:
        for _ in range(tokens):
            int(decoder.read(prompt[:1])[0].argmax())

    ways = {
        "greedy": Greedy(tokens),
        "greedy, two stop strings": Greedy(tokens, stop=("\n\n", "###")),
        "greedy, draft=lookup": Greedy(tokens, draft=Lookup()),
        "sampling": Sampling(tokens),
        "sampling, top_k=50": Sampling(tokens, top_k=50),
        "sampling, top_p=0.9": Sampling(tokens, top_p=0.9),
    }
    runs = {"read alone": reads, "read and argmax": argmax} | {
        name: lambda way=way: way.begin(decoder, prompt, LETTERS).finish() for name, way in ways.items()
    }
    times = in_turns(runs)
    with Table("choice", "µs a token", "beside reading", title=f"{size:,} tokens in the vocabulary") as table:
        for name, found in times.items():
            each = found / tokens
            table.row(name, f"{each:.3g}", f"{max(0.0, each - times['read alone'] / tokens):.3g}")


def forms(texts: list[str], size: int) -> None:
    """A row for each form: what beginning a text takes, and what each token does."""
    tokenizer = byte_pairs.train(texts, size)
    serialized, ends = tokenizer.to_str(), (tokenizer.token_to_id("</s>"),)
    logits = np.random.default_rng(0).normal(size=tokenizer.get_vocab_size()).astype(np.float32)
    made = {
        "choices=[yes,no,maybe]": ((("yes", "no", "maybe"), None), "maybe"),
        "regex=[0-9]{4}": (((), "[0-9]{4}"), "2026"),
        "regex=[a-z0-9 ]{1,200}": (((), "[a-z0-9 ]{1,200}"), "the year 1984 was not like 1983 or 1982"),
    }

    def write(tokens: list[int], *form: Any) -> None:
        within = Form(*form)
        for token in tokens:
            within.possible(logits)
            within.take(token)
            within.forced()

    with Table("form", "µs a text", "µs a token", title=f"{len(logits):,} tokens in the vocabulary, a form") as table:
        for name, (asked, text) in made.items():
            tokens = tokenizer.encode(text, add_special_tokens=False).ids
            form = (grammar(*asked), lambda: serialized, ends, len(logits))
            times = in_turns({count: partial(write, tokens[:count], *form) for count in (0, len(tokens))})
            table.row(name, f"{times[0]:.3g}", f"{(times[len(tokens)] - times[0]) / len(tokens):.3g}")


def looking(texts: dict[str, str]) -> None:
    """A row for each folder and shortest end that is looked up."""
    pairs = byte_pairs.train(list(texts.values()), 8192)
    columns = ("texts", "shortest", "guesses a read", "right of those looked at", "tokens a read")
    with Table(*columns, title="draft=lookup") as table:
        for name, text in texts.items():
            ids = pairs.encode(text, add_special_tokens=False).ids
            begins = np.random.default_rng(0).integers(0, len(ids) - BEFORE - WRITTEN, PLACES)
            for shortest in (1, 2, 3):
                draft = Lookup(shortest=shortest)
                found = [looked_up(draft, ids[begin : begin + BEFORE + WRITTEN]) for begin in begins]
                reads, drafted, accepted, refused = np.sum(found, axis=0)
                right = f"{acceptance(accepted, refused):.2f}"
                table.row(name, str(shortest), f"{drafted / reads:.2f}", right, f"{1 + accepted / reads:.3f}")


def looked_up(draft: Lookup, ids: list[int]) -> tuple[int, int, int, int]:
    """Reads, guesses, right ones and wrong ones looked at, where `ids` are what is written."""
    decoder = Known(ids)
    found = Greedy(WRITTEN, draft=draft).begin(decoder, ids[:BEFORE], LETTERS).finish()
    assert found.tokens.tolist() == ids[BEFORE:]
    return decoder.reads - 1, found.drafted, found.accepted, found.refused


class Known:
    """A decoder and its continuation in one, which writes a text that is known."""

    def __init__(self, ids: list[int]) -> None:
        self.ids, self.length, self.reads = np.array(ids), 0, 0

    def begin(self, room: int) -> "Known":
        return self

    def read(self, tokens: NDArray[np.int64], every: bool = False) -> NDArray[np.float32]:
        self.length += len(tokens)
        self.reads += 1
        after = self.ids[self.length - (len(tokens) if every else 1) + 1 : self.length + 1]
        return (after[:, None] == np.arange(8192)).astype(np.float32)

    def rewind(self, length: int) -> None:
        self.length = length


def in_turns(runs: dict[Any, Callable[[], object]]) -> dict[Any, float]:
    """Least microseconds of each."""
    times: dict[Any, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = perf_counter_ns()
            run()
            times[name].append((perf_counter_ns() - start) / 1e3)
    return {name: min(found) for name, found in times.items()}


if __name__ == "__main__":
    sys.exit(main())
