"""What the compiled part is made of, as a number: it is built with it, and held against it where the sources are.

Nothing of millis is imported here: `native/build.py` runs this file before there is a millis.
"""

import hashlib
from pathlib import Path


def fingerprint(folder: Path) -> int:
    """63 bits over the C++ files in `folder`."""
    files = sorted(path for kind in ("*.h", "*.cpp") for path in folder.glob(kind))
    said = b"".join(path.name.encode() + path.read_bytes() for path in files)
    return int.from_bytes(hashlib.sha256(said).digest()[:8], "big") >> 1
