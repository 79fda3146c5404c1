"""When to stop: one policy a file, found by its name, as in `early_exit.policy=entropy`.

A policy's file has two functions:

    score(logits)         logits [B, C] of the exits passed so far, first to last → how sure of the last one, [B];
                          larger is surer. A row leaves where its score reaches the threshold.
    thresholds(exits)     the thresholds to choose from for a model with so many exits besides its last, from strict to
                          loose. They are fixed before any data is seen, which the bound on the quality drop rests on.

The same `score` chooses the threshold and answers requests. NumPy alone, and few operations of it: requests pay
for them at every exit.
"""

import importlib
from pathlib import Path
from typing import Any

from millis.errors import MillisError, nearest

# Distance from certainty, four steps a factor of ten, for the differences that matter lie close to 1; then the rest.
SHARES = (*(round(1 - 10 ** (-step / 4), 6) for step in range(12, 0, -1)), 0.3, 0.2, 0.1)  # 0.999, 0.998222, ..., 0.1


def names() -> list[str]:
    """The policies that have a file here."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def named(name: str) -> Any:
    """The file of the policy `name`.

    Raises:
        MillisError: no such policy. A name read from an artifact comes through here, so only millis' own files are ever
            imported for it.
    """
    known = names()
    if name not in known:
        raise MillisError(
            f"early_exit.policy={name!r} is unknown; expected one of {', '.join(known)}{nearest(str(name), known)}"
        )
    return importlib.import_module(f"{__name__}.{name}")
