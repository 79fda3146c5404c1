"""Axes and protocols: the words that every other file is spelled with.

Axes (used in shapes everywhere):
    N texts in a split    B batch    S sequence (tokens)    D hidden    L layers
    H heads    F feed-forward    C classes    V vocabulary    R rounds of a benchmark
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Text: TypeAlias = str | tuple[str, str]
"""What a request carries: one text, or a pair."""

Per: TypeAlias = Literal["text", "token"]
"""What an output has a row of logits for: a text, [B, C], or each of its input tokens, [B, S, C]."""

Choice: TypeAlias = Literal["one", "each", "value", "vector", "next"]
"""What a row of C logits says: one of C categories (softmax), which of them (a sigmoid each), C numbers, a vector,
whose direction alone counts, or which token of the vocabulary comes next (softmax)."""

Outputs: TypeAlias = tuple[NDArray[np.float32], ...]
"""What a model gives: one array of logits for each `Output` of its signature."""


def parts_of(text: Text) -> tuple[str, ...]:
    """The text alone, or both of a pair."""
    return (text,) if isinstance(text, str) else text


class Output(NamedTuple):
    """One group of logits that a model gives and a graph names.

    Args:
        name: In a graph.
        per: What has a row of logits.
        width: C; of a task 0 where it is the size of the model's vocabulary, which data do not tell.
        choice: What a row says.
        weight: Of its loss beside those of other outputs, in training.
    """

    name: str
    per: Per
    width: int
    choice: Choice = "one"
    weight: float = 1.0


class Signature(NamedTuple):
    """What goes into a model and what comes out, in order: all that backends know of a task.

    A module of one output returns its tensor, a module of several returns a tuple.
    """

    inputs: tuple[str, ...]
    outputs: tuple[Output, ...]


class Features(NamedTuple):
    """One tokenised request or padded batch. `token_types` is None where the model takes one text only."""

    ids: NDArray[np.int64]  # [B, S]
    mask: NDArray[np.int64]  # [B, S], 1 = token, 0 = padding
    token_types: NDArray[np.int64] | None  # [B, S]


class Timed(NamedTuple):
    """An answer to a request with a deadline.

    Args:
        answer: As without one (`millis.tasks.contract.Answer`).
        step, steps: How many of how many steps were computed; both 1 where a model answers in one piece.
        elapsed_ms: From text to answer.
        kept: Whether `elapsed_ms` is within the deadline.
        stage_ms: Where they went: the runner's stages by name.
    """

    answer: Any
    step: int
    steps: int
    elapsed_ms: float
    kept: bool
    stage_ms: Mapping[str, float] = {}


class Answered(NamedTuple):
    """What a session that may stop early gives: its outputs, and how many of its steps each row took."""

    outputs: Outputs
    steps: NDArray[np.int64]  # [B], 1 or more


Stage: TypeAlias = tuple[str, Callable[[Any], Any]]
"""A part of what a request passes through, by name: it takes what the part before returned."""


class Session(Protocol):
    """Weights loaded on a backend: features in, logits out. Holds no text logic. May be called from several threads."""

    def __call__(self, features: Features) -> Outputs: ...


class Continuation(Protocol):
    """One text that is being written: the tokens read so far, and what attention keeps of them (keys and values)."""

    @property
    def length(self) -> int:
        """How many tokens were read."""
        ...

    def read(self, tokens: NDArray[np.int64], every: bool = False) -> NDArray[np.float32]:
        """Append tokens [K], K at least 1, and say what comes next; a prompt is read by itself, for an encoder-decoder
        takes it apart.

        Args:
            every: Whether to return logits after each of them, [K, V], or after the last alone, [1, V].

        Raises:
            MillisError: more tokens than there is room for.
        """
        ...

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens, `length` at most what it is."""
        ...


class Decoder(Session, Protocol):
    """A session that also writes token by token. Called as a session it gives the logits of all positions at once."""

    def begin(self, room: int) -> Continuation:
        """An empty continuation with room for so many tokens, those of the prompt included."""
        ...


class Search(NamedTuple):
    """How a text is searched for.

    Args:
        width: Texts that are followed at once; with 1 the likeliest token is taken every time.
        length_penalty: α of log p / length^α, by which they are compared.
        most, least: Tokens, the end counted; none ends before it has `least`.
    """

    width: int
    length_penalty: float
    most: int
    least: int


class Searching(Decoder, Protocol):
    """A decoder whose engine chooses tokens by itself."""

    def search(self, prompt: NDArray[np.int64], search: Search) -> Iterator[int]:
        """The tokens behind a prompt [S], its end not among them; with one beam each as soon as it is chosen."""
        ...


class Stepwise(Session, Protocol):
    """A session of several steps that may answer after any of them: segments with exits, or ever larger models."""

    @property
    def steps(self) -> Sequence[Any]:
        """The steps, first to last."""
        ...

    @property
    def knows_times(self) -> bool:
        """Whether deadlines can be kept already."""
        ...

    def learn_times(self, examples: Sequence[Features]) -> None:
        """Measure the steps on requests [1, S], S ascending."""
        ...

    def answer(self, features: Features, until_ns: int | None = None) -> Answered:
        """Outputs and steps [B]; no step begins that would end after `until_ns` (`time.perf_counter_ns`)."""
        ...


class Backend(Protocol):
    """One runtime a file in `millis.backends`; the file's name is the backend's name in a manifest.

    A frozen dataclass; its fields, JSON-able, are the runtime's options. The file also has
    `load(folder: Path, manifest: Manifest, threads: int) -> Session`.

    One that writes token by token (`millis.traits.WRITES`) loads a `Decoder`.

    One that can run a model with exits in segments also has `write_segments`, with arguments and result as `write`, and
    in its file `load_segments(folder, manifest, threads)`, which returns the segments, first to last, each a
    `millis.serving.stepwise.Step`.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    name: str

    def missing(self) -> str | None:
        """What has to be installed before this machine can write and load for this runtime; None where nothing has."""
        ...

    def write(
        self,
        model: Any,
        folder: Path,
        signature: Signature,
        quantization: Any | None,
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write `model`'s weights for this runtime into the existing folder `folder`.

        Args:
            calibration: Texts that quantization finds ranges on, where it needs them (`Quantization.calibrates`).

        Returns:
            What a reader of the record should know of how it was quantized, a sentence each.
        """
        ...


class Imitable(Backend, Protocol):
    """A backend whose integers training can imitate (`millis.traits.IMITABLE`)."""

    def arithmetic(self, quantization: Any) -> Any:
        """What it computes for a `Quantization`: a `millis.quantization.arithmetic.Arithmetic`."""
        ...


@runtime_checkable
class Archivable(Backend, Protocol):
    """A backend that can also read its weights from an archive (`millis.storage.archived`)."""

    def take_apart(self, folder: Path) -> dict[str, NDArray[Any]]:
        """Files of `folder` that `write` left: each one's bytes without its weights under the file's name, where it has
        any, and its weights under `<file>#<name>`."""
        ...
