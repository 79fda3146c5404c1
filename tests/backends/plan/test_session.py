"""What a plan's session refuses."""

import os
import subprocess
import sys

import numpy as np
import pytest
from shaped import signature_of, transformer

from millis.backends.native import FILE_NAME, Native
from millis.backends.plan import file, library
from millis.backends.plan.session import PlanSession
from millis.errors import MillisError
from millis.types import Features

if library.missing():
    pytest.skip(str(library.missing()), allow_module_level=True)


def written(folder):
    model = transformer("bert")
    Native().write(model, folder, signature_of(model), None)
    return file.read(folder / FILE_NAME)


def test_features_of_other_shapes_are_refused(tmp_path):
    native = PlanSession(written(tmp_path))
    ids = np.ones((1, 3), np.int64)
    for mask, types in (
        (np.ones((2000, 3), np.int64), None),
        (np.ones((1, 20), np.int64), None),
        (ids, np.ones((1, 2), np.int64)),
    ):
        with pytest.raises(MillisError, match=r"features have the shapes .* expected all \[B, S\]"):
            native(Features(ids, mask, types))


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="the address sanitizer maps more than any limit")
def test_threads_that_are_not_to_be_had(tmp_path):
    """In a process of its own: its memory is limited."""
    written(tmp_path)
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from millis.backends.plan import file\n"
        "from millis.backends.plan.session import PlanSession\n"
        "from millis.errors import MillisError\n"
        f"mapped = file.read(Path({str(tmp_path / FILE_NAME)!r}))\n"
        "PlanSession(mapped)\n"
        "used = int(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmSize'))) * 1024\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (60 << 20), -1))\n"
        "try:\n    PlanSession(mapped, 64)\n"
        "except MillisError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "backend=native cannot start 64 threads here" in done.stdout
