"""Effects of two factors on records written by hand."""

import io
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from rich.console import Console

from millis.errors import MillisError
from millis.record import Judged, Record
from millis.report.effects import contrasts, factorial, print_effects

TEXTS = 100
NONE = {"_target_": "millis.pruning.recipe.none"}
NEURONS = {"_target_": "millis.pruning.recipe.Pruning", "sparsity": 0.5}


def record(seed, right, milliseconds, alpha=0.0, pruning=NONE, **config):
    """Answers the first `right` of 100 texts correctly, in `milliseconds` where the reference takes 8."""
    return Record(
        id=f"{seed}-{right}-{milliseconds}-{alpha}-{pruning}-{config}",
        name="student",
        kind="student",
        metrics={"accuracy": float(right), "speedup": 8 / milliseconds, "size_bytes": 1e6},
        intervals={},
        quality="accuracy",
        config={"seed": seed, "distillation": {"alpha": alpha}, "pruning": pruning, "paths": {"outputs": "x"}} | config,
        seed=seed,
        artifact="",
        predictions=[1] * right + [0] * (TEXTS - right),
        references=[1] * TEXTS,
        latency_ms=[[milliseconds] * 3] * 4,
        reference_latency_ms=[[8.0] * 3] * 4,
        stages_ms={},
        parity={},
        environment={},
    )


def crossed(seeds=(0, 1), **config):
    """Off off 50, distilled 60, pruned 40, both 54; 8, 8, 4 and 4 ms."""
    cells = [(0.0, NONE, 50, 8.0), (0.9, NONE, 60, 8.0), (0.0, NEURONS, 40, 4.0), (0.9, NEURONS, 54, 4.0)]
    return [
        record(seed, right, milliseconds, alpha, pruning, **config)
        for seed in seeds
        for alpha, pruning, right, milliseconds in cells
    ]


KEYS = ["distillation.alpha", "pruning"]


def test_effects_by_hand():
    """Distilling: (60 + 54 - 50 - 40) / 2 = 12; pruning: (40 + 54 - 50 - 60) / 2 = -8; distilling where pruned is 14,
    where not 10: (14 - 10) / 2 = 2. Pruned takes half the time, whatever else: log 0.5."""
    found = factorial(crossed(), KEYS)
    assert {name: effect.mean for name, effect in found.points.items()} == pytest.approx(
        {"distillation.alpha": 12.0, "pruning": -8.0, "distillation.alpha x pruning": 2.0}
    )
    times = {name: (effect.mean, effect.low, effect.high) for name, effect in found.log_latency.items()}
    assert times["pruning"] == pytest.approx((np.log(0.5),) * 3)
    assert times["distillation.alpha"] == times["distillation.alpha x pruning"] == pytest.approx((0, 0, 0))
    assert found.seeds == (0, 1)
    assert [(cell.on, cell.quality, cell.speedup) for cell in found.cells] == [
        ((), 50, 1),
        (("pruning",), 40, 2),
        (("distillation.alpha",), 60, 1),
        (("distillation.alpha", "pruning"), 54, 2),
    ]
    assert [(factor.off, factor.on) for factor in found.factors] == [("0", "0.9"), ("none", "Pruning")]


def test_intervals_come_from_texts_and_are_paired():
    found = factorial(crossed(), KEYS)
    for effect in found.points.values():
        assert effect.low < effect.mean < effect.high
    alike = [record(0, 50, 8.0, alpha, pruning) for alpha, pruning in product((0.0, 0.9), (NONE, NEURONS))]
    for effect in factorial(alike, KEYS).points.values():  # the same texts right everywhere
        assert effect.low == effect.mean == effect.high == 0


