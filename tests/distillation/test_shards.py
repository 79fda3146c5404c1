"""Workers that make one thing together: all of it, nothing twice, and what a killed one was at is made by another."""

import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import millis
from millis.distillation.shards import made_together
from millis.errors import MillisError

COUNT = 12


def take_part(target, begin, count=COUNT):
    """Make the file `target`, the squares of 0 ... 2 · count - 1, two a shard; `begin` is told each shard."""

    def make(shard):
        begin(shard)
        return [np.array([2 * shard, 2 * shard + 1]) ** 2]

    def join(read):
        assert not target.is_file()
        np.save(target, np.concatenate([read(shard)[0] for shard in range(count)]))

    made_together(target, count, target.is_file, make, join)


# Hangs in shard 3 where it is asked to, and writes down which shards it makes.
WORKER = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_shards import take_part
def begin(shard):
    with open(f"{os.getpid()}.log", "a") as log:
        log.write(f"{shard} ")
    if shard == 3 and sys.argv[2] == "hangs":
        Path("hangs").touch()
        time.sleep(600)
    time.sleep(0.02)
take_part(Path("squares.npy"), begin)
"""


def start(folder, how):
    environment = {**os.environ, "PYTHONPATH": str(Path(millis.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(Path(__file__).parent), how], cwd=folder, env=environment
    )


def test_a_killed_workers_shard_is_made_by_another(tmp_path):
    doomed = start(tmp_path, "hangs")
    while not (tmp_path / "hangs").exists():
        assert doomed.poll() is None
        time.sleep(0.02)
    others = [start(tmp_path, "works") for _ in range(2)]
    while len(list((tmp_path / ".squares.npy.shards").glob("*.npz"))) < COUNT - 1:  # all but the one that is held
        assert [other.poll() for other in others] == [None, None]
        time.sleep(0.02)
    assert not (tmp_path / "squares.npy").exists()
    doomed.kill()
    doomed.wait()
    assert [other.wait(timeout=60) for other in others] == [0, 0]
    assert np.load(tmp_path / "squares.npy").tolist() == [number**2 for number in range(2 * COUNT)]
    made = [int(shard) for log in tmp_path.glob("*.log") for shard in log.read_text().split()]
    assert sorted(made) == sorted([*range(COUNT), 3]), "only the killed one's was made twice"
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_many_at_once_make_each_shard_once(tmp_path):
    made = []

    def begin(shard):
        made.append(shard)
        time.sleep(0.002)

    threads = [Thread(target=take_part, args=(tmp_path / "squares.npy", begin)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert sorted(made) == list(range(COUNT))
    assert np.load(tmp_path / "squares.npy").tolist() == [number**2 for number in range(2 * COUNT)]


def test_one_that_comes_late_does_nothing(tmp_path):
    take_part(tmp_path / "squares.npy", lambda shard: None)
    take_part(tmp_path / "squares.npy", lambda shard: pytest.fail("it is there"))


def test_a_fault_ends_one_worker_and_its_shard_is_free(tmp_path):
    def refuse(shard):
        if shard == 5:
            raise MillisError("not this one")

    with pytest.raises(MillisError, match="not this one"):
        take_part(tmp_path / "squares.npy", refuse)
    made = []
    take_part(tmp_path / "squares.npy", made.append)
    assert made == list(range(5, COUNT))
