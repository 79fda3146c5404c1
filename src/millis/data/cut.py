"""Cuts: a held-out part for a split that is missing, and a sample of one that is to be small.

Rows of one group (`millis.data.references.References.group`) are taken together or not at all.
"""

import random
from collections.abc import Hashable
from itertools import accumulate, chain

from millis.data.dataset import Split
from millis.data.references import References, together
from millis.data.suspicions import MANY
from millis.errors import MillisError

HOLDOUT = 0.1  # of the training rows, where no validation split is given: 1 in 10 leaves training nearly whole


def holdout(name: str, split: Split, seed: int, references: References) -> tuple[Split, Split]:
    """(kept, held out): of every stratum one row (or group) in ten, at least one where it has two or more.

    Raises:
        MillisError: no stratum has two rows, or all rows are of one group; `name` is the data set's.
    """
    strata: dict[Hashable, list[list[int]]] = {}
    groups = together(split.references, references.group)
    for rows in groups:
        strata.setdefault(references.stratum(split.references[rows[0]]), []).append(rows)
    generator = random.Random(seed)
    held: list[list[int]] = []
    for found in strata.values():
        count = max(round(len(found) * HOLDOUT), int(len(found) > 1))
        held += generator.sample(found, count)
    if not held:
        doubt = "; is it the column of labels (data.label=)?" if len(strata) > MANY else ""
        reason = (
            f"for each label has one row there{doubt}" if len(groups) == len(split) else "for all rows belong together"
        )
        raise MillisError(
            f"{name}: no split can be cut from train, {reason}. Add rows, or files for validation and test"
        )
    taken = sorted(chain(*held))
    return split.take(sorted(set(range(len(split))) - set(taken))), split.take(taken)


def sample(split: Split, limit: int, seed: int, references: References) -> Split:
    """At most `limit` rows, drawn with `seed`, in their order.

    Raises:
        MillisError: a group of rows has more.
    """
    if len(split) <= limit:
        return split
    groups = together(split.references, references.group)
    drawn = random.Random(seed).sample(groups, min(limit, len(groups)))
    fitting = sum(rows <= limit for rows in accumulate(map(len, drawn)))
    if not fitting:
        raise MillisError(
            f"data.limit={limit}: expected {len(drawn[0])} or more, for so many rows of the data belong together"
        )
    return split.take(sorted(chain(*drawn[:fitting])))