def test_an_interval_over_seeds():
    """One seed gains ten points from distilling, the other none: drawn twice, either may be the mean."""
    first = crossed(seeds=(0,))
    second = [record(1, 50, one.latency_ms[0][0], *_levels(one)) for one in first]
    both, alone = factorial([*first, *second], KEYS), factorial(first, KEYS)
    wide, narrow = both.points["distillation.alpha"], alone.points["distillation.alpha"]
    assert wide.mean == pytest.approx(6.0) and narrow.mean == pytest.approx(12.0)
    assert wide.low == 0 < narrow.low


def test_what_processes_differ_by_is_in_the_effects_on_time():
    # A factor halves the time; each model is measured in three processes that differ by some percent, or in one.
    def measured(processes):
        chance = np.random.default_rng(0)
        records = []
        for one in crossed(seeds=(0,)):
            effects = np.exp(0.05 * chance.normal(size=3))
            times = [[one.latency_ms[0][0] * effects[i]] * 3 for i in (0, 1, 2, 0, 1, 2)]
            metrics = {**one.metrics, "speedup": 8.0 / float(np.median(times))}
            records.append(
                replace(
                    one, latency_ms=times, reference_latency_ms=[[8.0] * 3] * 6, metrics=metrics, processes=processes
                )
            )
        return factorial(records, KEYS).log_latency["pruning"]

    several, one = measured([0, 1, 2, 0, 1, 2]), measured([])
    assert several.low < several.mean < several.high
    assert several.high - several.low > 1.5 * (one.high - one.low)


def _levels(one):
    return one.config["distillation"]["alpha"], one.config["pruning"]


def test_levels_that_differ_in_a_number_are_told_by_it():
    half, more = NEURONS, {**NEURONS, "sparsity": 0.75}
    records = [record(0, 50, 8.0, alpha, pruning) for alpha, pruning in product((0.0, 0.9), (more, half))]
    assert factorial(records, KEYS).factors[1] == factorial(records[::-1], KEYS).factors[1]
    assert factorial(records, KEYS).factors[1].on == "sparsity=0.75"
    assert factorial(records, ["pruning.sparsity"]).factors[0].off == "0.5"


def test_the_newest_of_several_factorials_counts():
    older, newer = crossed(trainer={"max_epochs": 1}), crossed(seeds=(5,), trainer={"max_epochs": 2})
    assert factorial([*older, *newer], KEYS).seeds == (5,)
    assert factorial([*newer, *older], KEYS).seeds == (0, 1)
    alone = record(9, 10, 1.0, trainer={"max_epochs": 3})  # no factorial
    assert factorial([*older, *newer, alone], KEYS).seeds == (5,)
    newer_but_broken = crossed(seeds=(7,), trainer={"max_epochs": 4})[:3]
    assert factorial([*older, *newer_but_broken], KEYS).seeds == (0, 1)
    assert factorial(crossed(group="a") + crossed(seeds=(3,), group="b"), KEYS).seeds == (0, 1, 3)


def test_an_incomplete_seed_is_left_out():
    assert factorial([*crossed(), *crossed(seeds=(2,))[:3]], KEYS).seeds == (0, 1)


@pytest.mark.parametrize(
    ("records", "keys", "message"),
    [
        (crossed(), [], r"effects=\[\]: expected one or several keys of the config, each once"),
        (crossed(), ["pruning", "pruning"], r"effects=\['pruning', 'pruning'\]: expected one or several"),
        (crossed(), ["prunin"], r"effects: no record's config has 'prunin' \(did you mean 'pruning'"),
        ([], KEYS, r"effects: no record's config has 'distillation.alpha'"),
        (crossed(), ["seed", "pruning"], r"effects: no seed has all 4 combinations"),
        (crossed()[:1], KEYS, r"effects: distillation.alpha has one level among records that differ in nothing else"),
        (
            [*crossed(), *(record(0, 50, 8.0, 0.5, pruning) for pruning in (NONE, NEURONS))],
            KEYS,
            r"distillation.alpha has 3 levels in the records \(0, 0.5, 0.9\), and not just 2 of them are crossed",
        ),
        (
            crossed(seeds=(0,))[:3],
            KEYS,
            r"seed 0 lacks 1, such as that with distillation.alpha, pruning on. Run the missing ones",
        ),
        (
            [record(0, 50, 8.0, only={"here": 1}), record(0, 50, 8.0, other={"there": 1})],
            ["only.here", "other.there"],
            r"effects: no record's config has all of only.here, other.there",
        ),
    ],
)
def test_what_has_no_effects_is_refused(records, keys, message):
    with pytest.raises(MillisError, match=message):
        factorial(records, keys)


