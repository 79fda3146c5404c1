"""How a model that writes chooses its tokens: one way a file, found by its name, as in `generation=sampling`.

`contract` says what a way is, and `greedy.py` is the shortest; `draft` has what guesses ahead of them, as in
`generation/draft=lookup`. NumPy alone: what writes answers requests.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar

from millis import schema
from millis.described import TARGET
from millis.errors import MillisError, nearest
from millis.generation.contract import Generation
from millis.generation.draft import Draft

Kind = TypeVar("Kind")


def names() -> tuple[str, ...]:
    """The ways of generating: files here with a class of their name that is a `Generation`."""
    return tuple(_kinds(__name__, Generation))


def drafts() -> tuple[str, ...]:
    """The ways of guessing ahead: files of `draft` with a class of their name that is a `Draft`."""
    return tuple(_kinds(f"{__name__}.draft", Draft))


def kind(name: str) -> type[Generation]:
    """The class of a way of generating: `greedy` → `millis.generation.greedy.Greedy`.

    Raises:
        MillisError: no such way.
    """
    known = _kinds(__name__, Generation)
    if name not in known:
        raise MillisError(
            f"generation {name!r} is unknown; expected one of {', '.join(known)}{nearest(str(name), known)}"
        )
    return known[name]


def draft_kind(name: str) -> type[Draft]:
    """The class of a way of guessing: `lookup` → `millis.generation.draft.lookup.Lookup`.

    Raises:
        MillisError: no such way.
    """
    known = _kinds(f"{__name__}.draft", Draft)
    if name not in known:
        raise MillisError(
            f"generation.draft {name!r} is unknown; expected one of {', '.join(known)}{nearest(str(name), known)}"
        )
    return known[name]


def read(described: Mapping[str, Any]) -> Generation:
    """The choice that `described` (see `millis.described`) speaks of; a field that it does not name is the default.

    Only millis' own files are ever imported for it.

    Raises:
        MillisError: no such way, a field that it does not have, or a value that it refuses.
    """
    given = dict(described)
    draft = given.pop("draft", None)
    made: Generation = _made(given, _kinds(__name__, Generation), "generation")
    if draft is None:
        return made
    if not isinstance(draft, Mapping):
        raise MillisError(f"generation.draft is {draft!r}: expected an object or null")
    return replace(made, draft=_made(draft, _kinds(f"{__name__}.draft", Draft), "generation.draft"))


def _made(described: Mapping[str, Any], known: Mapping[str, type[Kind]], within: str) -> Kind:
    given = dict(described)
    target = given.pop(TARGET, None)
    found = {f"{one.__module__}.{one.__qualname__}": one for one in known.values()}
    if target not in found:
        raise MillisError(f"{within}.{TARGET} is {target!r}: expected one of {', '.join(found)}")
    names = [field.name for field in fields(found[target])]  # type: ignore[arg-type]  # a dataclass, by contract
    if unknown := sorted(set(given) - set(names)):
        raise MillisError(
            f"{within} has no {unknown[0]!r}{nearest(unknown[0], names)}; expected some of {', '.join(names)}"
        )
    return schema.checked(given, found[target], within)


@cache
def _kinds(package: str, base: type[Kind]) -> dict[str, type[Kind]]:
    """Name of a file of `package` → its class of that name, where that is a `base`."""
    found = {}
    for module in iter_modules(import_module(package).__path__):
        one = getattr(import_module(f"{package}.{module.name}"), module.name.title().replace("_", ""), None)
        if isinstance(one, type) and issubclass(one, base):
            found[module.name] = one
    return found
