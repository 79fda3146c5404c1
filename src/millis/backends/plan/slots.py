"""Slots that are used again: a matrix takes the place of one that no later step reads, so all stay in the cache."""

from collections.abc import Sequence

from msgspec.structs import replace

from millis.backends.plan.steps import Slot, Step

NAMES = ("source", "residual", "base", "out")  # of a step's fields that are slots


def reused(slots: Sequence[Slot], steps: Sequence[Step]) -> tuple[list[Slot], list[Step]]:
    """As few slots as the steps need, each as wide as the widest that it stands for; and the steps on these.

    A slot is taken from the first step that names it to the last; among the free ones that have rows for the same, the
    one freed last is taken, whose memory was used last.
    """
    last = {slot: at for at, step in enumerate(steps) for slot in _named(step).values()}
    found: list[Slot] = []
    free: list[int] = []
    at_place: dict[int, int] = {}
    ordered = []
    for at, step in enumerate(steps):
        names = _named(step)
        for slot in names.values():
            if slot not in at_place:
                at_place[slot] = _taken(slots[slot], found, free)
        ordered.append(replace(step, **{name: at_place[slot] for name, slot in names.items()}))
        free += [at_place[slot] for slot in dict.fromkeys(names.values()) if last[slot] == at]
    return found, ordered


def _named(step: Step) -> dict[str, int]:
    """Field → slot."""
    fields = {name: getattr(step, name, None) for name in NAMES}
    return {name: slot for name, slot in fields.items() if slot is not None}


def _taken(wanted: Slot, found: list[Slot], free: list[int]) -> int:
    """A place for `wanted`: one of `free`, made wide enough, or a new one at the end of `found`."""
    place = next((place for place in reversed(free) if found[place].per == wanted.per), None)
    if place is None:
        found.append(wanted)
        return len(found) - 1
    free.remove(place)
    if found[place].width < wanted.width:
        found[place] = wanted
    return place
