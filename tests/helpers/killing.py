"""A process that dies at a chosen file operation: from there on nothing is renamed or removed under a folder."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

OPERATIONS = {"os.rename", "os.remove", "os.rmdir"}
_living = []


class Killed(BaseException):
    """Nothing catches it, and what would clean up after it is killed as well."""


class Life:
    """So many file operations under `folder`; `seen` are those that were done."""

    def __init__(self, folder, left):
        self.folder, self.left, self.seen = str(folder), left, []

    def spend(self, event, path):
        if path.startswith(self.folder):
            if len(self.seen) >= self.left:
                raise Killed
            self.seen.append(f"{event} {path}")


def _audit(event, arguments):
    if _living and event in OPERATIONS:
        path, folder = os.fsdecode(arguments[0]), arguments[-1]
        if event != "os.rename" and isinstance(folder, int) and folder >= 0:  # as `shutil.rmtree` goes about it
            path = str(Path(f"/proc/self/fd/{folder}").readlink() / path)
        _living[0].spend(event, path)


sys.addaudithook(_audit)


@contextmanager
def lived(folder, left=float("inf")):
    """Die at the operation that comes after `left` others."""
    _living.append(Life(folder, left))
    try:
        yield _living[0]
    finally:
        _living.clear()
