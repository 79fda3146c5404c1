"""What a task is: how a model's outputs become the answer that a request gets.

One task a file, a frozen dataclass found by the file's name. An artifact carries what `described` gives, and
`millis.tasks.read` makes the task of it again. NumPy alone: a task runs where requests are answered. No code outside
this package looks at a task's name.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from millis.data.dataset import Dataset
from millis.data.references import References
from millis.errors import MillisError
from millis.metrics.contract import AnyMetric
from millis.types import Output, Outputs

SHOWN = 3  # names in a summary
NEAR = 0.05  # of the deviation of numbers over the texts
LEARNED = {"learned": True, "described": False}  # metadata of a task's fields that data give, and no config


def check_length(max_length: int) -> None:
    """Refuse a longest sequence without room for a token.

    Raises:
        MillisError: as said.
    """
    if max_length < 3:
        raise MillisError(f"task.max_length={max_length}: expected at least 3 (a token between two special ones)")


def check_names(what: str, names: Sequence[str]) -> None:
    """Refuse names of which one stands twice.

    Args:
        what: They are.

    Raises:
        MillisError: as said.
    """
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise MillisError(f"{what} has {twice[0]!r} twice: expected names that differ")


def few(names: Sequence[str]) -> str:
    """The first of many names."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


class Answer(Protocol):
    """What a request gets: a NamedTuple in its task's own file."""

    @property
    def text(self) -> str:
        """For people."""
        ...

    def value(self) -> Any:
        """JSON-able: what records hold."""
        ...


class Prompting(Protocol):
    """A task whose models write.

    One that is `judged_as_written` also has `while_training(answers)`: a quality of which more is better, of
    (nats, tokens) [N].
    """

    def prompt(self, text: Any) -> Any:
        """What a user would send of a text of the data, for a model to go on from."""
        ...

    def framed(self, text: str) -> str:
        """A request as a model reads it."""
        ...


class Carried(NamedTuple):
    """What an artifact holds of a task in a file of its own, for it is more than names.

    Args:
        arrays: By name; nothing where the manifest has it all.
        notes: What a reader of a record should know of them, a sentence each.
    """

    arrays: Mapping[str, NDArray[Any]] = {}
    notes: tuple[str, ...] = ()


NOTHING = Carried()


class InManifest:
    """Tasks of which the manifest has it all."""

    def carried(self, cache: Path) -> Carried:
        """Nothing."""
        return NOTHING

    def carrying(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The task itself."""
        return self


class InOnePass:
    """Tasks whose metrics judge what one pass over a text gives."""

    judged_as_written: ClassVar[bool] = False


class EachText(InManifest, InOnePass):
    """Tasks whose answers are judged a text at a time."""

    def items(
        self, answers: Sequence[Any], right: Sequence[Any], references: Sequence[Any]
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """The answers and what is right, as they are."""
        return answers, right

    def same(self, ours: Sequence[Any], theirs: Sequence[Any]) -> list[bool]:
        """Those that are equal."""
        return [one == other for one, other in zip(ours, theirs, strict=True)]


class Numeric:
    """Tasks whose answers are numbers."""

    def same(self, ours: Sequence[Any], theirs: Sequence[Any]) -> list[bool]:
        """Those that differ by a twentieth of the others' deviation at most."""
        near = NEAR * float(np.std(theirs))
        return [abs(one - other) <= near for one, other in zip(ours, theirs, strict=True)]


class Task(Protocol):
    """What is predicted, and how it is judged.

    Args:
        name: Of the task's file.
        judged_as_written: Whether metrics judge what a model writes; else what one pass over a text gives.
        reads_offsets: Whether `answer` needs to know where in the text each token stands, which takes 7 µs a request.
        metric: The quality metric: models are selected, compared and reported by it.
        also: Metrics reported beside it.
        max_length: Longest token sequence; longer texts are truncated and counted.
    """

    name: ClassVar[str]
    judged_as_written: ClassVar[bool]
    reads_offsets: ClassVar[bool]

    @property
    def metric(self) -> str: ...

    @property
    def also(self) -> Sequence[str]: ...

    @property
    def max_length(self) -> int: ...

    @property
    def references(self) -> References:
        """What is read from data beside the texts; hashable."""
        ...

    def learned(self, dataset: Dataset, cache: Path | None = None) -> Self:
        """The task with what only the data tells, such as the names of labels.

        Args:
            cache: Folder where what takes long is kept; None keeps nothing.

        Raises:
            MillisError: a metric does not exist or cannot work with this data.
        """
        ...

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What a model gives."""
        ...

    @property
    def summary(self) -> str:
        """What it answers, in a few words: `3 labels (no, yes, perhaps)`."""
        ...

    def described(self) -> dict[str, Any]:
        """JSON-able; equal where two tasks give the same answers, however they are judged."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """Of `described`, what two tasks share whose answers can be compared."""
        ...

    def carried(self, cache: Path) -> Carried:
        """What an artifact holds of the task beside `described`.

        Args:
            cache: Folder where what takes long is kept.
        """
        ...

    def carrying(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The task that an artifact's manifest and `arrays` make, so that it can answer.

        Raises:
            MillisError: arrays of another task, or such as are damaged.
        """
        ...

    def answer(self, outputs: Outputs, encoding: Any) -> Answer:
        """The answer to one request.

        Args:
            outputs: One array for each of `outputs`, of one row.
            encoding: The request's tokens.
        """
        ...

    def items(
        self, answers: Sequence[Any], right: Sequence[Any], references: Sequence[Any]
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """What metrics judge: texts (`EachText`), or several of them together, such as the candidates of a query.

        Args:
            answers: To the texts of a split, in its order, [N].
            right: What each should be, [N]: a reference or, while a model trains, what it learns.
            references: Of the split, [N].

        Returns:
            Answers and what is right, an item each (`millis.metrics.contract`).
        """
        ...

    def same(self, ours: Sequence[Any], theirs: Sequence[Any]) -> list[bool]:
        """Which of two models' answers to the same texts are the same, by their values, [N].

        Args:
            ours, theirs: [N].
        """
        ...

    def metrics(self) -> dict[str, AnyMetric]:
        """Every metric of the task, by name."""
        ...
