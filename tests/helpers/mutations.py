"""Ways to make a file lie: bytes and JSON values changed at random, always the same for the same generator."""

import copy
import json
import math
from random import Random
from typing import Any

VALUES = [
    None, True, False, -1, 0, 1, 2, 7, 10**6, 10**9, 2**31, 2**63, 10**30, -(10**18), 0.5, -0.0, 1e-300, 1e308,
    math.nan, math.inf, -math.inf, "", "x", "1", "nan", "../x", "/", "\0", "\u2028", "ä" * 300, [], {}, [[]], [None],
    {"": {}}, [0] * 40, ["a"] * 40, {"a": {"a": {"a": {}}}},
]  # fmt: skip
DEPTH = 100_000


def changed_json(value: Any, random: Random) -> str:
    """A JSON text of `value` with one to three nodes changed; now and then one that is nested without end."""
    made = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        made = _changed(made, random)
    text = json.dumps(made)
    if random.random() < 0.02:
        opening, closing = random.choice((("[", "]"), ('{"a":', "}")))
        deep = opening * DEPTH + (closing * DEPTH if random.random() < 0.5 else "")
        places = [place for place, character in enumerate(text) if character in "[{"] or [0]
        place = random.choice(places)
        text = text[:place] + deep + text[place:]
    return text


def changed_bytes(data: bytes, random: Random) -> bytes:
    """`data` with bits flipped, a stretch cut out, repeated, emptied or replaced, or its end cut off."""
    if not data:
        return random.randbytes(8)
    made, start = bytearray(data), random.randrange(len(data))
    stop = min(len(data), start + random.choice((1, 1, 4, 16, 256)))
    way = random.randrange(6)
    if way == 0:
        for _ in range(random.choice((1, 1, 2, 8))):
            made[random.randrange(len(made))] ^= 1 << random.randrange(8)
    elif way == 1:
        del made[start:stop]
    elif way == 2:
        made[start:start] = made[start:stop] * random.choice((1, 3, 100))
    elif way == 3:
        made[start:stop] = bytes(stop - start)
    elif way == 4:
        made[start:stop] = random.randbytes(stop - start)
    else:
        del made[start:]
    return bytes(made)


def _changed(root: Any, random: Random) -> Any:
    """`root`, changed at one place that is drawn; itself in the rarest case."""
    places = list(_places(root))
    if not places or random.random() < 0.01:
        return random.choice(VALUES)
    parent, key = random.choice(places)
    way = random.randrange(8)
    if way == 0:
        del parent[key]
    elif way == 1 and isinstance(parent, dict):
        parent[random.choice((f"{key}x", "", "unknown"))] = parent.pop(key)
    elif way == 1:
        parent.insert(key, copy.deepcopy(parent[key]))
    elif way == 2:
        other, place = random.choice(places)
        parent[key] = copy.deepcopy(other[place])
    elif way == 3 and isinstance(parent[key], int | float):
        parent[key] = random.choice(
            (parent[key] * -1, parent[key] + 1, parent[key] - 1, parent[key] * 1000, str(parent[key]))
        )
    elif way == 4:
        parent[key] = [parent[key]]
    else:
        parent[key] = random.choice(VALUES)
    return root


def _places(node: Any) -> Any:
    """(parent, key) of every value; of long lists the first few, so that numbers do not crowd out the rest."""
    if isinstance(node, dict | list):
        for key in list(node) if isinstance(node, dict) else range(min(len(node), 4)):
            yield node, key
            yield from _places(node[key])
