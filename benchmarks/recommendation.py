"""Recommendation against popularity, neighbours and matrix factorisation; new items; and what 100,000 items cost.

    python benchmarks/recommendation.py DATA [parts=quality,size,new] [vectors=FILE.npy] [app.item=movie_id ...]

DATA and the overrides are those of `millis build app=recommendation data.path=DATA`; texts are read by the encoder as
it comes, whose vectors FILE keeps. What is asked for is the last item of each user, among all that the user did not
take before. The
baselines are those of `implicit` (pip install implicit); they know every item of a user but the last, as the towers do,
and their settings are those that are best where the item before the last is asked for. Then a tenth of the items is
kept out of training, and asked for among themselves. At last the catalogue is made larger by items whose vectors lie
between those of two others, and is searched by looking at every item and by a graph, in turns.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
import scipy.sparse
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from numpy.typing import NDArray
from recipes import divided
from results import Table

from millis.applications.recommendation.catalogue import MOST, Catalogue, Names
from millis.applications.recommendation.interactions import Asked, Histories, read_histories, read_items
from millis.applications.recommendation.judging import ndcg, places_of, ranked, recall
from millis.applications.recommendation.learning import Learned, Learning, learn
from millis.cli.hydra_app import settled
from millis.cli.targets import instantiate
from millis.models.load import Packaged
from millis.models.sentence_vectors import sentence_vectors

NEIGHBOURS = [(kind, count) for kind in (CosineRecommender, TFIDFRecommender, BM25Recommender) for count in (20, 100)]
FACTORS = [(size, weight) for size in (32, 64, 128) for weight in (0.01, 10.0)]
FOUND = 1000  # items that neighbours are asked for
HELD_OUT = 0.1  # of the items that somebody took
SIZES = (10_000, 100_000)
ROUNDS = 3  # of all users' searches

Scores = NDArray[np.float32]


def main() -> int:
    own, overrides = divided(sys.argv[2:], {"vectors": "", "parts": "quality,size,new"})
    data = Path(sys.argv[1])
    plan = instantiate(settled("build", ["app=recommendation", f"data.path={data}", *overrides]).app)
    items = read_items(data, plan.columns)
    histories = read_histories(data, plan.columns, items)
    texts, asked = vectors_of(items.texts, own["vectors"]), histories.test
    parts = own["parts"].split(",")
    if "quality" in parts:
        with Table("model", "Recall@10 %", "NDCG@10 %", title="the last item of each user") as table:
            for name, scores in baselines(histories, len(items.ids)):
                row(table, name, ranked(scores, asked))
            for name, learning, rows in ways(plan.learning, texts):
                learned = learn(rows, histories, learning, plan.seed)
                row(table, name, places_of(learned.tower, learned.vectors, learned.popularity, asked))
    if "size" in parts:
        learned = learn(texts, histories, plan.learning, plan.seed)
        catalogue = Catalogue(Names(list(items.ids), list(items.texts)), learned.vectors, learned.popularity)
        larger(catalogue, np.stack([learned.tower.user(learned.vectors[list(one.history)]) for one in asked]), asked)
    if "new" in parts:
        unseen(plan.learning, texts, histories)
    return 0


def vectors_of(texts: Sequence[str], file: str) -> Scores:
    """Of the encoder as it comes, [C, T]; read from the file where it is there, else written to it."""
    if file and Path(file).is_file():
        return np.load(file)
    found = sentence_vectors(Packaged(), texts, 128)
    if file:
        np.save(file, found)
    return found


def row(table: Table, name: str, places: NDArray[np.float64]) -> None:
    """Mean and half of its 95 % interval over users."""
    told = [f"{values.mean():.1f} ± {1.96 * values.std() / len(values) ** 0.5:.1f}"
            for values in (100 * recall(places), 100 * ndcg(places))]  # fmt: skip
    table.row(name, *told)


def baselines(histories: Histories, count: int) -> Iterator[tuple[str, Scores]]:
    """Scores [N, C] of the test questions, of each model with the settings that are best on validation."""
    yield "popularity", popular(histories.test, count)
    for name, settings, scored in (
        ("item neighbours", NEIGHBOURS, neighbours),
        ("matrix factorisation (ALS)", FACTORS, factorised),
    ):
        quality = {one: ndcg(ranked(scored(histories.validation, count, *one), histories.validation)).mean()
                   for one in settings}  # fmt: skip
        best = max(quality, key=quality.__getitem__)
        said = ", ".join(getattr(value, "__name__", str(value)) for value in best)
        yield f"{name}: {said}", scored(histories.test, count, *best)


def taken(asked: Sequence[Asked], count: int) -> Any:
    """Who took what, [N, C]."""
    users = np.repeat(np.arange(len(asked)), [len(one.history) for one in asked])
    items = np.concatenate([one.history for one in asked])
    return scipy.sparse.csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=(len(asked), count))


def popular(asked: Sequence[Asked], count: int) -> Scores:
    return np.tile(np.asarray(taken(asked, count).sum(axis=0), np.float32), (len(asked), 1))


def neighbours(asked: Sequence[Asked], count: int, kind: Any, nearest: int) -> Scores:
    known = taken(asked, count)
    model = kind(K=nearest, num_threads=1)
    model.fit(known, show_progress=False)
    places, found = model.recommend(np.arange(len(asked)), known, N=min(FOUND, count), filter_already_liked_items=True)
    scores = np.zeros((len(asked), count), np.float32)
    np.put_along_axis(scores, places.astype(np.int64), found.astype(np.float32), axis=1)
    return scores


def factorised(asked: Sequence[Asked], count: int, size: int, weight: float) -> Scores:
    model = AlternatingLeastSquares(factors=size, regularization=weight, num_threads=1, random_state=0)
    model.fit(taken(asked, count), show_progress=False)
    return np.asarray(model.user_factors @ model.item_factors.T, np.float32)


def ways(learning: Learning, texts: Scores) -> Iterator[tuple[str, Learning, Scores]]:
    """The towers, and what is left of them without one thing each."""
    yield "two towers", learning, texts
    yield "without the correction for how often an item is drawn", replace(learning, correct=False), texts
    yield "of the last item alone", replace(learning, history=1), texts


def unseen(learning: Learning, texts: Scores, histories: Histories) -> None:
    """How new items are found among each other by their texts."""
    rng = np.random.default_rng(0)
    full = [(*one.history, one.next) for one in histories.test]
    known = np.unique(np.concatenate(full))
    held = set(rng.choice(known, int(HELD_OUT * len(known)), replace=False).tolist())
    without = [tuple(item for item in one if item not in held) for one in full]
    asked = [
        Asked(before, item)
        for one in full
        for place, item in enumerate(one)
        if item in held and (before := tuple(other for other in one[:place] if other not in held))
    ]
    learned = learn(texts, Histories([one[:-1] for one in without], questions(without), []), learning, 0)
    others = np.setdiff1d(np.arange(len(texts)), np.fromiter(held, np.int64))
    with Table("new items", "questions", "Recall@10 % of the towers", "of the nearest text", "at random",
               title="items that nobody took, among themselves") as table:  # fmt: skip
        ways = [scores_of(learned, asked), np.stack([texts[list(one.history)].mean(axis=0) for one in asked]) @ texts.T]
        for scores in ways:
            scores[:, others] = -np.inf
        told = [f"{100 * recall(ranked(scores, asked)).mean():.1f}" for scores in ways]
        table.row(f"{len(held):,}", f"{len(asked):,}", *told, f"{100 * MOST / len(held):.1f}")


def questions(histories: Sequence[tuple[int, ...]]) -> list[Asked]:
    return [Asked(one[:-1], one[-1]) for one in histories if len(one) > 1]


def scores_of(learned: Learned, asked: Sequence[Asked]) -> Scores:
    users = np.stack([learned.tower.user(learned.vectors[list(one.history)]) for one in asked])
    return np.asarray(users @ learned.vectors.T + learned.popularity, np.float32)


def larger(catalogue: Catalogue, users: Scores, asked: Sequence[Asked]) -> None:
    """Times of exact and approximate search, of what scores most and was not taken, in turns."""
    rng = np.random.default_rng(0)
    with Table("items", "exact p50 ms", "exact p99 ms", "graph p50 ms", "graph p99 ms", "graph finds of the exact ten",
               title="larger catalogues") as table:  # fmt: skip
        for size in SIZES:
            both = rng.integers(len(catalogue.vectors), size=(2, size - len(catalogue.vectors)))
            share = rng.random((both.shape[1], 1)).astype(np.float32)
            vectors = catalogue.vectors[both[0]] * share + catalogue.vectors[both[1]] * (1 - share)
            popularity = np.minimum(catalogue.popularity[both[0]], catalogue.popularity[both[1]])
            names = [f"item {number}" for number in range(size)]
            wide = Catalogue(
                Names(names, names),
                np.concatenate([catalogue.vectors, vectors]),
                np.concatenate([catalogue.popularity, popularity]),
            )
            graph = wide.graphed(users[:200])[0]
            times: dict[str, list[float]] = {"exact": [], "graph": []}
            found: dict[str, list[list[int]]] = {"exact": [], "graph": []}
            for _ in range(ROUNDS):
                for user, one in zip(users, asked, strict=True):
                    for name, searched in (("exact", wide), ("graph", graph)):
                        begun = perf_counter_ns()
                        places, _ = searched.best(user, one.history)
                        times[name].append((perf_counter_ns() - begun) / 1e6)
                        found[name].append(places)
            overlaps = [len({*one} & {*other}) / len(one) for one, other in zip(*found.values(), strict=True)]
            cells = [f"{np.quantile(times[name], q):.3f}" for name in times for q in (0.5, 0.99)]
            table.row(f"{size:,}", *cells, f"{100 * np.mean(overlaps):.1f} %")


if __name__ == "__main__":
    sys.exit(main())
