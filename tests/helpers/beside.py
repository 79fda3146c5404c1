"""Importing this gives each of the processes that run tests beside each other a CPU and temporaries of its own.

Else one that measures would wait for another that does (a machine measures one thing at a time), and both would be
timed on the last CPU.
"""

import getpass
import os
import shutil
import tempfile
from multiprocessing.util import Finalize

NAME = os.environ.get("PYTEST_XDIST_WORKER", "")  # gw0, gw1, ...

if NAME:
    # What g++ was asked once is known to all of them.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", f"{tempfile.gettempdir()}/torchinductor_{getpass.getuser()}")
    os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix=f"millis-tests-{NAME}-")
    Finalize(None, shutil.rmtree, (tempfile.tempdir, True), exitpriority=-200)  # after what of multiprocessing is in it
    os.chmod(tempfile.tempdir, 0o755)  # noqa: PTH101 - a server of tests may run as another user
    if hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cpus[int(NAME.removeprefix("gw")) % len(cpus)]})
