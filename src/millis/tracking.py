"""Weights & Biases: the only file that imports wandb. A mirror of what is in the records, never the place it is kept.

Training curves come from Lightning's `WandbLogger`, which `conf/logger/wandb.yaml` makes, one run a trained model.
`prepare` decides where such runs land, `finish` closes one, and `log_sweep` adds one run that shows the whole study.

Offline runs lie in `<outputs>/wandb/offline-run-<time>-<id>` and are uploaded later by `wandb sync <that folder>`: on
the machine and at the path where they were made, for they name the files of artifacts by absolute path.
"""

import configparser
import netrc
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from millis.errors import MillisError
from millis.record import Record


def uses_wandb(logger: Mapping[str, Any]) -> bool:
    """Whether the config's `logger` node is the W&B one, and so whether `log_sweep` should be called."""
    return str(logger.get("_target_", "")).endswith(".WandbLogger")


def prepare(outputs: Path) -> None:
    """Make every W&B run of this process and its children land under `outputs`, offline unless the user is logged in.

    Sets environment variables and imports nothing, so it costs nothing where W&B is not used. `WANDB_MODE` and
    `WANDB_SILENT` are left as they are where set. Call it before a logger is made.

    W&B keeps the files of artifacts not yet uploaded in a data folder of the user's home, so a copied `outputs` would
    lack them; its cache and settings go to the home as well. All are moved beneath `outputs`, except that the settings
    of a user who is logged in stay where they are: they hold the key and the server.

    Raises:
        MillisError: `outputs` cannot be written (W&B itself would move to the system's temporary folder unasked).
    """
    folder = outputs.resolve() / "wandb"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MillisError(
            f"cannot make {folder}: {error.strerror}; W&B runs need a folder that can be written. "
            "Choose another with paths.outputs=..., or turn tracking off with logger=none"
        ) from error
    logged_in = _logged_in()
    os.environ["WANDB_DIR"] = str(folder.parent)
    os.environ["WANDB_DATA_DIR"] = str(folder / "data")
    os.environ["WANDB_CACHE_DIR"] = str(folder / "cache")
    os.environ.setdefault("WANDB_SILENT", "true")
    if not logged_in:
        os.environ["WANDB_CONFIG_DIR"] = str(folder / "config")
        os.environ.setdefault("WANDB_MODE", "offline")


def finish() -> None:
    """End the run that a logger left open, if any; its config and summary are complete only then.

    Call it after every trained model: the next logger in this process would otherwise write into the same run.
    """
    if "wandb" in sys.modules:
        sys.modules["wandb"].finish()


def log_sweep(
    study: str,
    records: Sequence[Record],
    frontier: Sequence[Record],
    *,
    logger: Mapping[str, Any],
    root: Path,
    trials: Mapping[str, int],
    figure: Any | None = None,
    config: Mapping[str, Any] | None = None,
) -> Path | None:
    """One W&B run that shows a study: tables, chart, summary numbers and the deployable artifacts.

    It belongs to the group `study`, like the training runs. Its summary has `best_<metric>` and `best_speedup` over
    the frontier, `frontier/<member>/<metric>` for every member's quality and speedup, and `trials/<state>`.

    Args:
        study: Name of the study.
        records: All measured models.
        frontier: Those that no other dominates; their artifacts are attached, as type `model`.
        logger: The config's `logger` node: its `project`, and `entity` if any, are where the training runs are.
        root: Folder that the records' `artifact` paths are relative to.
        trials: How many trials ended in each state, such as {"complete": 28, "pruned": 4}.
        figure: The frontier as a plotly figure.
        config: The resolved config of the sweep.

    Returns:
        The run's folder, for `wandb sync <folder>` where its name begins with `offline-run-`; None where `WANDB_MODE`
        is `disabled`.

    Raises:
        MillisError: W&B cannot be reached or refuses the run, or a member's artifact is gone. The records stay.
    """
    models = [(record, _artifact_folder(root, record)) for record in frontier if record.artifact]
    import wandb

    finish()
    mode = os.environ.get("WANDB_MODE")  # passed on, as wandb keeps the mode it found at the first run of a process
    try:
        with wandb.init(
            project=logger["project"],
            entity=logger.get("entity"),
            group=study,
            name=study,
            job_type="sweep",
            dir=os.environ.get("WANDB_DIR"),
            config=dict(config or {}),
            settings={"mode": mode} if mode else None,
        ) as run:
            _log_study(run, study, records, frontier, models, trials, figure)
            place = None if run.disabled else Path(run.dir).parent
    except (wandb.errors.Error, OSError) as error:
        raise MillisError(
            f"W&B did not take the run of study {study!r}: {error}. The records are safe; set WANDB_MODE=offline and "
            "run again to keep the run on disk, or turn tracking off with logger=none"
        ) from error
    wandb.teardown()  # an offline run's file may still be on its way to the disk when the run has finished
    return place


