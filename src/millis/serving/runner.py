"""An artifact loaded on its runtime, ready to answer: what `millis.load` gives."""

import os
import warnings
from pathlib import Path
from typing import cast

from safetensors import SafetensorError, numpy

from millis import backends
from millis.cpus import affinity, available_cpus, quota
from millis.errors import MillisError
from millis.models.outputs import writes
from millis.serving import cascade, first_request, stepwise
from millis.serving.one_pass import Runner
from millis.serving.reader import Reader, TextKeeper
from millis.serving.writer import Writer
from millis.storage.archived import archive_of, read_bytes
from millis.storage.manifest import CARRIED, DRAFT, Manifest, open_manifest
from millis.tasks.contract import Task
from millis.types import Decoder, Session


def load(folder: Path | str, threads: int = 1, verify: bool = True, trust_code: bool = False) -> Runner:
    """Load an artifact, and run nothing that is stored in it unless `trust_code`.

    Args:
        folder: The artifact.
        threads: For one request's arithmetic; more than there are CPUs is warned of.
        verify: Hash every file first (about 1 s a GB).
        trust_code: Whether an artifact of machine code (`backend=inductor`, alone or in a cascade) may be loaded, which
            runs it with all that this process may do.

    Raises:
        MillisError: not an artifact, damaged, written by a newer millis, its runtime is not installed, or it is code.
    """
    folder = Path(folder)
    if threads < 1:
        raise MillisError(f"threads={threads} cannot run anything: expected 1 or more")
    if (warning := crowded(threads)) is not None:
        warnings.warn(warning, stacklevel=2)
    manifest = open_manifest(folder, verify)
    check_trusted(manifest, trust_code)
    session = _session(folder, manifest, threads)
    reader = Reader.of(folder, manifest)
    task = carrying(folder, manifest)
    runner = _runner(manifest, reader, session, task, _smaller(folder / DRAFT, threads, trust_code))
    first_request.check(folder, manifest, reader, lambda text: runner.feed(runner.tokenize(text)), session)
    return runner


def carrying(folder: Path, manifest: Manifest) -> Task:
    """The artifact's task, with the arrays that it carries.

    Raises:
        MillisError: they are damaged, or those of another task.
    """
    path = folder / CARRIED
    archive = archive_of(path)
    there = path.is_file() if archive is None else path.name in archive.entries
    try:
        return manifest.answers.carrying(numpy.load(bytes(read_bytes(path))) if there else {})
    except (MillisError, SafetensorError, KeyError) as error:  # a type that NumPy does not have is a KeyError
        raise MillisError(f"{path}: {error}. Make the artifact again") from error


def _runner(manifest: Manifest, reader: Reader, session: Session, task: Task, smaller: Decoder | None) -> Runner:
    if writes(manifest.spec.outputs):
        return Writer(manifest, reader, _writing(session, manifest), smaller)
    return Runner(manifest, TextKeeper(reader) if cascade.reads_apart(manifest) else reader, session, task)


def _smaller(folder: Path, threads: int, trust_code: bool) -> Decoder | None:
    """The model that guesses, where an artifact has one."""
    if not folder.is_dir():
        return None
    manifest = open_manifest(folder, verify=False)  # its files are among those of the artifact
    check_trusted(manifest, trust_code)
    return _writing(_session(folder, manifest, threads), manifest)


def _writing(session: Session, manifest: Manifest) -> Decoder:
    """A session that writes.

    Raises:
        MillisError: it does not.
    """
    if not hasattr(session, "begin"):
        raise MillisError(
            f"artifact {manifest.name!r} is to write, and backend={manifest.backend} does not write token by token. "
            "Make the artifact again"
        )
    return cast(Decoder, session)


def _session(folder: Path, manifest: Manifest, threads: int) -> Session:
    if manifest.is_cascade:
        return cascade.load(folder, manifest, threads)
    return stepwise.load_model(folder, manifest, threads)


def is_dynamic(manifest: Manifest) -> bool:
    """Whether the artifact computes more for one request than for another as long: by such a part, or as a cascade."""
    return manifest.spec.is_dynamic


def bound_threads(manifest: Manifest, wanted: int) -> int:
    """As many threads as `wanted`, or as many as the code of the artifact, or a member's, is made for.

    Raises:
        MillisError: a cascade whose members are not described.
    """
    return next((int(part.options["threads"]) for part in _models(manifest) if "threads" in part.options), wanted)


def check_trusted(manifest: Manifest, trust_code: bool) -> None:
    """Refuse an artifact that is, or has a member that is, machine code, unless `trust_code`.

    Raises:
        MillisError: says what loading would do.
    """
    compiled = next((part.backend for part in _models(manifest) if backends.runs_code(part.backend)), None)
    if compiled is not None and not trust_code:
        raise MillisError(
            f"artifact {manifest.name!r} is machine code (backend={compiled}): loading it runs that code, whatever it "
            "does, and a checksum does not tell who wrote it. If you trust where it comes from, say trust_code=true "
            "(in Python trust_code=True); else take an artifact of another backend"
        )


def _models(manifest: Manifest) -> list[Manifest]:
    """The artifact itself, or a cascade's members."""
    return list(cascade.members_of(manifest).values()) if manifest.is_cascade else [manifest]


def crowded(threads: int) -> str | None:
    """What to know where `threads` are more than the CPUs this process may use; None where they are not."""
    cpus = len(available_cpus()) or os.cpu_count() or threads
    if threads <= cpus:
        return None
    limited = f" (a quota of {quota():g})" if cpus < len(affinity()) else ""
    return (
        f"threads={threads} on {cpus} CPU{'s' * (cpus > 1)}{limited}: threads wait for each other. threads={cpus} is "
        "faster"
    )