@pytest.mark.parametrize("references", [[0] + [1] * (TEXTS - 1), [1] * (TEXTS - 1)], ids=["another label", "one fewer"])
def test_other_test_texts_are_refused(references):
    first, *rest = crossed()
    other = replace(first, references=references, predictions=first.predictions[: len(references)])
    with pytest.raises(MillisError, match=r"effects: the records are of different test texts"):
        factorial([other, *rest], KEYS)


def test_what_was_measured_over_another_reference_does_not_count():
    """`millis benchmark` writes records of the same recipe, whose speed-up is over its first artifact."""
    again = replace(crossed()[0], metrics={"accuracy": 1.0, "speedup": 9.0}, environment={"benchmark": {}})
    assert factorial([*crossed(), again], KEYS) == factorial(crossed(), KEYS)


def test_a_level_that_was_tried_alone_does_not_count():
    assert factorial([record(0, 90, 8.0, alpha=0.5), *crossed()], KEYS) == factorial(crossed(), KEYS)


def test_what_a_search_drew_beside_them_is_passed_over_quickly():
    drawn = [record(0, 50, 8.0, 0.1 + i / 1e4, {**NEURONS, "sparsity": i / 1e4}) for i in range(200)]
    assert factorial([*drawn, *crossed()], KEYS) == factorial(crossed(), KEYS)


def test_a_level_may_be_null():
    records = [record(0, 50, 8.0, student={"layers": layers}) for layers in (None, 3)]
    (factor,) = factorial(records, ["student.layers"]).factors
    assert {factor.off, factor.on} == {"None", "3"}


def test_zero_is_one_level_however_it_is_written():
    records = [record(0, 50, 8.0, alpha) for alpha in (0, 0.0, 0.9)]
    assert factorial(records, ["distillation.alpha"]).factors[0].off == "0"


def test_the_metric_is_that_of_the_records_that_count():
    # All references are 1, of two labels: with 50 of 100 right, class 1 has F1 2·50/(50 + 100) and class 0 has 0. The
    # run that does not count is judged over other labels, which would be refused.
    f1 = {right: 100 * right / (right + 100) for right in (50, 60, 40, 54)}
    judged = {"macro_f1": Judged(settings={"classes": 2})}
    counted = [replace(one, quality="macro_f1", judged=judged) for one in crossed()]
    later = replace(record(9, 10, 1.0, task={"metric": "other"}), judged={"macro_f1": Judged(settings={"classes": 9})})
    found = factorial([*counted, later], KEYS)
    assert [cell.quality for cell in found.cells] == pytest.approx([f1[50], f1[40], f1[60], f1[54]])
    assert found.unit == "points"


def test_contrasts_are_orthogonal():
    cells = list(product((False, True), repeat=3))
    found = contrasts(["a", "b", "c"], cells)
    assert list(found) == ["a", "b", "c", "a x b", "a x c", "b x c"]
    weights = np.array(list(found.values()))
    assert weights @ weights.T == pytest.approx(np.eye(6) / 2)
    assert weights.sum(axis=1) == pytest.approx(0)


def test_what_is_printed():
    out = io.StringIO()
    print_effects(factorial(crossed(), KEYS), Console(file=out, width=120))
    text = out.getvalue()
    assert "pruning: none (off), Pruning (on)" in text
    assert "distillation.alpha, pruning" in text and "54.00" in text
    assert "+12.00" in text and "-0.693" in text and "2.00" in text
    assert "2 seeds; 95 % bootstrap intervals" in text
