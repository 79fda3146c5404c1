"""A folder of temporary files that does not outlive its process: one that was killed is tidied after by the next.

Whoever keeps the lock on a folder drops it however the process ends, so what is not locked belongs to nobody. What is
to be removed lies in `content`, which is made once the lock is held: a folder without it is only just being made.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def own_folder(prefix: str) -> Iterator[Path]:
    """Yield an empty folder in the system's temporary one, and remove it afterwards.

    Those with the same `prefix` whose processes were killed are removed first.
    """
    _remove_abandoned(prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    with FileLock(folder / "lock"):
        try:
            (content := folder / "content").mkdir()
            yield content
        finally:
            shutil.rmtree(folder)


def _remove_abandoned(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        # Another user's is not ours to touch, nor what a link of another user's leads to.
        with suppress(OSError, Timeout):
            if folder.lstat().st_uid == getattr(os, "getuid", int)() and (folder / "content").is_dir():
                with FileLock(folder / "lock", timeout=0):
                    shutil.rmtree(folder)
