"""Both towers learned from histories: what comes next, among what others took and what was drawn at random.

A step takes B places in histories, each with the items before it and the one that was taken there. It is picked among
the items of the whole batch and others drawn at random (mixed negative sampling, Yang et al. 2020), by cross-entropy of

    u · z_j + popularity_j - log q_j

where q_j is how often item j is drawn so (the correction of Bengio and Senécal 2003 and Yi et al. 2019, "Sampling-Bias-
Corrected Neural Modeling for Large Corpus Item Recommendations"): without it what many take would be pushed away for
being seen so often. Departure: the frequencies are counted, where Yi et al. estimate those of a stream. Items of the
history, and further copies of the right one, are no wrong answers and left out.

What was learned of an item itself is left out of a share of the items of each batch (DropoutNet, Volkovs et al. 2017),
so that texts alone serve for items that nobody took yet.

Axes here: C items, B places of a batch, n of a history, M candidates of a batch, T and K of vectors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from millis.applications.recommendation.interactions import Asked, Histories
from millis.applications.recommendation.judging import ndcg, places_of
from millis.applications.recommendation.tower import Numbers, Tower
from millis.errors import MillisError

BATCH = 256


@dataclass(frozen=True)
class Learning:
    """How towers are learned.

    Args:
        size: K, of an item's vector.
        hidden: F, of the network of a history.
        history: n, most items of a history that are read.
        negatives: Items drawn at random for each batch, beside those of the batch.
        left_out: Share of items in a batch whose text alone is seen.
        correct: Whether how often an item is drawn is corrected for.
        epochs: At most; the best on validation is kept.
        patience: Epochs without a better one that end it.
        lr: Of Adam.
        weight_decay: Of all weights.

    Raises:
        MillisError: a number that cannot be.
    """

    size: int = 64
    hidden: int = 128
    history: int = 20
    negatives: int = 1024
    left_out: float = 0.2
    correct: bool = True
    epochs: int = 12
    patience: int = 3
    lr: float = 2e-3
    weight_decay: float = 1e-5

    def __post_init__(self) -> None:
        if min(self.size, self.hidden, self.history, self.epochs, self.patience) < 1 or self.negatives < 0:
            raise MillisError(
                "app.learning: size, hidden, history, epochs and patience are at least 1, negatives at least 0"
            )
        if not 0 <= self.left_out < 1 or not self.lr > 0 or self.weight_decay < 0:
            raise MillisError("app.learning: left_out is from 0 to below 1, lr above 0, weight_decay 0 or more")


@dataclass(frozen=True)
class Learned:
    """What came of it.

    Args:
        tower: Weights.
        vectors: Of the items, [C, K].
        popularity: Of the items, [C].
        quality: NDCG@10 of validation, in percent, of the epoch that was kept.
    """

    tower: Tower
    vectors: Numbers
    popularity: Numbers
    quality: float


class Towers(nn.Module):
    """Both, while they learn; `Tower` says what they compute.

    Args:
        texts: Vectors of the items' texts, [C, T].
        learning: How.
    """

    def __init__(self, texts: Numbers, learning: Learning) -> None:
        super().__init__()
        self.register_buffer("texts", torch.from_numpy(texts))
        size, count = learning.size, len(texts)
        self.projection = nn.Parameter(torch.randn(texts.shape[1], size) * texts.shape[1] ** -0.5)
        self.own = nn.Parameter(torch.zeros(count, size))
        self.popularity = nn.Parameter(torch.zeros(count))
        self.recency = nn.Parameter(-0.2 * torch.arange(learning.history, dtype=torch.float32))
        self.step = nn.Parameter(torch.zeros(size, size))
        self.inner = nn.Linear(2 * size, learning.hidden)
        self.outer = nn.Parameter(torch.zeros(learning.hidden, size))

    def items(self, places: Tensor, left_out: Tensor | None = None) -> Tensor:
        """Vectors of items [...], [..., K]; `left_out` [C] says of which the text alone is seen."""
        own = self.own[places]
        if left_out is not None:
            own = own * (~left_out[places]).unsqueeze(-1)
        texts: Any = self.texts
        found: Tensor = texts[places] @ self.projection + own
        return found

    def users(self, taken: Tensor, there: Tensor) -> Tensor:
        """Vectors of histories of items' vectors [B, n, K], most recent first, `there` [B, n] where there are any."""
        weights = self.recency.expand(len(taken), -1).masked_fill(~there, -torch.inf).softmax(dim=1)
        mean, last = (weights.unsqueeze(1) @ taken).squeeze(1), taken[:, 0]
        inner = torch.relu(self.inner(torch.cat([mean, last], dim=1)))
        return mean + inner @ self.outer + last @ self.step

    @torch.no_grad()
    def tower(self, unknown: float) -> Tower:
        """As NumPy has it; `unknown` is the popularity of an item that nobody took yet."""
        tensors = {
            "projection": self.projection, "recency": self.recency, "step": self.step, "inner": self.inner.weight.T,
            "bias": self.inner.bias, "outer": self.outer, "popularity": torch.tensor([unknown]),
        }  # fmt: skip
        return Tower.of({name: tensor.detach().numpy().copy() for name, tensor in tensors.items()})


