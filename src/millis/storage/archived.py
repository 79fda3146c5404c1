"""An artifact's files as one archive: how they are put in, and how they are read whether they are in one or not.

Names within the archive: `tokenizer.json` is that file's bytes; `model.onnx#encoder.weight` is a tensor that the
runtime takes by itself, so that it can be encoded by what it is. A backend says which those are (`take_apart`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from millis.errors import MillisError
from millis.storage.archive import Archive, write
from millis.storage.cheapest import Rule
from millis.storage.encodings import Array

FILE_NAME = "weights.millis"
SEPARATOR = "#"


class Lossy(Protocol):
    """A change of tensors that lets an encoding take fewer bytes; see `millis.storage.sharing`."""

    def describe(self) -> str:
        """A word or two for the name of a recipe."""
        ...

    def apply(self, tensors: Mapping[str, Array]) -> tuple[dict[str, Array], str]:
        """All tensors, some of them changed, and a sentence for the record."""
        ...


@dataclass(frozen=True)
class Archived:
    """Stores artifacts as one archive.

    Args:
        bandwidth_mb_per_s: What is weighed against decode time: of the medium that artifacts are read from; see
            `millis.storage.cheapest`.
        codecs: Compression that may be used.
        lossy: What is done to the tensors before, one after the other; nothing is exact.

    Raises:
        MillisError: as for `Rule`.
    """

    bandwidth_mb_per_s: float
    codecs: Sequence[str]
    lossy: Sequence[Lossy]

    def __post_init__(self) -> None:
        _ = self.rule

    @property
    def rule(self) -> Rule:
        """How encodings are chosen."""
        return Rule(self.bandwidth_mb_per_s, tuple(self.codecs))

    def describe(self) -> str:
        """For the name of a recipe: `archive`, `shared 4`."""
        return " ".join(step.describe() for step in self.lossy) or "archive"

    def pack(self, folder: Path, tensors: Mapping[str, Array]) -> dict[str, Any]:
        """Put `folder`'s files into one archive there, in their place.

        Args:
            folder: An artifact's, not yet sealed.
            tensors: Of the files that were taken apart, under names as above; the others are put in as they are.

        Returns:
            What the manifest says of it: `bytes_before`, `notes`.
        """
        files = sorted(path for path in folder.iterdir())
        before = sum(path.stat().st_size for path in files)
        apart = {name.split(SEPARATOR)[0] for name in tensors}
        whole = {path.name: np.fromfile(path, np.uint8) for path in files if path.name not in apart}
        kept, notes = dict(tensors), []
        for step in self.lossy:
            kept, note = step.apply(kept)
            notes.append(note)
        write(folder / FILE_NAME, {**kept, **whole}, self.rule)
        for path in files:
            path.unlink()
        return {"bytes_before": before, "notes": notes}


def none() -> None:
    """Files as the runtime writes them: what `conf/storage/none.yaml` asks for."""


def archive_of(path: Path) -> Archive | None:
    """The archive that holds an artifact's file `path`; None where it lies there itself.

    Raises:
        MillisError: a damaged archive.
    """
    beside = path.with_name(FILE_NAME)
    return Archive(beside) if not path.exists() and beside.is_file() else None


def read_bytes(path: Path) -> bytes:
    """An artifact's file, from its archive where it is in one.

    Raises:
        MillisError: it is in neither place, or damaged.
    """
    archive = archive_of(path)
    if archive is not None:
        return archive[path.name].tobytes()
    try:
        return path.read_bytes()
    except OSError as error:
        raise MillisError(f"cannot read {path}: {error.strerror}. Make the artifact again") from error


def read_tensors(archive: Archive, file: str, threads: int) -> dict[str, Array]:
    """The tensors that `file` was taken apart into, by their own names."""
    prefix = f"{file}{SEPARATOR}"
    found = archive.read([name for name in archive.entries if name.startswith(prefix)], threads)
    return {name.removeprefix(prefix): tensor for name, tensor in found.items()}
