"""What a server is told, once: by `conf/serve.yaml`, from Python, and by the supervisor to each worker."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal, TypeAlias

from millis.cpus import available_cpus
from millis.errors import MillisError
from millis.server.access import LOOPBACK, Secret

SECRET = Secret("MILLIS_SERVER_TOKEN", "a server that others can reach")
Log: TypeAlias = Literal["events", "requests", "texts"]


@dataclass(frozen=True)
class Settings:
    """How artifacts are served.

    Args:
        artifacts: Folders; the first answers where a request names none.
        host: Address to listen on; one that others can reach needs a token.
        port: 0 takes a free one.
        workers: Processes, each with CPUs of its own; None is one for every `threads` CPUs there are.
        threads: Of a worker, for one request's arithmetic.
        trust_code: Whether artifacts of machine code may be loaded.
        deadline_ms: From a request's arrival to its answer, at most; a request may ask for less.
        max_body_bytes: Of a request.
        max_characters: Of a text.
        max_texts: Of one request.
        grace_s: For what is being answered when the server is to end.
        log: What is said on standard error, a JSON object a line: events alone, a line for each request, or with texts.
    """

    artifacts: tuple[str, ...]
    host: str = "127.0.0.1"
    port: int = 7332
    workers: int | None = None
    threads: int = 1
    trust_code: bool = False
    deadline_ms: float = 1000.0
    max_body_bytes: int = 1 << 20
    max_characters: int = 100_000
    max_texts: int = 256
    grace_s: float = 10.0
    log: Log = "requests"

    def __post_init__(self) -> None:
        if not self.artifacts:
            raise MillisError("a server needs an artifact: say artifact=FOLDER, or artifact=[FOLDER,FOLDER]")
        for name in ("workers", "threads"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise MillisError(f"{name}={value}: expected 1 or more")
        if not self.deadline_ms or not 0 < self.deadline_ms < inf:  # a config may say null, as for predict
            raise MillisError(f"deadline_ms={self.deadline_ms}: expected a positive number of milliseconds")
        self.folders  # noqa: B018 names that are the same twice are found here

    @property
    def folders(self) -> dict[str, Path]:
        """The artifacts by the name that requests give: their folders' names.

        Raises:
            MillisError: two folders of one name.
        """
        found: dict[str, Path] = {}
        for path in map(Path, self.artifacts):
            name = path.absolute().name
            if name in found:
                raise MillisError(
                    f"{found[name]} and {path} are both called {name!r}, by which requests name them: rename one, or "
                    "serve it under a link of another name"
                )
            found[name] = path.absolute()
        return found

    @property
    def is_private(self) -> bool:
        """Whether this machine alone can reach it."""
        return self.host in LOOPBACK

    def shares(self) -> list[list[int]]:
        """The CPUs of each worker, `threads` of them as far as they last; empty lists where the system cannot pin.

        Raises:
            MillisError: more workers than there are CPUs for.
        """
        cpus = available_cpus()
        most = max(1, len(cpus) // self.threads)
        workers = most if self.workers is None else self.workers
        if cpus and workers > most:
            raise MillisError(
                f"workers={workers} of threads={self.threads} need {workers * self.threads} CPUs, and there are "
                f"{len(cpus)}: they would wait for each other. Say workers={most}"
            )
        return [cpus[i * self.threads : (i + 1) * self.threads] or cpus for i in range(workers)]
