"""Weights & Biases: the only package that imports wandb. A mirror of the records, never the place they are kept.

A sweep is one group: a run of job type `teacher` where one is trained, one of type `trial` for each recipe with its
curves, and one of type `summary`. Artifacts say what was made of what: teacher, student, member of the frontier.

No fault of W&B ends what it mirrors (`millis.tracking.run`). Offline runs lie in
`<outputs>/wandb/offline-run-<time>-<id>` and are uploaded later by `wandb sync <that folder>`: on the machine and at
the path where they were made, for they name the files of artifacts by absolute path.
"""

from millis.tracking.place import logged_in, prepare, uses_wandb
from millis.tracking.run import Model, Run, close, open_run
from millis.tracking.study import Member, log_study, summary, table

__all__ = [
    "Member",
    "Model",
    "Run",
    "close",
    "log_study",
    "logged_in",
    "open_run",
    "prepare",
    "summary",
    "table",
    "uses_wandb",
]
