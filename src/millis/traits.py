"""What methods say of themselves and ask of each other, so that no file has to know all pairs of them.

A choice of any group (a student, a distillation, a pruning, a backend, ...) may have

    traits     what it is or does: some of the constants below
    refuses    trait → why no other choice may have it
    needs      trait → why one of the choices must have it
    called     how messages name it, where not by its group
    instead    what to choose in its place, where that is not `<group>=none`

Reasons are sentences; `{other}` in them is what has the trait, `{instead}` what to choose in its place, and `{backend}`
the backend's name. One that has none of these fits everything.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from millis.errors import MillisError

Traits: TypeAlias = Collection[str]
Reasons: TypeAlias = Mapping[str, str]

IN_TRAINING = "acts while a student trains"
TEACHES = "is learned from while a student trains"
RESHAPES = "makes a student smaller before it trains"
MIXES = "mixes rows and columns of matrices"
CUTS_LAYERS = "takes whole layers away while they train"
CUTS_HEADS = "may take all of a layer's heads away while they train"
FREEZES = "freezes all weights but its own"
MOVES_WEIGHTS = "changes weights that an adapter would freeze"
SCHEDULED = "weighs teacher and labels by a schedule"
FEATURES = "compares hidden states or attention"
ON_POLICY = "has the student write what it learns from"
LEVELS = "fits the level of logits"
EXITS = "lets a text leave early"
SEGMENTS = "runs a model in segments"
DATA_SIZES = "runs sizes that depend on values"
IMITABLE = "says which integers it computes, so that training can imitate them"
INTEGERS = "computes with integers"
STORES = "stores the integers that it is given"
CUT = "is cut out of the layers of a model"
WRITES = "writes token by token, keys and values kept"
LOGITS = "chooses tokens by their logits"
UNDECIDED = "is chosen among several before anything is trained"


def has(choice: Any, trait: str) -> bool:
    """Whether `choice` has a trait."""
    return trait in getattr(choice, "traits", ())


def check(choices: Mapping[str, Any]) -> None:
    """Refuse choices that cannot be combined.

    Args:
        choices: Group → what is chosen, None where nothing is.

    Raises:
        MillisError: the reason that one of them gives.
    """
    made = {group: choice for group, choice in choices.items() if choice is not None}
    backend = getattr(made.get("backend"), "name", "")
    for group, choice in made.items():
        for trait, reason in getattr(choice, "refuses", {}).items():
            for other, one in made.items():
                if other != group and has(one, trait):
                    called = getattr(one, "called", other)
                    instead = getattr(one, "instead", f"{other}=none")
                    raise MillisError(reason.format(other=called, instead=instead, backend=backend))
        for trait, reason in getattr(choice, "needs", {}).items():
            if not any(has(one, trait) for one in made.values()):
                raise MillisError(reason.format(backend=backend))
