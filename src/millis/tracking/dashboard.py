"""The dashboard of a study as code: a W&B report over its group, with frontier, recipes, curves and records."""

from collections.abc import Sequence
from typing import Any

from millis.errors import MillisError
from millis.tracking.place import logged_in

CURVES = ("validation/quality", "train/objective")


def target(where: str) -> tuple[str, str]:
    """Entity and project of `ENTITY/PROJECT`.

    Raises:
        MillisError: another form, nobody is logged in, or the library is missing.
    """
    entity, slash, project = where.partition("/")
    if not (entity and slash and project) or "/" in project:
        raise MillisError(f"wandb={where}: expected ENTITY/PROJECT, as in the address of the project's page")
    try:
        import wandb_workspaces  # noqa: F401
    except ModuleNotFoundError as error:
        raise MillisError("a dashboard needs W&B's library for them: pip install 'millis[dashboard]'") from error
    if not logged_in():
        raise MillisError(
            f"wandb={where}: a dashboard is made on the server, and nobody is logged in. Run `wandb login` or set "
            "WANDB_API_KEY, upload offline runs with `wandb sync`, and run the command again"
        )
    return entity, project


def dashboard(
    entity: str, project: str, *, study: str, quality: str, latency: str, searched: Sequence[str] = ()
) -> Any:
    """The report, not yet saved.

    Args:
        study: The group of its runs.
        quality: Metric on the test split, such as `accuracy`.
        latency: Metric of the other axis, such as `latency_p50_ms`.
        searched: Keys of the search space, an axis each where recipes are compared.
    """
    import wandb_workspaces.reports.v2 as wr
    from wandb_workspaces import expr

    def runs(name: str, job_type: str) -> Any:
        filters = expr.And(expr.Metric("Group") == study, expr.Metric("JobType") == job_type)
        return wr.Runset(entity=entity, project=project, name=name, filters=filters)

    # Of a group, the config holds what its option makes.
    keys = [key if "." in key else f"{key}._target_" for key in searched]
    axes = [wr.Config(key) for key in keys] + [wr.SummaryMetric(latency), wr.SummaryMetric(quality)]
    columns = [wr.ParallelCoordinatesPlotColumn(metric=axis) for axis in axes]
    frontier = [
        wr.ScatterPlot(
            title=f"{quality} against {latency}, each recipe a point", x=wr.SummaryMetric(latency),
            y=wr.SummaryMetric(quality), log_x=True, layout=wr.Layout(x=0, y=0, w=12, h=10),
        ),
        wr.ParallelCoordinatesPlot(columns=columns, layout=wr.Layout(x=12, y=0, w=12, h=10)),
    ]  # fmt: skip
    curves = [
        wr.LinePlot(title=name, x="trainer/global_step", y=[name], layout=wr.Layout(x=12 * place, y=0, w=12, h=8))
        for place, name in enumerate(CURVES)
    ]
    tables = [
        wr.MediaBrowser(media_keys=["frontier_chart"], layout=wr.Layout(x=0, y=0, w=12, h=10)),
        wr.WeavePanelSummaryTable(table_name="frontier", layout=wr.Layout(x=12, y=0, w=12, h=10)),
        wr.WeavePanelSummaryTable(table_name="records", layout=wr.Layout(x=0, y=10, w=24, h=12)),
    ]
    teacher = runs("teacher", "teacher")
    blocks = [
        wr.H1(text="Frontier"),
        wr.P(text="Measured side by side at the end of the sweep; intervals are in the table."),
        wr.PanelGrid(runsets=[runs("summary", "summary")], panels=tables),
        wr.H1(text="Recipes"),
        wr.PanelGrid(runsets=[runs("trials", "trial")], panels=frontier),
        wr.H1(text="Curves"),
        wr.PanelGrid(runsets=[runs("trials", "trial"), teacher], panels=curves),
    ]
    return wr.Report(entity=entity, project=project, title=f"millis: {study}"[:128], blocks=blocks, width="fluid")


def publish(report: Any) -> str:
    """Save a report and return its address.

    Raises:
        MillisError: the server cannot be reached or refuses it.
    """
    try:
        return str(report.save().url)
    except Exception as error:  # of W&B, its transport or its schema: each has its own
        raise MillisError(
            f"W&B did not take the dashboard of {report.entity}/{report.project}: {error}. Check the entity, the "
            "project and the key (`wandb login --relogin`)"
        ) from error
