"""Rows against the table in synthetic.py."""

from dataclasses import replace

import pytest

from millis.errors import MillisError
from millis.frontier import Frontier
from millis.record import Judged, Record
from millis.report import tables


@pytest.fixture
def rows(records: list[Record], frontier: Frontier) -> list[tables.Row]:
    return tables.frontier_rows(records, frontier)


def named(records: list[Record], name: str) -> Record:
    return next(record for record in records if record.name == name)


def test_order_marks_and_standings(rows: list[tables.Row], members: set[str]) -> None:
    assert [(row.mark, row.name) for row in rows] == [
        ("T", "teacher"),
        ("B", "baseline int8"),
        ("1", "static 256"),
        ("2", "transformer 1x128 int8"),
        ("3", "transformer 3x384 int8"),
        ("4", "transformer 3x384 int8 mse"),
        ("5", "transformer 3x384"),
        ("", "cnn 128"),
        ("", "transformer 6x384 pruned"),
    ]
    assert {row.name for row in rows if row.standing == "member"} == members
    assert [row.ties for row in rows if row.standing == "tied"] == [("transformer 3x384 int8",)]
    assert sum(row.shown for row in rows) == 7


def test_headline_names_the_fastest_within_a_point(rows: list[tables.Row]) -> None:
    # Within one point of 94.0: only the baseline (93.5); transformer 3x384 is 1.5 below.
    assert tables.best_trade(rows).name == "baseline int8"
    text = tables.headline(rows)
    assert text.startswith("baseline int8 answers in ")
    assert text.endswith("accuracy 93.5 (0.5 below the teacher): the fastest within one point of the teacher.")


def nats(records: list[Record]) -> list[Record]:
    """The study with 100 - accuracy in nats: lower is better, and the same models are."""
    judged = {"accuracy": Judged("lower", "nats")}
    return [
        replace(one, metrics={**one.metrics, "accuracy": 100 - one.metrics["accuracy"]}, judged=judged)
        for one in records
    ]


def test_a_metric_that_runs_the_other_way(records: list[Record], frontier: Frontier, rows: list[tables.Row]) -> None:
    turned = tables.frontier_rows(nats(records), frontier)
    assert [row.metrics["quality_drop"] for row in turned] == pytest.approx(
        [row.metrics["quality_drop"] for row in rows]
    )
    assert [step.points for step in tables.price_rows(turned)] == pytest.approx(
        [step.points for step in tables.price_rows(rows)]
    )
    assert turned[0].show("accuracy") == "6.00 nats"
    # Near is a hundredth of the teacher's 6 nats, 0.06: nobody is.
    assert tables.headline(turned).endswith(
        "accuracy 6.50 nats (0.500 nats above the teacher): the nearest to the teacher; none is within 1 %."
    )
    first, last = tables.comparison(nats(records)[:1] + nats(records)[3:4])[0].values
    assert (first, last) == ("6.00 nats", "8.00 nats")
    assert tables.comparison(nats(records)[:1] + nats(records)[3:4])[0].change == "+2.00 nats"


def test_a_headline_leaves_out_a_speed_up_that_a_record_lacks(rows: list[tables.Row]) -> None:
    bare = [replace(row, metrics={name: x for name, x in row.metrics.items() if name != "speedup"}) for row in rows]
    assert " at the median, with accuracy 93.5 " in tables.headline(bare)


def test_headline_where_nothing_is_near(rows: list[tables.Row]) -> None:
    far = [row for row in rows if row.name in ("teacher", "transformer 3x384", "static 256")]
    assert "none is within a point" in tables.headline(far)
    assert tables.best_trade(far).name == "transformer 3x384"
    assert tables.headline(rows[:1]).startswith("Only the teacher has been measured: accuracy 94.0")


def test_headline_passes_over_what_does_not_beat_a_baseline(rows: list[tables.Row]) -> None:
    marked = [replace(row, unbeaten="linear" if row.name == "baseline int8" else "") for row in rows]
    assert tables.best_trade(marked).name == "transformer 3x384"  # 1.5 below: none that is left is nearer
    assert "none is within a point" in tables.headline(marked)
    alone = [replace(row, unbeaten="linear") for row in rows]
    assert tables.best_trade(alone).name == "baseline int8"  # nothing else to name


