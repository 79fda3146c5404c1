"""Files that were sent to an agent, kept under their SHA-256: the reference and its tokenizer travel once.

What is used least recently makes room for what comes; what a waiting request needs stays.
"""

import asyncio
import hashlib
import os
import re
import tempfile
from collections import Counter
from collections.abc import AsyncIterable, Iterable
from pathlib import Path
from threading import Lock
from typing import IO

from millis.errors import MillisError

SHA256 = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """A folder of files named by their checksums.

    Args:
        folder: Existing, and nobody else's.
        capacity_bytes: Most that all files may take together.
    """

    def __init__(self, folder: Path, capacity_bytes: int) -> None:
        self.folder, self.capacity_bytes = folder, capacity_bytes
        self._sizes: dict[str, int] = {}  # least recently used first
        self._held: Counter[str] = Counter()
        self._lock = Lock()

    async def receive(self, name: str, chunks: AsyncIterable[bytes], size: int) -> None:
        """Keep `chunks`, `size` bytes together, as `name`.

        Raises:
            MillisError: a name that is no SHA-256, bytes that are not the ones it names, or no room for them.
        """
        if not SHA256.fullmatch(name):
            raise MillisError(f"a file is sent under its SHA-256, 64 hexadecimal digits; got {name[:80]!r}")
        handle, temporary = tempfile.mkstemp(dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                found = await _write(chunks, file)
            if found != name:
                raise MillisError(
                    f"the bytes sent as {name} have SHA-256 {found}: they changed or broke off on the way"
                )
            with self._lock:
                if name not in self._sizes:  # else it stays the same file: it may be being placed just now
                    self._make_room(size)
                    Path(temporary).replace(self.folder / name)
                self._sizes[name] = self._sizes.pop(name, size)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def hold(self, names: Iterable[str]) -> list[str]:
        """Keep `names` until they are released; or, where some are missing, hold none and return those.

        Those that are here are the most recently used now: what comes next displaces others first.
        """
        wanted = set(names)
        with self._lock:
            missing = wanted - set(self._sizes)
            for name in wanted - missing:
                self._sizes[name] = self._sizes.pop(name)
            if not missing:
                self._held.update(wanted)
        return sorted(missing)

    def release(self, names: Iterable[str]) -> None:
        """Undo one `hold`."""
        with self._lock:
            self._held.subtract(set(names))

    def place(self, files: dict[str, str], folder: Path) -> None:
        """Put the blobs of `files` (file name → SHA-256) into `folder`, without copying."""
        for file, name in files.items():
            os.link(self.folder / name, folder / file)

    def read(self, name: str) -> bytes:
        """A blob's bytes."""
        return (self.folder / name).read_bytes()

    def _make_room(self, size: int) -> None:
        spare = [name for name in self._sizes if self._held[name] <= 0]
        while sum(self._sizes.values()) + size > self.capacity_bytes:
            if not spare:
                raise MillisError(
                    f"there is no room for {size} bytes more: the agent keeps {self.capacity_bytes} in all. Raise "
                    "max_kept_bytes there"
                )
            oldest = spare.pop(0)
            del self._sizes[oldest]
            (self.folder / oldest).unlink()


async def _write(chunks: AsyncIterable[bytes], file: IO[bytes]) -> str:
    """Write `chunks`, in a thread, for others are answered meanwhile; their SHA-256."""
    digest = hashlib.sha256()
    async for chunk in chunks:
        digest.update(chunk)
        await asyncio.to_thread(file.write, chunk)
    return digest.hexdigest()
