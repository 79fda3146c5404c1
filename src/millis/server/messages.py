"""What requests and answers are, as JSON: annotations that bodies are held against and that the API's page shows."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

Input = Annotated[
    str | tuple[str, str], Meta(description="A text; or a pair of texts, for artifacts that answer pairs.")
]
Milliseconds = Annotated[float, Meta(gt=0, description="From the request's arrival to its answer.")]
Named = Annotated[str, Meta(description="Which artifact answers; the first one where none is named.")]


class Question(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A text, or several."""

    text: Input | None = None
    texts: list[Input] | None = None
    artifact: Named | None = None
    deadline_ms: Milliseconds | None = None
    state: Annotated[
        dict[str, Any] | None, Meta(description="Of an application: what its last answer gave as `state`; with `text`.")
    ] = None


class Prompt(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A text that is answered with text, which comes while it is written."""

    text: Annotated[str, Meta(description="What is written on from, or what is answered.")]
    artifact: Named | None = None
    deadline_ms: Milliseconds | None = None
    state: Annotated[dict[str, Any] | None, Meta(description="As of a question.")] = None


class Answer(Struct, omit_defaults=True):
    """What comes of a text."""

    answer: Annotated[Any, Meta(description="As the artifact's task says: a label, tags, spans, entries, a text.")]
    text: Annotated[str, Meta(description="The answer for people to read.")]
    elapsed_ms: Annotated[float, Meta(description="From the request's arrival to this answer.")]
    stage_ms: Annotated[
        dict[str, float], Meta(description="Where it went: `wait` before a worker computed, then the runner's stages.")
    ]
    kept: Annotated[bool, Meta(description="Whether the deadline was kept.")]
    step: Annotated[int, Meta(description="After how many of the model's steps it is.")]
    steps: int


class Answers(Struct):
    """What comes of several texts, in their order."""

    answers: list[Answer]


class Fault(Struct):
    """Why there is no answer, in a sentence."""

    error: str


class Served(Struct):
    """An artifact that answers."""

    name: Annotated[str, Meta(description="By which requests choose it.")]
    model: str
    backend: str
    answers: Annotated[str, Meta(description="What it answers.")]
    writes: Annotated[bool, Meta(description="Whether it answers with text, token by token.")]
    pairs: Annotated[bool, Meta(description="Whether it may be asked about pairs of texts.")]
    state: Annotated[bool, Meta(description="Whether a request may bring a state.")]
    size_bytes: int
    fingerprint: Annotated[str, Meta(description="Of what it was made of.")]
    service_ms: Annotated[float, Meta(description="What a request takes, as measured here.")]


def jsonable(answer: Any) -> Any:
    """An answer of a task (`millis.tasks.contract.Answer`) with the names of its fields."""
    if isinstance(answer, tuple) and hasattr(answer, "_fields"):
        return {name: jsonable(value) for name, value in zip(answer._fields, answer, strict=True)}
    if isinstance(answer, tuple | list):
        return [jsonable(one) for one in answer]
    return answer


def _plain(value: Any) -> Any:
    """A number of NumPy's as one of Python's."""
    return value.item()


encode = msgspec.json.Encoder(enc_hook=_plain).encode
