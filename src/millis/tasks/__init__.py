"""What is predicted: one task a file; see `contract`."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from millis import schema
from millis.errors import MillisError, nearest
from millis.tasks.contract import Task

NAME = "name"


def names() -> tuple[str, ...]:
    """Every task there is."""
    return tuple(module.name for module in iter_modules(__path__) if module.name not in ("contract", "judging"))


def read(described: Mapping[str, Any]) -> Task:
    """The task that `described` (see `Task.described`) speaks of.

    Raises:
        MillisError: no such task, or not what its file expects.
    """
    name = described.get(NAME)
    if name not in names():
        raise MillisError(f"name is {name!r}: expected one of {', '.join(names())}{nearest(str(name), names())}")
    module = import_module(f"{__name__}.{name}")
    task: Task = module.read(schema.checked(dict(described), module.Described))
    return task
