"""The frontier of measured records, with its uncertainty (`millis.frontier` has what it gives).

A record is on the frontier when no other record is at least as good in every objective and better in one. Both
numbers behind that are samples: quality of a finite test split, latency of a finite number of requests. So the
whole set is resampled jointly (Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993, ch. 8):

* quality: test texts are drawn with replacement, the same texts for every record, so that the difficulty of a text
  cancels in comparisons;
* latency: what processes differ by, rounds of each, and requests within each round (`millis.metrics.rounds`); records
  that were measured in the same interleaved rounds (they carry the same reference samples) share the draw, so that
  noise of the machine cancels;
* anything else (bytes, say) is taken as exact.

A record's probability is the share of resamples in which it is on the frontier. What resampling cannot see is left
out: training seeds, and a machine that is another one tomorrow.

Axes here: K resamples, M records, J objectives, N texts, R rounds.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from millis.budget import LATENCY, quantile
from millis.errors import MillisError
from millis.frontier import DIRECTIONS, Frontier, Standing, finite_metric
from millis.metrics import kinds_of, metric_of
from millis.metrics.bootstrap import drawn
from millis.metrics.contract import AnyMetric, items, plain, weighted
from millis.metrics.rounds import quantile_draws
from millis.record import Record
from millis.sweep.baselines import majority, unbeaten

TOLERANCE = 5e-4  # of a quality: 0.05 points near 100 %


def frontier(
    records: Sequence[Record],
    objectives: Mapping[str, str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Frontier:
    """Find the frontier, every record's probability of being on it, and the ties.

    **Ties.** A record is tied with a frontier member when the 95 % interval of their paired difference includes zero
    in every objective: nothing measured tells them apart. A record that some member clearly beats (it dominates, and
    at least one of those intervals excludes zero) is tied with nobody, however near to another member it lies.
    Differences are paired because the marginal intervals of two models overlap far more often than they truly tie.

    Args:
        records: One study's records, judged by one quality metric on one test split.
        objectives: Metric name → `maximize` or `minimize`. By default the quality, the way its metric runs, and
            `latency_p50_ms`.
        resamples: 1000 puts the standard error of a probability below 0.016.
        seed: Of the bootstrap.

    Raises:
        MillisError: no records, repeated ids, an objective that a record lacks or that asks for a worse quality,
            records of different test splits or metrics, or whose quality is not that of their predictions, latency
            without samples.
    """
    _check_comparable(records)
    quality, metric = records[0].quality, metric_of(records)
    best = DIRECTIONS[metric.better]
    chosen = dict(objectives) if objectives is not None else {quality: best, "latency_p50_ms": "minimize"}
    signs = _signs(chosen)
    if chosen.get(quality, best) != best:
        raise MillisError(f"objective {quality} is {chosen[quality]!r}, but {metric.better} is better: expected {best}")
    _check_qualities(records, metric)
    point = signs * np.array([[finite_metric(record, name) for name in chosen] for record in records])  # [M, J]
    draws = signs * _resample(records, list(chosen), metric, resamples, seed)  # [K, M, J]
    draws = draws[np.isfinite(draws).all(axis=(1, 2))]  # some metrics are undefined on some draws: no such class drawn
    if not len(draws):
        raise MillisError(f"{quality} is undefined on every one of {resamples} resamples: choose another metric")
    probability = np.mean([non_dominated(draw) for draw in draws], axis=0)
    on_frontier = non_dominated(point)
    tied = _ties(point, draws, on_frontier)
    judged = [record for i, record in enumerate(records) if on_frontier[i] or tied[i].any() or record.kind != "student"]
    weak = unbeaten(judged, metric)
    standings = tuple(
        Standing(
            record.id,
            record.name,
            bool(on_frontier[i]),
            float(probability[i]),
            tuple(records[m].id for m in np.flatnonzero(tied[i]).tolist()),
            weak.get(record.id, ""),
        )
        for i, record in enumerate(records)
    )
    references = items(records[0].references)
    return Frontier(
        chosen, standings, len(draws), plain(metric, majority(references, kinds_of(records[0])), references)
    )


def non_dominated(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of `costs` [M, J], all to be minimised, no other row dominates. Equal rows do not dominate. [M]"""
    worse_or_equal = (costs[:, None, :] <= costs[None, :, :]).all(axis=2)  # [i, k]: i is at least as good as k
    better = (costs[:, None, :] < costs[None, :, :]).any(axis=2)
    dominated = (worse_or_equal & better).any(axis=0)
    return np.logical_not(dominated)


