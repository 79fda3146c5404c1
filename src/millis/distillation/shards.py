"""One large output that several workers make together: each claims shards that nobody is at, until all are there.

A claim is a lock on a file, which the operating system drops however its holder ends, so the shard of a killed worker
is made by another. A shard appears by a rename, whole. A worker that is alone makes all of them; one that comes later,
on this machine or another that shares the folder, helps.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from filelock import Timeout
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.store import atomic_file, cached, locked

Parts = Sequence[NDArray[np.generic]]


def made_together(
    target: Path,
    count: int,
    done: Callable[[], bool],
    make: Callable[[int], Parts],
    join: Callable[[Callable[[int], Parts]], None],
) -> None:
    """Return once `done`, after having taken part.

    Args:
        target: What is made; shards lie beside it, in a folder that goes by its name, until it is there.
        count: Number of shards.
        done: Whether the whole lies there.
        make: Shard number → its arrays. They must not depend on who makes them.
        join: Writes the whole, atomically, given a function that reads a shard; called by one worker alone.
    """
    folder = target.with_name(f".{target.name}.shards")
    while not done():
        for shard in range(count):
            _claim(folder, shard, done, make)
        if all(_file(folder, shard).is_file() for shard in range(count)):
            with locked(target):
                if not done():
                    join(lambda shard: _read(_file(folder, shard)))
        else:
            _await(folder, count, target.name, done)
    shutil.rmtree(folder, ignore_errors=True)


def _claim(folder: Path, shard: int, done: Callable[[], bool], make: Callable[[int], Parts]) -> None:
    """Make a shard, unless it is there or somebody is at it."""
    file = _file(folder, shard)
    if file.is_file() or done():
        return
    try:
        with locked(file, at_most_s=0):
            if not (file.is_file() or done()):
                _write(file, make(shard))
    except Timeout:
        pass
    except MillisError:
        if not done():
            raise  # else the folder went meanwhile, for the whole is there


def _await(folder: Path, count: int, name: str, done: Callable[[], bool]) -> None:
    """Wait for a shard that somebody else is at; whether it was finished shows then."""
    if missing := [file for shard in range(count) if not (file := _file(folder, shard)).is_file()]:
        try:
            with locked(missing[0], f"a part of {name}, which another process computes"):
                pass
        except MillisError:
            if not done():
                raise


def _file(folder: Path, shard: int) -> Path:
    return folder / f"{shard}.npz"


def _write(file: Path, parts: Parts) -> None:
    with atomic_file(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, *parts)


def _read(file: Path) -> Parts:
    with cached(file), np.load(file, allow_pickle=False) as found:
        return [found[f"arr_{position}"] for position in range(len(found.files))]
