"""Runtimes that artifacts are made for: one a file, and the file's name is what a manifest calls it.

A runtime's file has a frozen dataclass whose `name` is the file's name (a `millis.types.Backend`, which writes
weights) and `load(folder, manifest, threads) -> millis.types.Session` (which reads them). The dataclass's fields are
its options: they lie in the manifest, and `load` gets them back from `options`, so that an artifact is served as it was
measured. Adding a runtime is adding a file: nothing here lists them. The files that runtimes share (`artifact`,
`tracing`, ...) have no such class; what answers requests with any of them is `millis.serving`.
"""

import importlib
import re
from collections.abc import Collection
from dataclasses import fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from millis import schema
from millis.errors import MillisError, nearest

if TYPE_CHECKING:
    from millis.storage.manifest import Manifest

Chosen = TypeVar("Chosen")


@cache
def _sources() -> dict[str, str]:
    """Runtime → the text of its file."""
    texts = ((path.stem, path.read_text(encoding="utf-8")) for path in sorted(Path(__file__).parent.glob("*.py")))
    return {
        name: text for name, text in texts if re.search(rf'^    name\b.*= "{re.escape(name)}"$', text, re.MULTILINE)
    }


def names() -> list[str]:
    """The runtimes that have a file here, found without importing one."""
    return list(_sources())


def runs_code(name: str) -> bool:
    """Whether loading an artifact of the runtime `name` runs machine code that lies in it: the dataclass says
    `runs_code = True`. Found without importing the file."""
    return re.search(r"^    runs_code\b.*= True$", _sources().get(name, ""), re.MULTILINE) is not None


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


def options(backend: type[Chosen], manifest: "Manifest") -> Chosen:
    """The runtime `backend` with the options that the artifact was written with; those it does not name by default.

    Raises:
        MillisError: an option that this millis does not know, or a value it refuses.
    """
    known = [field.name for field in fields(backend)]  # type: ignore[arg-type]  # a dataclass, by contract
    if unknown := sorted(set(manifest.options) - set(known)):
        raise MillisError(
            f"artifact {manifest.name!r} has the option {unknown[0]!r}, which backend={manifest.backend} does not "
            f"have; expected {'some of ' + ', '.join(known) if known else 'none'}. Load it with the millis that wrote "
            "it, or make it again"
        )
    try:
        return schema.checked(manifest.options, backend)
    except MillisError as error:
        raise MillisError(
            f"artifact {manifest.name!r} has options that backend={manifest.backend} does not take: {error}. Make the "
            "artifact again"
        ) from error


def one_of(backend: str, option: str, value: Any, known: Collection[str]) -> None:
    """Refuse a value that the option of a runtime does not have.

    Raises:
        MillisError: names the nearest that it has.
    """
    if value not in known:
        raise MillisError(
            f"backend.{option}={value!r} is not supported by {backend}: expected one of {', '.join(known)}"
            f"{nearest(str(value), known)}"
        )


def missing(extra: str, *packages: str) -> str | None:
    """How to get those of `packages` that are not installed; None where all are."""
    absent = [package for package in packages if find_spec(package) is None]
    return f"{', '.join(absent)} is not installed: pip install 'millis[{extra}]'" if absent else None