def _ties(point: NDArray[np.float64], draws: NDArray[np.float64], on_frontier: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[M, M]: row i is tied with member m. See `frontier` for the definition."""
    tied = np.zeros((len(point), len(point)), dtype=bool)
    for i in range(len(point)):
        beaten = False
        for m in np.flatnonzero(on_frontier):
            if m == i:
                continue
            low, high = np.percentile(draws[:, i] - draws[:, m], (2.5, 97.5), axis=0)  # [J], above 0: m is better
            tied[i, m] = bool(((low <= 0) & (high >= 0)).all())
            dominates = bool((point[m] <= point[i]).all() and (point[m] < point[i]).any())
            beaten = beaten or (dominates and bool((low > 0).any()))
        if beaten:
            tied[i] = False
    return tied


def _resample(
    records: Sequence[Record], names: Sequence[str], metric: AnyMetric, resamples: int, seed: int
) -> NDArray[np.float64]:
    """Every objective of every record under `resamples` joint draws, [K, M, J]."""
    texts, rounds = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    draws = np.empty((resamples, len(records), len(names)))
    quantiles = [quantile(name) for name in names if LATENCY.fullmatch(name)]
    latency = iter(np.moveaxis(_resample_latency(records, quantiles, resamples, rounds), 2, 0) if quantiles else ())
    for j, name in enumerate(names):
        if name == records[0].quality:
            draws[:, :, j] = _resample_quality(records, metric, resamples, texts)
        elif LATENCY.fullmatch(name):
            draws[:, :, j] = next(latency)
        else:
            draws[:, :, j] = [finite_metric(record, name) for record in records]
    return draws


def _resample_quality(
    records: Sequence[Record], metric: AnyMetric, resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Quality, [K, M], of the same drawn texts for every record."""
    references = items(records[0].references)
    answers = [items(record.predictions) for record in records]
    texts = len(references)
    draws = drawn(lambda: rng.integers(texts, size=(texts,)), texts, resamples)
    blocks = [np.stack([weighted(metric, row, references, counts) for row in answers], axis=1) for counts in draws]
    return np.concatenate(blocks)


def _resample_latency(
    records: Sequence[Record], quantiles: Sequence[float], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Quantiles of latency in milliseconds, [K, M, Q]; records measured together share every draw."""
    result = np.empty((resamples, len(records), len(quantiles)))
    for together in _measured_together(records):
        samples = [records[i].latency_ms for i in together]  # [G][R][requests]
        result[:, together] = quantile_draws(samples, records[together[0]].processes, quantiles, resamples, rng)
    return result


def _measured_together(records: Sequence[Record]) -> list[list[int]]:
    """Positions of the records that carry the same reference samples, hence the same rounds."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, record in enumerate(records):
        lengths = {len(samples) for samples in record.latency_ms}
        if len(lengths) != 1 or lengths == {0}:
            raise MillisError(
                f"record {record.name!r} has {len(record.latency_ms)} rounds of latency samples of lengths "
                f"{sorted(lengths)}; expected one or more rounds of equal length: measure it again"
            )
        reference = tuple(map(tuple, record.reference_latency_ms)) or record.id
        served = tuple(record.processes)
        groups.setdefault((reference, served, len(record.latency_ms), *lengths), []).append(i)
    return list(groups.values())


def _signs(objectives: Mapping[str, str]) -> NDArray[np.float64]:
    """-1 to maximise, +1 to minimise, so that every objective becomes a cost. [J]"""
    for name, direction in objectives.items():
        if direction not in DIRECTIONS.values():
            raise MillisError(f"objective {name} is {direction!r}; expected {' or '.join(DIRECTIONS.values())}")
    return np.array([-1.0 if direction == "maximize" else 1.0 for direction in objectives.values()])


def _check_comparable(records: Sequence[Record]) -> None:
    if not records:
        raise MillisError("got no records to make a frontier of: run `millis sweep` or `millis compress` first")
    first = records[0]
    seen: set[str] = set()
    for record in records:
        if record.id in seen:
            raise MillisError(f"record id {record.id!r} ({record.name}) comes twice: read each records file once")
        seen.add(record.id)
        if record.quality != first.quality:
            raise MillisError(
                f"record {record.name!r} is judged by {record.quality}, {first.name!r} by {first.quality}: "
                "compare records of one task"
            )
        if record.references != first.references or len(record.predictions) != len(first.references):
            raise MillisError(
                f"records {first.name!r} and {record.name!r} were tested on different texts "
                f"({len(first.references)} and {len(record.references)}): compare records of one test split"
            )


def _check_qualities(records: Sequence[Record], metric: AnyMetric) -> None:
    """Refuse records whose predictions have another quality than their metrics: of another metric, or cut."""
    quality, references = records[0].quality, items(records[0].references)
    if not len(references):
        raise MillisError(f"record {records[0].name!r} holds no predictions to resample: evaluate it again")
    for record in records:
        kept = finite_metric(record, quality)
        found = plain(metric, items(record.predictions), references)
        if not abs(found - kept) <= TOLERANCE * max(1.0, abs(kept)):
            raise MillisError(
                f"record {record.name!r} has {quality} {kept:.4g}, its predictions have {found:.4g}: measure it again"
            )
