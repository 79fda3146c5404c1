"""Cuts: a held-out part for a split that is missing, and a sample of one that is to be small."""

import random
from collections.abc import Callable, Hashable
from typing import Any

from millis.data.dataset import Split
from millis.data.suspicions import MANY
from millis.errors import MillisError

HOLDOUT = 0.1  # of the training rows, where no validation split is given: 1 in 10 leaves training nearly whole


def holdout(name: str, split: Split, seed: int, stratum: Callable[[Any], Hashable]) -> tuple[Split, Split]:
    """(kept, held out): of every stratum one row in ten, at least one where it has two rows or more.

    Raises:
        MillisError: no stratum has two rows; `name` is the data set's.
    """
    strata: dict[Hashable, list[int]] = {}
    for i, reference in enumerate(split.references):
        strata.setdefault(stratum(reference), []).append(i)
    generator = random.Random(seed)
    held: list[int] = []
    for rows in strata.values():
        count = max(round(len(rows) * HOLDOUT), int(len(rows) > 1))
        held += generator.sample(rows, count)
    if not held:
        doubt = "; is it the column of labels (data.label=)?" if len(strata) > MANY else ""
        raise MillisError(
            f"{name}: no split can be cut from train, for each label has one row there{doubt}. Add rows, or files for "
            "validation and test"
        )
    kept = sorted(set(range(len(split))) - set(held))
    return split.take(kept), split.take(sorted(held))


def sample(split: Split, limit: int, seed: int) -> Split:
    """At most `limit` rows, drawn with `seed`, in their order."""
    if len(split) <= limit:
        return split
    return split.take(sorted(random.Random(seed).sample(range(len(split)), limit)))
