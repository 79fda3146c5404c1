"""What choosing tokens costs beside the model, and what reading several tokens at once costs with one.

    python benchmarks/generation.py [size=50000] [tokens=50] [layers=4] [hidden_size=256] [prompt=128]

First the loop with a decoder that only hands out rows of logits: of `size` tokens, whose probabilities fall with the
power 1.5 of their rank, so that 0.9 of the mass is in about 60 tokens, in an order that is another every time. Then the
time of reading several tokens over that of reading one, with a Llama of random weights in eager PyTorch on one thread:
what a draft of so many guesses has to make up for. All in turns; the least of the rounds, which other work on the
machine disturbs least.
"""

import sys
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recipes import divided
from results import Table

from millis.backends.eager_decoder import EagerDecoder
from millis.generation.draft.lookup import Lookup
from millis.generation.draft.speedup import tokens_a_read
from millis.generation.greedy import Greedy
from millis.generation.sampling import Sampling
from millis.generation.writing import Vocabulary
from millis.models.scratch_decoder import ScratchDecoder
from millis.types import Output

ROUNDS = 200  # of a few milliseconds each, so that some have a processor to themselves
ROWS = 256
LETTERS = Vocabulary((), lambda tokens: "".join(chr(97 + token % 26) for token in tokens))
AT_ONCE = (2, 3, 5, 9, 11)


def main() -> int:
    default = {"size": "50000", "tokens": "50", "layers": "4", "hidden_size": "256", "prompt": "128"}
    own, _ = divided(sys.argv[1:], default)
    given = {name: int(value) for name, value in own.items()}
    torch.set_num_threads(1)
    choosing(given["size"], given["tokens"])
    reading(given["layers"], given["hidden_size"], given["prompt"])
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


def reading(layers: int, hidden_size: int, prompt: int) -> None:
    """A row for each number of tokens that are read at once."""
    source = ScratchDecoder(layers, hidden_size, hidden_size // 64, hidden_size // 128, hidden_size * 8 // 3)
    texts = [f"{number} {number * number}" for number in range(20_000)]
    model, tokenizer = source([Output("next", "token", 0, "next")], texts)
    decoder = EagerDecoder(model)
    continuation = decoder.begin(prompt + max(AT_ONCE))
    continuation.read(np.arange(prompt) % tokenizer.get_vocab_size())

    def read(count: int) -> Callable[[], None]:
        def run() -> None:
            continuation.read(np.arange(count), every=True)
            continuation.rewind(prompt)

        return run

    times = in_turns({count: read(count) for count in (1, *AT_ONCE)})
    title = f"{layers} layers of {hidden_size}, a vocabulary of {tokenizer.get_vocab_size():,}, after {prompt} tokens"
    columns = ("tokens read at once", "ms", "v: over one", "guesses", "pays where so many are right")
    with Table(*columns, title=title) as table:
        for count, found in times.items():
            ratio = found / times[1]
            table.row(str(count), f"{found / 1e3:.3g}", f"{ratio:.2f}", str(count - 1), pays(count - 1, ratio))


def pays(guesses: int, ratio: float) -> str:
    """The least share of right guesses with which as many tokens come in the time as without a draft."""
    shares = np.linspace(0, 1, 1001)
    return next((f"{share:.2f}" for share in shares if tokens_a_read(share, guesses) >= ratio), "never")


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
