"""Several processes on one machine that train one model: this one is rank 0, fresh ones follow it.

Lightning's own launchers do not fit a command line that does more than train: one runs the whole command again in every
process (which would wait for the locks that the first one holds, and start Hydra's sweep anew), the other leaves the
trained callbacks in a process that ends. Here rank 0 stays where it is, with its logger and its callbacks, and each
follower is `python -m millis.training.processes`, which is handed the training over a pipe, trains along, and leaves.
"""

import os
import pickle
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment

from millis.errors import MillisError

READY = b"ready\n"
GRACE_S = 60.0  # for a follower that failed to end by itself: it tells why last of all
BROKEN = re.compile("gloo|nccl|peer|socket", re.IGNORECASE)  # in what torch says when one that it waits for is gone
LAST_WORDS = 2000  # characters of a dead follower's to show
ADDRESS = "127.0.0.1"
ADDRESS_VARIABLES = ("MASTER_ADDR", "MASTER_PORT")  # Lightning sets them for torch


class Ranks(ClusterEnvironment):
    """Who this process is among `world` processes that exist already; Lightning starts none.

    Args:
        rank: 0 is the process that began the training.
        world: How many there are.
        port: On the loopback interface, where they meet.
    """

    def __init__(self, rank: int, world: int, port: int) -> None:
        super().__init__()
        self.rank, self.world, self._port = rank, world, port

    @property
    def creates_processes_externally(self) -> bool:
        """They are there."""
        return True

    @property
    def main_address(self) -> str:
        """Of rank 0."""
        return ADDRESS

    @property
    def main_port(self) -> int:
        """Of rank 0."""
        return self._port

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


@contextmanager
def led(world: int, follow: Callable[[Ranks], Any]) -> Iterator[Ranks | None]:
    """Start the followers; train, as the rank that is given, within this. None: there is one process, as ever.

    The cores that torch uses are shared out among the processes meanwhile.

    Args:
        follow: What a follower does with its ranks: a bound method or a partial of importable functions, for it travels
            pickled to a process that this one has just made.

    Raises:
        MillisError: a follower did not start, or ended in the middle; its last words are in the message.
    """
    if world == 1:
        yield None
        return
    port, threads = _free_port(), torch.get_num_threads()
    share = max(1, threads // world)
    followers: list[_Follower] = []
    torch.set_num_threads(share)
    try:
        followers += (_Follower(rank, share) for rank in range(1, world))
        for follower in followers:
            follower.hand(follow, Ranks(follower.rank, world, port))
        for follower in followers:
            follower.expect_ready()
        try:
            yield Ranks(0, world, port)
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
            self._process.stdin.close()

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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def _leave_group() -> None:
    """End the processes' connection, so that the next training may make its own."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    for name in ADDRESS_VARIABLES:
        os.environ.pop(name, None)


def main() -> None:
    """Follow: read the training from standard input, say that it is understood, train along."""
    follow, ranks = pickle.load(sys.stdin.buffer)  # from the parent, through a pipe of its own
    os.write(1, READY)
    os.dup2(2, 1)
    try:
        follow(ranks)
    finally:
        _leave_group()


if __name__ == "__main__":
    main()
