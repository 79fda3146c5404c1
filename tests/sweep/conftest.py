"""A PostgreSQL of the tests' own, in a temporary folder, reached through a socket there."""

import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

DEBIAN = "/usr/lib/postgresql/*/bin"  # where Debian's package leaves what only administrators call


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of an empty database."""
    pytest.importorskip("psycopg")
    places = os.pathsep.join([os.environ["PATH"], *sorted(glob.glob(DEBIAN), reverse=True)])  # noqa: PTH207
    initdb, control = (shutil.which(name, path=places) for name in ("initdb", "pg_ctl"))
    if initdb is None or control is None:
        pytest.skip("PostgreSQL is not installed: there is no initdb and pg_ctl")
    folder = Path(tempfile.mkdtemp(prefix="millis-pg-"))  # short: a socket's path has at most 107 characters
    who = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        try:
            shutil.chown(folder, "postgres", "postgres")
        except LookupError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        who = {"user": "postgres", "group": "postgres"}

    def call(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=120, **who)

    data, log = str(folder / "data"), str(folder / "log")
    try:
        call(initdb, "-D", data, "-U", "millis", "-A", "trust", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        call(control, "-D", data, "-l", log, "-o", options, "-w", "start")
        yield f"postgresql://millis@/postgres?host={folder}"
        call(control, "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
