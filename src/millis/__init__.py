"""millis: how fast can this language model get on my hardware, and what does each millisecond cost in quality?

`millis.load(folder)` gives a runner that answers texts, `millis.serve(folder)` answers them over HTTP. `train`,
`compress`, `pick`, `search` and `measure` are the loop as functions of objects (`millis.functions`); `millis.api` has
the commands as functions of overrides. Everything is imported on first use, so that a serving process pays for nothing
it does not need.
"""

from importlib import import_module
from typing import Any

__version__ = "0.4.0"

_HOMES = {
    "train": "millis.functions",
    "compress": "millis.functions",
    "pick": "millis.functions",
    "search": "millis.functions",
    "measure": "millis.functions",
    "build": "millis.functions",
    "load": "millis.applications.runner",
    "serve": "millis.server.supervisor",
    "read_records": "millis.record",
    "Record": "millis.record",
}
__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the names of _HOMES are strings


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'millis' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(_HOMES[name]), name)
