"""Room for what is made on the way to an artifact, and who is at fault where making it fails: the model or the machine.

Exporters and compilers raise anything, and most of it says that they cannot make what was asked for. A full disk or
memory says nothing about the model: no other exporter, and no other backend, would do better.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from millis.errors import MillisError
from millis.temporaries import private_folder, scratch_folder

FULL = (errno.ENOSPC, errno.EDQUOT)
# As libraries in C++ say it, which raise neither OSError nor MemoryError.
FULL_WORDS = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
MEMORY_WORDS = ("bad_alloc", "can't allocate memory", "not enough memory", "Failed to allocate memory")
GRAPHS = 2  # of a model, at once: the one in fp32, and what is made of it
LEAST = 1_000_000  # bytes: a graph is more than its weights


class MachineFault(MillisError):
    """This machine has no room for what was to be made: another way of making it would not help."""


def fp32_bytes(model: Any) -> int:
    """What the weights of an `nn.Module` take in fp32."""
    return sum(4 * int(tensor.numel()) for tensor in (*model.parameters(), *model.buffers()))


@contextmanager
def scratch(weights_bytes: int) -> Iterator[Path]:
    """Yield a temporary folder, in TMPDIR, for files made of a model whose weights take `weights_bytes`.

    Raises:
        MachineFault: what happens within ends for want of room there or of memory.
    """
    with ExitStack() as stack:
        folder = _entered(stack, weights_bytes)
        try:
            yield folder
        except Exception as error:
            blame_machine(error, weights_bytes)
            raise


def _entered(stack: ExitStack, weights_bytes: int) -> Path:
    """A scratch folder that lasts as long as `stack`."""
    try:
        return stack.enter_context(scratch_folder())
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.filename is None:  # none of the places that Python tries
            raise MachineFault(f"no room in TMPDIR: {error.strerror}. Set TMPDIR to a folder with room") from error
        blame_machine(error, weights_bytes)
        raise


def blame_machine(error: BaseException, weights_bytes: int) -> None:
    """Return if `error` may be the model's fault, or is of a file elsewhere than in TMPDIR.

    Raises:
        MachineFault: memory, or room in TMPDIR, is short.
    """
    if isinstance(error, MachineFault):
        return
    needed = max(LEAST, GRAPHS * weights_bytes)
    megabytes = f"about {needed / 1e6:.0f} MB"
    if _in_chain(error, MemoryError, (errno.ENOMEM,), MEMORY_WORDS):
        raise MachineFault(
            f"not enough memory: needs {megabytes} more than there are. End what else runs here, or use a machine with "
            "more"
        ) from error
    if not is_full(error):
        return
    for place, folder in _places().items():
        if (free := shutil.disk_usage(folder).free) < needed:
            raise MachineFault(
                f"no room in {place}: needs {megabytes}, {free / 1e6:.1f} MB are free. "
                "Free some, or set TMPDIR to a folder on a larger disk"
            ) from error


def _places() -> dict[str, Path]:
    """What scratch folders lie in, and where libraries make files of their own: as a user knows it → folder."""
    own, usual = private_folder(), Path(tempfile.gettempdir())
    places = {f"TMPDIR={usual}": usual}
    return places if own.parent == usual else {f"{own}, which is used in place of TMPDIR={usual}": own, **places}


def is_machines(error: BaseException) -> bool:
    """Whether `error` is of the file system or of memory, so that no other exporter would do better."""
    return (
        isinstance(error, OSError | MachineFault)
        or is_full(error)
        or _in_chain(error, MemoryError, (errno.ENOMEM,), MEMORY_WORDS)
    )


def is_full(error: BaseException) -> bool:
    """Whether a disk without room is behind `error`."""
    return _in_chain(error, (), FULL, FULL_WORDS)


def _in_chain(error: BaseException, kinds: Any, numbers: tuple[int, ...], words: tuple[str, ...]) -> bool:
    """Whether `error`, or what it came of, is one of `kinds`, an OSError of these numbers or says such words."""
    current: BaseException | None = error
    while current is not None:
        numbered = isinstance(current, OSError) and current.errno in numbers
        if isinstance(current, kinds) or numbered or any(word in str(current) for word in words):
            return True
        current = current.__cause__ or current.__context__
    return False
