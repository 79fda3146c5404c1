"""How a model that writes chooses its tokens: one way a file, found by its name, as in `generation=sampling`.

`contract` says what a way is, and `greedy.py` is the shortest. NumPy alone: what writes answers requests.
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from millis import schema
from millis.described import TARGET
from millis.errors import MillisError, nearest
from millis.generation.contract import Generation


@cache
def names() -> tuple[str, ...]:
    """The ways of generating: files here with a class of their name that is a `Generation`."""
    return tuple(module.name for module in iter_modules(__path__) if _class(module.name) is not None)


def kind(name: str) -> type[Generation]:
    """The class of a way: `greedy` → `millis.generation.greedy.Greedy`.

    Raises:
        MillisError: no such way. A name read from an artifact comes through here, so only millis' own files are ever
            imported for it.
    """
    found = _class(name) if name in names() else None
    if found is None:
        raise MillisError(
            f"generation {name!r} is unknown; expected one of {', '.join(names())}{nearest(str(name), names())}"
        )
    return found


def read(described: Mapping[str, Any]) -> Generation:
    """The choice that `described` (see `millis.described`) speaks of; a field that it does not name is the default.

    Raises:
        MillisError: no such way, a field that it does not have, or a value that it refuses.
    """
    given = dict(described)
    target = str(given.pop(TARGET, None))
    found = {f"{kind(name).__module__}.{kind(name).__qualname__}": kind(name) for name in names()}
    if target not in found:
        raise MillisError(f"generation.{TARGET} is {target!r}: expected one of {', '.join(found)}")
    known = [field.name for field in fields(found[target])]
    if unknown := sorted(set(given) - set(known)):
        raise MillisError(
            f"generation has no {unknown[0]!r}{nearest(unknown[0], known)}: expected some of {', '.join(known)}"
        )
    return schema.checked(given, found[target], "generation")


def _class(name: str) -> type[Generation] | None:
    found = getattr(import_module(f"{__name__}.{name}"), name.title().replace("_", ""), None)
    return found if isinstance(found, type) and issubclass(found, Generation) and found is not Generation else None
