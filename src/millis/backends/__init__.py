"""Runtimes that answer requests: one a file, and the file's name is what a manifest calls it.

A runtime's file has a class whose `name` is the file's name (a `millis.types.Backend`, which writes weights) and
`load(folder, manifest, threads) -> millis.types.Session` (which reads them). Adding a runtime is adding a file: nothing
here lists them. The files that serve every runtime (`artifact`, `runner`, ...) have no such class.
"""

import importlib
import re
from pathlib import Path
from typing import Any

from millis.errors import MillisError, nearest


def names() -> list[str]:
    """The runtimes that have a file here, found without importing one."""
    sources = ((path.stem, path.read_text(encoding="utf-8")) for path in sorted(Path(__file__).parent.glob("*.py")))
    return [name for name, text in sources if re.search(rf'^    name\b.*= "{re.escape(name)}"$', text, re.MULTILINE)]


def module(name: str) -> Any:
    """The file of the runtime `name`.

    Raises:
        MillisError: no such runtime. A name read from an artifact comes through here, so only millis' own files are
            ever imported for it.
    """
    known = names()
    if name not in known:
        raise MillisError(
            f"backend {name!r} is unknown; expected one of {', '.join(known)}{nearest(str(name), known)}. "
            "Load the artifact with the millis that wrote it, or make it again"
        )
    return importlib.import_module(f"{__name__}.{name}")