def test_marks_stand_beside_names_and_are_explained(records: list[Record], rows: list[tables.Row]) -> None:
    constant = f"The most frequent answer to every text: {max(map(records[0].references.count, range(3))) / 6:.1f}."
    assert tables.legend(rows) == [constant]
    assert {row.marked_name for row in rows} == {row.name for row in rows}
    rose = replace(rows[3], metrics={**rows[3].metrics, tables.RISE: 0.8}, unbeaten="linear")
    weak, hidden = replace(rows[2], unbeaten="linear"), replace(rows[-1], unbeaten="the majority")  # dominated
    assert [weak.marked_name, rose.marked_name] == ["static 256 †", "transformer 1x128 int8 † ↑"]
    assert tables.legend([*rows[:2], weak, rose, hidden]) == [
        "† does not beat linear beyond the interval of the difference: not recommended.",
        "↑ validation still rose when training ended: not finished.",
        constant,
    ]
    taught_by_none = replace(rows[0], unbeaten="linear")
    assert tables.legend([taught_by_none, *rows[1:]]) == [
        "† does not beat linear beyond the interval of the difference: not recommended.",
        f"The teacher itself is marked †, and students learn from it. {tables.BETTER_TEACHER}",
        constant,
    ]
    undefined = replace(rows[0], metrics={**rows[0].metrics, "majority": float("nan")})
    assert tables.legend([undefined]) == []


def test_comparison_says_how_the_last_differs_from_the_first(records: list[Record]) -> None:
    before = replace(
        records[0], metrics={"accuracy": 94.0, "latency_p50_ms": 24.0, "size_bytes": 9e7, "cold_start_ms": 0}
    )
    after = replace(records[3], metrics={"accuracy": 92.0, "latency_p50_ms": 1.6, "size_bytes": 9.2e7})
    assert tables.comparison([before, after]) == [
        tables.Comparison("accuracy", ("94.0", "92.0"), "−2.0 points"),
        tables.Comparison("p50", ("24.0 ms", "1.60 ms"), "15.0× less"),
        tables.Comparison("size", ("90.0 MB", "92.0 MB"), "the same"),
    ]


def test_prices_of_the_steps(rows: list[tables.Row]) -> None:
    steps = tables.price_rows(rows)
    assert [(step.faster, round(step.points, 6)) for step in steps] == [
        ("static 256", 2.5),
        ("transformer 1x128 int8", 2.5),
        ("transformer 3x384 int8", 0.5),
        ("transformer 3x384", 1.0),
        ("baseline int8", 0.5),
    ]
    assert tables.Price("a", "b", milliseconds=0.5, points=2.0, unit="%").points_per_ms == 4.0


def test_percentiles_are_of_the_pooled_samples(records: list[Record]) -> None:
    record = replace(records[0], latency_ms=[[1.0, 2.0], [3.0, 4.0, 5.0]])
    assert tables.latency_rows([record])[0][1][50] == 3.0


def test_recipe_has_the_keys_that_vary_and_no_paths(records: list[Record]) -> None:
    a = replace(records[0], config={"model": "m", "paths": {"outputs": "here"}, "student": {"layers": 6}})
    b = replace(records[1], config={"model": "m", "paths": {"outputs": "there"}, "student": {"layers": 3}, "seed": 1})
    recipes = tables._recipes([a, b])
    assert recipes == {a.id: (("student.layers", "6"),), b.id: (("student.layers", "3"), ("seed", "1"))}
    assert tables._recipes([a]) == {a.id: (("model", "m"), ("student.layers", "6"))}


def test_environments_that_differ_are_said(records: list[Record]) -> None:
    assert dict(tables.environment_rows(records))["packages.torch"] == "2.13.0"
    mixed = [*records[:2], replace(records[2], environment={**records[2].environment, "threads": 2})]
    assert dict(tables.environment_rows(mixed))["threads"] == "1 (in 2); 2 (in 1)"
    assert "different machines or software" in tables.caveats(mixed)[0]
    assert tables.caveats(records) == ["3 of 600 texts were truncated to 128 tokens (teacher)"]


def test_a_p99_of_few_requests_is_said(records: list[Record]) -> None:
    few = replace(records[1], latency_ms=[[9.0] * 10] * 30)
    said = [text for text in tables.caveats([records[0], few]) if "p99" in text]
    assert len(said) == 1
    assert said[0].startswith("Of 1 of 2 models the p99 rests on fewer than the 1,022 requests that its interval takes")


def test_many_values_are_cut(records: list[Record]) -> None:
    many = [replace(record, environment={"at": f"t{i}"}) for i, record in enumerate(records[:5])]
    assert tables.environment_rows(many) == [("at", "t0 (in 1); t1 (in 1); t2 (in 1); and 2 more")]
    assert tables.caveats([replace(record, notes=[]) for record in many]) == []  # when is not where


def test_separate_runs_are_said(records: list[Record]) -> None:
    apart = replace(records[1], reference_latency_ms=[[25.0, 26.0]], notes=["busy", "busy"])
    first, second = tables.caveats([replace(records[0], notes=["busy"]), apart])
    assert first.startswith("Latencies come from 2 separate runs.")
    assert second == "busy (teacher, baseline int8)"


def test_needs_the_teacher_and_its_own_frontier(records: list[Record], frontier: Frontier) -> None:
    with pytest.raises(MillisError, match="got 0 teacher records, expected one"):
        tables.frontier_rows(records[1:], frontier)
    with pytest.raises(MillisError, match=r"'new' is not among the 9 records .* compute the frontier again"):
        tables.frontier_rows([*records, replace(records[1], id="new", name="new")], frontier)