def _log_study(  # what `log_sweep` says of its arguments
    run: Any,
    study: str,
    records: Sequence[Record],
    frontier: Sequence[Record],
    models: Sequence[tuple[Record, Path]],
    trials: Mapping[str, int],
    figure: Any | None,
) -> None:
    import wandb

    shown = {"records": _wandb_table(records), "frontier": _wandb_table(frontier)}
    run.log(shown if figure is None else {**shown, "frontier_chart": wandb.Plotly(figure)})
    run.summary.update(summary(frontier, trials))
    for record, folder in models:
        artifact = wandb.Artifact(_artifact_name(study, record), type="model", metadata=_metadata(record))
        # Artifacts are sealed and never rewritten, so W&B need not stage a second copy of their weights.
        artifact.add_dir(str(folder), policy="immutable")
        run.log_artifact(artifact)


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
    """The numbers of a study's run: see `log_sweep`."""
    numbers: dict[str, float] = {f"trials/{state}": count for state, count in trials.items()}
    numbers["frontier_size"] = len(frontier)
    for record in frontier:
        for metric in (record.quality, "speedup"):
            if metric in record.metrics:
                value = record.metrics[metric]
                numbers[f"frontier/{record.name}/{metric}"] = value
                numbers[f"best_{metric}"] = max(value, numbers.get(f"best_{metric}", value))
    return numbers


def _wandb_table(records: Sequence[Record]) -> Any:
    import wandb

    columns, rows = table(records)
    return wandb.Table(columns=columns, data=rows)


def _artifact_folder(root: Path, record: Record) -> Path:
    folder = root / record.artifact
    if not folder.is_dir():
        raise MillisError(
            f"the artifact of {record.name!r} is not at {folder}; expected the folder its record names. "
            "Run the sweep again to make it, or turn tracking off with logger=none"
        )
    return folder


def _artifact_name(study: str, record: Record) -> str:
    # W&B allows letters, digits, dash, underscore and dot, 128 characters in all.
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{study}-{record.name}")[:128]


def _metadata(record: Record) -> dict[str, Any]:
    return {"record": record.id, "name": record.name, "metrics": record.metrics}


def _logged_in() -> bool:
    """Whether W&B will find a key where its documentation says it looks: environment, netrc file, settings file."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    folder = Path(os.environ.get("WANDB_CONFIG_DIR", "~/.config/wandb")).expanduser()
    settings = configparser.ConfigParser(default_section="default", interpolation=None)
    try:
        settings.read(folder / "settings")
    except configparser.Error:
        settings.clear()  # W&B warns of such a file itself
    if settings.defaults().get("api_key"):
        return True
    server = os.environ.get("WANDB_BASE_URL") or settings.defaults().get("base_url") or "https://api.wandb.ai"
    default = next(
        (path for path in (Path("~/.netrc"), Path("~/_netrc")) if path.expanduser().exists()), Path("~/.netrc")
    )
    try:
        keys = netrc.netrc(Path(os.environ.get("NETRC") or default).expanduser())
        return bool(keys.authenticators(urlsplit(server).netloc))
    except (OSError, netrc.NetrcParseError):
        return False
