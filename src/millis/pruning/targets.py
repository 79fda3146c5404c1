"""Targets: the layers that a user's regular expressions select."""

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from millis.errors import MillisError, nearest

Targets: TypeAlias = str | Sequence[str] | None
"""One regular expression, several, or None for what a granularity prunes by itself. Searched anywhere in a name."""


def selected(targets: Targets, names: Sequence[str]) -> list[str]:
    """The names that any expression matches, in their order; all where `targets` is None.

    Raises:
        MillisError: an expression that cannot be read, or one that matches nothing.
    """
    if targets is None:
        return list(names)
    patterns = [targets] if isinstance(targets, str) else list(targets)
    found = {name for pattern in patterns for name in _matching(pattern, names)}
    return [name for name in names if name in found]


def _matching(pattern: str, names: Sequence[str]) -> list[str]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise MillisError(f"pruning.targets={pattern!r} is no regular expression: {error}") from error
    found = [name for name in names if expression.search(name)]
    if not found:
        raise MillisError(
            f"pruning.targets={pattern!r} matches none of the {len(names)} prunable layers"
            f"{nearest(pattern, _ends(names))}. They are named like {', '.join(map(repr, names[:2]))}"
        )
    return found


def _ends(names: Iterable[str]) -> list[str]:
    """Every name and what is left of it after each dot: people write the end of a name."""
    ends = {".".join(parts[start:]) for name in names for parts in [name.split(".")] for start in range(len(parts))}
    return sorted(ends)
