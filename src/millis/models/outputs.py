"""What a model gives, and the JSON of it: torch-free, for manifests are held against it.

In JSON a spec has `num_labels` C where the model chooses one of C labels a text, as classifiers do; else `outputs`, a
list of [name, "text" or "token", C, what a row says] (`millis.types.Choice`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from millis import schema
from millis.errors import MillisError
from millis.schema import Count
from millis.types import Choice, Output, Per

CHOICES = {"each": "several labels a text", "value": "a number", "vector": "a vector", "next": "the next token"}
REPLY = "reply"  # the output of a model that reads one text and writes another
LOGITS = "logits"  # the output of a model that chooses one label a text
WORDS: dict[Per | Choice, str] = {
    "text": "a text as a whole", "token": "each word of a text", "next": "what comes next in a text"
}  # fmt: skip


class _Said(TypedDict, total=False):
    """One of them."""

    num_labels: Count
    outputs: list[tuple[str, Per, Count, Choice]]


def read(values: Mapping[str, Any], within: str = "") -> tuple[Output, ...]:
    """The outputs that a spec in JSON says, in order.

    Args:
        within: Where `values` stand, for messages.

    Raises:
        MillisError: none, or none of this form.
    """
    said = schema.checked(dict(values), _Said, within)
    if "outputs" in said:
        return tuple(Output(*output) for output in said["outputs"])
    if "num_labels" in said:
        return (Output(LOGITS, "text", said["num_labels"]),)
    raise MillisError(f"{within or 'the spec'} has neither num_labels nor outputs: what the model gives is not known")


def described(outputs: Sequence[Output]) -> dict[str, Any]:
    """The part of a spec in JSON that says them."""
    if is_one_text(outputs):
        return {"num_labels": outputs[0].width}
    return {"outputs": [list(output[:4]) for output in outputs]}


def plain(outputs: Sequence[Output]) -> tuple[Output, ...]:
    """A task's outputs as a spec has them: without weights of losses, a classifier's by its usual name."""
    return read(described(outputs))


def writes(outputs: Sequence[Output]) -> bool:
    """Whether a model says which token comes next, so that it can write."""
    return [output.choice for output in outputs] == ["next"]


def replies(outputs: Sequence[Output]) -> bool:
    """Whether a model reads one text and writes another: its tokenizer has to tell them apart."""
    return writes(outputs) and outputs[0].name == REPLY


def over(outputs: Sequence[Output], vocabulary: int) -> tuple[Output, ...]:
    """A task's outputs of a model whose vocabulary has so many tokens."""
    return tuple(output._replace(width=vocabulary) if output.choice == "next" else output for output in outputs)


def is_one_text(outputs: Sequence[Output]) -> bool:
    """Whether one category a text is chosen, and nothing else is asked."""
    return [(output.per, output.choice) for output in outputs] == [("text", "one")]


def require(outputs: Sequence[Output], gives: Sequence[Per | Choice], what: str, advice: str) -> None:
    """Refuse what cannot give every output.

    Args:
        gives: What it can answer.
        what: What cannot be had: `early_exit`.
        advice: What to do instead.

    Raises:
        MillisError: names the output.
    """
    for output in outputs:
        asked = output.choice if output.choice == "next" else output.per
        if asked not in gives:
            able = " and ".join(WORDS[per] for per in WORDS if per in gives)
            raise MillisError(f"{what} answers {able}, and {output.name} answers {WORDS[asked]}. {advice}")


def require_one_text(outputs: Sequence[Output], what: str, advice: str) -> None:
    """Refuse what is made for models that choose one category a text and nothing else.

    Raises:
        MillisError: something else is asked.
    """
    require(outputs, ("text",), what, advice)
    if not is_one_text(outputs):
        names = " and ".join(CHOICES.get(output.choice, output.name) for output in outputs)
        raise MillisError(f"{what} chooses one label a text, and the task asks for {names}. {advice}")


def each(outputs: Any) -> tuple[Any, ...]:
    """A module's outputs: of one, it returns the tensor itself; compiled code may return a list of several."""
    return tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)
