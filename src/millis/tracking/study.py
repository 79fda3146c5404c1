"""The run that shows a study: tables, chart, summary numbers, and the deployable artifacts with what they come of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from millis.record import Record
from millis.tracking.run import Model, Run


@dataclass(frozen=True)
class Member:
    """One of the frontier: what is deployed, and the weights it was made of. None where there are no files of it."""

    record: Record
    deployed: Model | None
    parent: Model | None


def log_study(
    run: Run,
    records: Sequence[Record],
    members: Sequence[Member],
    *,
    trials: Mapping[str, int],
    figure: Any | None = None,
) -> None:
    """Log a study to its own run.

    Its summary has `best_<metric>` and `best_speedup` over the frontier, `frontier/<member>/<metric>` for quality and
    speedup of every member, and `trials/<state>`.

    Args:
        records: All measured models.
        members: Those that no other dominates.
        trials: How many trials ended in each state, such as {"complete": 28, "pruned": 4}.
        figure: The frontier as a plotly figure.
    """
    frontier = [member.record for member in members]
    run.experiment.attempt("the study", lambda: run.experiment.log(_shown(records, frontier, figure)))
    run.summarize(summary(frontier, trials))
    for member in members:
        if member.parent is not None:
            run.uses(member.parent)
        if member.deployed is not None:
            run.made(member.deployed)


def _shown(records: Sequence[Record], frontier: Sequence[Record], figure: Any | None) -> dict[str, Any]:
    import wandb

    shown = {"records": _wandb_table(records), "frontier": _wandb_table(frontier)}
    return shown if figure is None else {**shown, "frontier_chart": wandb.Plotly(figure)}


def table(records: Sequence[Record]) -> tuple[list[str], list[list[Any]]]:
    """Column names and rows: name, kind, seed, then every metric that any record has, each with its interval if any."""
    columns = ["name", "kind", "seed"]
    for record in records:
        for metric in record.metrics:
            wanted = [metric, *(f"{metric}_{end}" for end in ("low", "high") if metric in record.intervals)]
            columns.extend(column for column in wanted if column not in columns)
    rows = []
    for record in records:
        row: dict[str, Any] = {"name": record.name, "kind": record.kind, "seed": record.seed, **record.metrics}
        for metric, (low, high) in record.intervals.items():
            row |= {f"{metric}_low": low, f"{metric}_high": high}
        rows.append([row.get(column) for column in columns])
    return columns, rows


def summary(frontier: Sequence[Record], trials: Mapping[str, int]) -> dict[str, float]:
    """The numbers of a study's run: see `log_study`."""
    numbers: dict[str, float] = {f"trials/{state}": count for state, count in trials.items()}
    numbers["frontier_size"] = len(frontier)
    for record in frontier:
        for metric in (record.quality, "speedup"):
            if metric in record.metrics:
                value = record.metrics[metric]
                numbers[f"frontier/{record.name}/{metric}"] = value
                sign = record.reading.sign if metric == record.quality else 1.0
                numbers[f"best_{metric}"] = max(value, numbers.get(f"best_{metric}", value), key=lambda one: sign * one)
    return numbers


def _wandb_table(records: Sequence[Record]) -> Any:
    import wandb

    columns, rows = table(records)
    return wandb.Table(columns=columns, data=rows)
