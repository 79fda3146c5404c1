"""Several processes on one machine that train one model: this one is rank 0, fresh ones follow it.

Lightning's own launchers do not fit a command line that does more than train: one runs the whole command again in every
process (which would wait for the locks that the first one holds, and start Hydra's sweep anew), the other leaves the
trained callbacks in a process that ends. Here rank 0 stays where it is, with its logger and its callbacks, and each
follower is `python -m millis.training.processes`, which is handed the training over a pipe, trains along, and leaves.
"""

import os
import pickle
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy

from millis.errors import MillisError

READY = b"ready\n"
GRACE_S = 60.0  # for a follower that failed to end by itself: it tells why last of all
BROKEN = re.compile("gloo|nccl|peer|socket", re.IGNORECASE)  # in what torch says when one that it waits for is gone
LAST_WORDS = 2000  # characters of a dead follower's to show
MEETING = ".ranks"  # the file through which they find each other
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")  # what gloo and NCCL listen on; else one others can reach
MEET_WITHIN = timedelta(minutes=5)


class Ranks(ClusterEnvironment):
    """Who this process is among `world` processes that exist already; Lightning starts none.

    Args:
        rank: 0 is the process that began the training.
        world: How many there are.
        folder: Where they meet, in a file: a port would be open to whoever reaches the machine.
    """

    def __init__(self, rank: int, world: int, folder: Path) -> None:
        super().__init__()
        self.rank, self.world, self.folder = rank, world, folder

    def strategy(self) -> DDPStrategy:
        """Each process holds the model and takes its share of every batch."""
        return _Strategy(cluster_environment=self, find_unused_parameters=True)

    def meet(self, backend: str) -> None:
        """Connect with the others, over the loopback interface alone."""
        os.environ.update(dict.fromkeys(INTERFACES, LOOPBACK))
        store = torch.distributed.FileStore(str(self.folder / MEETING), self.world)  # type: ignore[attr-defined]
        store.set_timeout(MEET_WITHIN)
        torch.distributed.init_process_group(backend, store=store, rank=self.rank, world_size=self.world)

    @property
    def creates_processes_externally(self) -> bool:
        """They are there."""
        return True

    @property
    def main_address(self) -> str:
        """There is none."""
        return ""

    @property
    def main_port(self) -> int:
        """There is none."""
        return 0

    @staticmethod
    def detect() -> bool:
        """Never guessed from the surroundings: always given."""
        return False

    def world_size(self) -> int:
        """Number of processes."""
        return self.world

    def set_world_size(self, size: int) -> None:
        """It is known."""

    def global_rank(self) -> int:
        """The same as on this machine."""
        return self.rank

    def set_global_rank(self, rank: int) -> None:
        """It is known."""

    def local_rank(self) -> int:
        """Which of the machine's devices is this process's."""
        return self.rank

    def node_rank(self) -> int:
        """There is one machine."""
        return 0


class _Strategy(DDPStrategy):
    """Lightning's, between processes that met by themselves: it would open a port on every interface."""

    def setup_distributed(self) -> None:
        """Meet, then let Lightning find it done."""
        ranks = self.cluster_environment
        assert isinstance(ranks, Ranks)
        ranks.meet("nccl" if self.root_device.type == "cuda" else "gloo")
        super().setup_distributed()


@contextmanager
def led(world: int, follow: Callable[[Ranks], Any], folder: Path) -> Iterator[Ranks | None]:
    """Start the followers; train, as the rank that is given, within this. None: there is one process, as ever.

    The cores that torch uses are shared out among the processes meanwhile.

    Args:
        follow: What a follower does with its ranks: a bound method or a partial of importable functions, for it travels
            pickled to a process that this one has just made.
        folder: Where the processes meet: on this machine, and nobody else's meanwhile.

    Raises:
        MillisError: a follower did not start, or ended in the middle; its last words are in the message.
    """
    if world == 1:
        yield None
        return
    threads = torch.get_num_threads()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MEETING).unlink(missing_ok=True)  # of a run that was killed
    share = max(1, threads // world)
    followers: list[_Follower] = []
    torch.set_num_threads(share)
    try:
        followers += (_Follower(rank, share) for rank in range(1, world))
        for follower in followers:
            follower.hand(follow, Ranks(follower.rank, world, folder))
        for follower in followers:
            follower.expect_ready()
        try:
            yield Ranks(0, world, folder)
        except Exception as error:
            for follower in followers if BROKEN.search(str(error)) else ():
                follower.blame(error)
            raise
    finally:  # rank 0 has everything; a follower that is still tidying up is of no use
        for follower in followers:
            follower.close()
        _leave_group()
        torch.set_num_threads(threads)


class _Follower:
    """A process of another rank. What it prints goes to a file, its last words."""

    def __init__(self, rank: int, threads: int) -> None:
        self.rank = rank
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 closed by `close`
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "OMP_NUM_THREADS": str(threads),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=environment,
            start_new_session=True,  # an interrupt at the keyboard is for rank 0, which ends the others
        )

    def hand(self, follow: Callable[[Ranks], Any], ranks: Ranks) -> None:
        assert self._process.stdin
        with suppress(BrokenPipeError):  # `expect_ready` tells why
            pickle.dump((follow, ranks), self._process.stdin)
            self._process.stdin.flush()  # it stays open: the follower leaves when it closes

    def expect_ready(self) -> None:
        assert self._process.stdout
        if self._process.stdout.readline() != READY:
            raise self._ended("did not start")

    def blame(self, error: Exception) -> None:
        """Raise what this follower died of, if it did."""
        with suppress(subprocess.TimeoutExpired):
            if self._process.wait(GRACE_S):
                raise self._ended("ended in the middle of training") from error

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._said):
            if pipe:
                with suppress(OSError):
                    pipe.close()

    def _ended(self, how: str) -> MillisError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)
        self._said.seek(0)
        words = self._said.read().decode(errors="replace").strip()[-LAST_WORDS:] or "(it said nothing)"
        status = self._process.poll()
        killed = " Signal 9 is most often the system out of memory." if status == -9 else ""
        return MillisError(
            f"training process {self.rank} {how} (status {status}).{killed} trainer.devices=1 needs no other process. "
            f"Its last words:\n{words}"
        )


@dataclass(frozen=True)
class Gathered:
    """Lets the processes of one training share what each has seen.

    Args:
        world: How many there are.
    """

    world: int

    def __call__(self, mine: Any) -> list[Any]:
        """Everybody's, in the order of ranks; all have to ask."""
        if self.world == 1:
            return [mine]
        everyone: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(everyone, mine)
        return everyone


def _leave_group() -> None:
    """End the processes' connection, so that the next training may make its own."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    for name in INTERFACES:
        os.environ.pop(name, None)


def _leave_with_parent() -> None:
    """End this process when the one that it follows is gone, however that ended."""
    os.read(0, 1)
    os._exit(1)


def main() -> None:
    """Follow: read the training from standard input, say that it is understood, train along."""
    follow, ranks = pickle.load(sys.stdin.buffer)  # from the parent, through a pipe of its own
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    os.write(1, READY)
    os.dup2(2, 1)
    try:
        follow(ranks)
    finally:
        _leave_group()


if __name__ == "__main__":
    main()
