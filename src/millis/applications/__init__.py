"""Applications: chains of artifacts that give one answer, a package each; see `contract`.

A kind's package has `plan.py`, of how one is built, and `answering.py`, of how it answers: `Settings`, a dataclass that
the manifest's settings are held against, and `assemble(settings, parts, folder)`, which makes an `Application`.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any


def kinds() -> tuple[str, ...]:
    """Every kind of application there is."""
    return tuple(module.name for module in iter_modules(__path__) if module.ispkg)


def answering(kind: str) -> Any:
    """The module of a kind that answers."""
    return import_module(f"{__name__}.{kind}.answering")
