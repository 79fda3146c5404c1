"""One W&B run, of which no fault ends what it mirrors.

Where W&B does not take a run (no key, a wrong one, no network), it is kept offline and so are those that follow; a run
that breaks later loses what comes after. Both are said once.
"""

import logging
import os
import re
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from millis.errors import MillisError

log = logging.getLogger(__name__)

INIT_TIMEOUT_S = 20  # W&B's own 90 s are a long silence before a training
# Keys of a logger's config that Lightning's WandbLogger keeps to itself.
LIGHTNING = {
    "_target_", "save_dir", "dir", "version", "id", "offline", "log_model", "prefix", "checkpoint_name",
    "add_file_policy", "anonymous", "experiment",
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """Weights that a run made or started from.

    Args:
        kind: `teacher`, `student` or `model` (what is deployed): the artifact's type.
        name: Of the artifact; the same files under one name are one version.
        path: A folder, which is uploaded, or a file, of which the place and checksum are kept.
    """

    kind: str
    name: str
    path: Path
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def artifact(self) -> Any:
        """As W&B has it. Artifacts are sealed and never rewritten, so W&B need not stage a copy of a folder."""
        import wandb

        # W&B allows letters, digits, dash, underscore and dot, 128 characters in all.
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.name)[:128]
        made = wandb.Artifact(name, type=self.kind, metadata=dict(self.metadata))
        if self.path.is_dir():
            made.add_dir(str(self.path), policy="immutable")
        else:
            made.add_reference(self.path.absolute().as_uri())
        return made


class Mirror:
    """Passes everything on to a W&B object; a call that fails is said once and then dropped."""

    def __init__(self, of: Any, broken: list[str] | None = None) -> None:
        self._of, self._broken = of, [] if broken is None else broken

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(self._of, name)
        if name in ("config", "summary"):
            return Mirror(value, self._broken)
        return partial(self.attempt, name, value) if callable(value) else value

    def attempt(self, name: str, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """What `method` returns; None where it failed."""
        try:
            return method(*given, **named)
        except Exception as error:  # wandb's own, sockets' and those of its service: none of them is ours
            if not self._broken:
                log.warning("W&B: %s failed (%s); the work goes on, and what this run lacks is in the records", name,
                            _reason(error))  # fmt: skip
            self._broken.append(name)
            return None


class Run:
    """An open W&B run.

    Args:
        experiment: What Lightning's logger writes curves to.
    """

    def __init__(self, run: Any) -> None:
        self.experiment = Mirror(run)

    @property
    def folder(self) -> Path | None:
        """For `wandb sync <folder>` where its name begins with `offline-run-`; None where `WANDB_MODE` is disabled."""
        return None if self.experiment.disabled else Path(self.experiment.dir).parent

    def summarize(self, numbers: Mapping[str, Any]) -> None:
        """Set the run's summary: what tables and scatter plots of runs show."""
        self.experiment.summary.update(dict(numbers))

    def made(self, model: Model) -> None:
        """Log weights that came of this run."""
        self.experiment.attempt("log_artifact", lambda: self.experiment.log_artifact(model.artifact()))

    def uses(self, model: Model) -> None:
        """Log weights that this run started from, whether W&B knows them already or not.

        `use_artifact` refuses offline; the message that it would send of a draft is written all the same.
        """

        def used() -> None:
            self.experiment._log_artifact(model.artifact(), is_user_created=True, use_after_commit=True)

        self.experiment.attempt("use_artifact", used)

    def finish(self) -> None:
        """End the run; its config and summary are complete only then."""
        self.experiment.finish()


def open_run(logger: Mapping[str, Any], *, name: str, job_type: str, config: Mapping[str, Any]) -> Run | None:
    """Open a run beside any others of this process; None where W&B cannot even keep it offline.

    Args:
        logger: The config's `logger` node: project, group and whatever else `wandb.init` takes.
        job_type: `teacher`, `trial` or `summary`.

    Raises:
        MillisError: a key of `logger` that `wandb.init` does not take.
    """
    import wandb

    settings: dict[str, Any] = {key: value for key, value in logger.items() if key not in LIGHTNING}
    settings |= {"name": name, "job_type": job_type, "config": dict(config), "reinit": "create_new", "resume": "allow"}
    settings |= {
        "dir": logger.get("save_dir") or os.environ.get("WANDB_DIR"),
        "id": logger.get("version") or _id(job_type),
    }
    settings["settings"] = {"init_timeout": float(os.environ.get("WANDB_INIT_TIMEOUT", INIT_TIMEOUT_S))}
    mode: Any = "offline" if logger.get("offline") else os.environ.get("WANDB_MODE")
    try:
        return Run(wandb.init(**settings, mode=mode))
    except TypeError as error:
        raise MillisError(f"logger: {error}. Expected what wandb.init takes, and no more") from error
    except Exception as error:  # refused, unreachable, or its service is gone
        log.warning(
            "W&B does not take the run %r (%s): it and those that follow are kept offline under the outputs folder, "
            "for `wandb sync`. WANDB_MODE=offline spares the attempt, logger=none turns tracking off",
            name, _reason(error),
        )  # fmt: skip
    os.environ["WANDB_MODE"] = "offline"
    close()  # a service that has died is started anew
    try:
        return Run(wandb.init(**settings, mode="offline"))
    except Exception as error:
        log.warning("W&B keeps no run %r offline either (%s): it is not tracked", name, _reason(error))
        return None


def close() -> None:
    """Wait until the files of finished runs are complete."""
    import wandb

    with suppress(Exception):  # of a service that has died
        wandb.teardown()


def _id(job_type: str) -> str | None:
    """An id for each run where the environment names one: an agent's, under which `wandb sync` would keep only one."""
    given = os.environ.get("WANDB_RUN_ID")
    return f"{given}-{job_type}-{uuid.uuid4().hex[:8]}" if given else None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
