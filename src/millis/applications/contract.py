"""What an application is: parts, steps that compose them into one answer, and measures of its own.

A part is an artifact that the pipeline made, loaded (`millis.serving.one_pass.Runner`), or anything that lies in the
application's folder. The steps are what a request pays for and what is timed: `ApplicationRunner.predict` is their
composition. An application keeps nothing of a request; what a conversation has said comes in and goes out as `state`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

from millis.applications.measure import Measure
from millis.errors import MillisError
from millis.serving.one_pass import Runner
from millis.types import Stage

Asked: TypeAlias = str | tuple[str, Mapping[str, Any]]
"""What a caller gives: a text, or a text with a state."""

Row: TypeAlias = Mapping[str, Any]
"""What an application is judged on: a line of JSON in its corpus."""


class Request(NamedTuple):
    """What the first step takes.

    Args:
        text: As it was sent; it may be empty.
        state: The application's `State`, or None where none was sent.
        until_ns: Reading of `perf_counter_ns` by which to be done, for steps that may do less; None where no deadline
            was given.
        say: Of an application that `writes`: called with each piece of the answer as soon as it is final, from the
            thread that asks; where it returns False, nobody reads on, and no more is done. None where nobody listens.
    """

    text: str
    state: Any = None
    until_ns: int | None = None
    say: Callable[[str], bool] | None = None


class Application(Protocol):
    """Answers, as the folder of an application says."""

    State: ClassVar[Any]
    """What requests may bring beside a text: the dataclass that it is held against; None takes nothing."""

    writes: ClassVar[bool]
    """Whether its answer is a text that comes in pieces (`Request.say`)."""

    @property
    def word(self) -> str:
        """What a server fills requests with before the first one comes, of a language that is answered."""
        ...

    @property
    def summary(self) -> str:
        """What it answers, in a few words."""
        ...

    @property
    def steps(self) -> Sequence[Stage]:
        """What a request passes through, by name: the first takes a `Request`, each other what the one before returned,
        and the last returns the answer, as of a task (`millis.tasks.contract.Answer`). One that keeps state returns it
        in a field `state` of its answers."""
        ...

    def judge(self, rows: Sequence[Row]) -> Sequence[Measure]:
        """How good the answers to rows of the corpus are, end to end; the first measure steers."""
        ...


class Spreading(Application, Protocol):
    """An application that has several things of one request answered beside each other.

    The module that answers names the part that is asked for them as `SPREAD`.
    """

    def spread(self, runners: Sequence[Runner]) -> None:
        """Ask these as well as the part: of the same artifact, a thread each."""
        ...


class Plan(Protocol):
    """How an application is built: a frozen dataclass that `conf/app/` makes.

    Args:
        kind: The name of the package.
        name: Of the folders that it is built in.
        parts: Of each part, how `millis compress` makes it: overrides, such as `student=static`.
    """

    kind: ClassVar[str]

    @property
    def parts(self) -> Mapping[str, Sequence[str]]: ...

    @property
    def name(self) -> str: ...

    def write_corpus(self, folder: Path) -> None:
        """Write the corpus that ships with it into an empty folder, in the layout that one's own data has."""
        ...

    def check(self, corpus: Path) -> None:
        """Refuse a corpus that is not laid out so, before anything is trained.

        Raises:
            MillisError: as said.
        """
        ...

    def prepare(self, corpus: Path, folder: Path) -> None:
        """Write what parts read, where it does not lie in the corpus as they read it, into an empty folder."""
        ...

    def inputs(self, corpus: Path, folder: Path) -> Mapping[str, Sequence[str]]:
        """Of each part, the overrides that name its task and its data: in the corpus, or in the folder of `prepare`."""
        ...

    def settle(self, corpus: Path, parts: Mapping[str, Runner], folder: Path) -> Mapping[str, Any]:
        """What is chosen when the parts are trained, such as thresholds on validation rows; and files of its own.

        Args:
            corpus: Where the data is.
            parts: Trained.
            folder: Of the application, for further files.

        Returns:
            The application's settings, JSON-able.
        """
        ...

    def rows(self, corpus: Path) -> Sequence[Row]:
        """The test rows, for `Application.judge`."""
        ...

    def requests(self, rows: Sequence[Row]) -> Sequence[Asked]:
        """What is timed of the test rows."""
        ...


def said(request: Request) -> str:
    """The text of a request.

    Raises:
        MillisError: there is none.
    """
    if not request.text or request.text.isspace():
        raise MillisError("the text is empty: expected what somebody says")
    return request.text


def given(key: str, path: Path) -> str:
    """An override that names a path, in quotes."""
    quoted = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}="{quoted}"'