def learn(texts: Numbers, histories: Histories, learning: Learning, seed: int) -> Learned:
    """Towers of a catalogue.

    Args:
        texts: Vectors of the items' texts, [C, T].
        histories: Of its users.
        learning: How.
        seed: Of weights, order and draws.
    """
    counts = np.bincount([item for one in histories.train for item in one], minlength=len(texts)).astype(np.float32)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        towers = Towers(texts, learning)
        return _learned(towers, counts, histories, learning, np.random.default_rng(seed))


def _learned(
    towers: Towers, counts: Numbers, histories: Histories, learning: Learning, rng: np.random.Generator
) -> Learned:
    frequencies = torch.from_numpy(np.maximum(counts, 0.5) / counts.sum())
    with torch.no_grad():
        towers.popularity.copy_(torch.log(frequencies))
    optimizer = torch.optim.Adam(towers.parameters(), learning.lr, weight_decay=learning.weight_decay)
    asked = histories.validation or [Asked(one[:-1], one[-1]) for one in histories.train if len(one) > 1]
    since, best = 0, None
    for _ in range(learning.epochs):
        for batch in _batches(histories.train, learning, rng):
            optimizer.zero_grad()
            loss: Any = _loss(towers, batch, frequencies, learning, rng)
            loss.backward()
            optimizer.step()
        now = _taken(towers, counts, asked)
        if best is None or now.quality > best.quality:
            best, since = now, 0
        elif (since := since + 1) >= learning.patience:
            break
    assert best is not None, "there is an epoch at least"
    return best


def _batches(
    train: Sequence[tuple[int, ...]], learning: Learning, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(histories [B, n], most recent first, -1 behind their end; what was taken next [B]), every place once."""
    users = [np.asarray(one, np.int64) for one in train if len(one) > 1]
    owner = np.repeat(np.arange(len(users)), [len(one) - 1 for one in users])
    place = np.concatenate([np.arange(1, len(one)) for one in users]) if users else np.empty(0, np.int64)
    order = rng.permutation(len(owner))
    for begin in range(0, len(order), BATCH):
        rows = order[begin : begin + BATCH]
        before = np.full((len(rows), learning.history), -1, np.int64)
        for row, (user, at) in enumerate(zip(owner[rows], place[rows], strict=True)):
            recent = users[user][max(0, at - learning.history) : at][::-1]
            before[row, : len(recent)] = recent
        yield before, np.array([users[user][at] for user, at in zip(owner[rows], place[rows], strict=True)])


def _loss(
    towers: Towers,
    batch: tuple[NDArray[np.int64], NDArray[np.int64]],
    frequencies: Tensor,
    learning: Learning,
    rng: np.random.Generator,
) -> Tensor:
    """Cross-entropy of what was taken next, in nats."""
    before, right = (torch.from_numpy(part) for part in batch)
    count, there = len(frequencies), before >= 0
    candidates = torch.cat([right, torch.from_numpy(rng.integers(count, size=learning.negatives))])
    left_out = torch.from_numpy(rng.random(count) < learning.left_out)
    places, rows = torch.unique(torch.cat([before.clamp(min=0).flatten(), candidates]), return_inverse=True)
    vectors = towers.items(places, left_out)  # of each item once, however often it is seen
    taken, offered = rows[: before.numel()].view_as(before), rows[before.numel() :]
    scores = towers.users(vectors[taken], there) @ vectors[offered].T + towers.popularity[candidates]
    if learning.correct:
        often = len(right) * frequencies + learning.negatives / count
        scores = scores - torch.log(often)[candidates]
    barred = torch.zeros(len(right), len(places) + 1, dtype=torch.bool)  # the last for where a history has ended
    barred.scatter_(1, taken.masked_fill(~there, len(places)), True).scatter_(1, offered[: len(right), None], True)
    wrong, own = barred[:, offered], torch.arange(len(right))
    wrong[own, own] = False
    return functional.cross_entropy(scores.masked_fill(wrong, -torch.inf), own)


@torch.no_grad()
def _taken(towers: Towers, counts: Numbers, asked: Sequence[Asked]) -> Learned:
    """What is learned so far; an item that nobody took has the vector of its text, and is hardly popular."""
    known = counts > 0
    popularity = towers.popularity.detach().numpy().copy()
    unknown = float(np.quantile(popularity[known], 0.1))
    popularity[~known] = unknown
    every = torch.arange(len(counts))
    vectors = towers.items(every, torch.from_numpy(~known)).numpy().copy()
    tower = towers.tower(unknown)
    quality = 100 * ndcg(places_of(tower, vectors, popularity, asked)).mean()
    return Learned(tower, vectors, popularity, float(quality))
