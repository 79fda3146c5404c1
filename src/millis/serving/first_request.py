"""The first request, answered while an artifact is loaded: what only an answer shows is found there, not in service.

A tokenizer may name tokens that it does not have, and panic; weights may be of shapes that nothing checks before they
are multiplied; a model may have other outputs than the manifest's task reads.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from millis.errors import MillisError
from millis.serving import cascade
from millis.serving.reader import Reader
from millis.serving.stepwise import StepwiseSession
from millis.storage.manifest import TOKENIZER, Manifest
from millis.types import Features, Output, Outputs, Session, Text

TEXTS: tuple[Text, ...] = ("a b c", ("a", "b"), "\u2603 \ue000")  # one, a pair, and what no vocabulary has


def check(
    folder: Path,
    manifest: Manifest,
    reader: Reader,
    prepare: Callable[[Text], Features],
    session: Session,
) -> None:
    """Tokenize some texts, and answer one with every step of the model.

    Raises:
        MillisError: a text that cannot be tokenized, ids beyond the model's table, a request that cannot be answered,
            or not with the outputs that the task reads.
    """
    texts = [text for text in TEXTS if isinstance(text, str) or not manifest.answers.reads_offsets]
    requests = [_guarded(f"{folder / TOKENIZER} cannot tokenize", prepare, text) for text in texts]
    largest = max(reader.largest_id, *(int(request.ids.max()) for request in requests))
    for rows in _tables(manifest):
        if largest >= rows:
            raise MillisError(
                f"{folder / TOKENIZER} has ids up to {largest}, the model's table {rows} rows: they do not belong "
                "together. Make the artifact again"
            )
    steps = _guarded(f"the model in {folder} answers no request", _steps, session, requests[0])
    expected = [_shape(output, requests[0]) for output in manifest.signature.outputs]
    for outputs in steps:
        if (shapes := [output.shape for output in outputs]) != expected:
            raise MillisError(
                f"the model in {folder} has outputs of {', '.join(map(str, shapes))}, expected "
                f"{', '.join(map(str, expected))} for the {manifest.answers.summary} in its manifest. Make the "
                "artifact again"
            )


def _guarded(failing: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """What `call` returns; whatever it raises as a fault of the artifact's."""
    try:
        return call(*arguments)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # each runtime has its own, and a panic in Rust is no Exception
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MillisError(f"{failing}: {reason}. Make the artifact again") from error


def _tables(manifest: Manifest) -> Iterator[int]:
    """Rows of the embedding table, or of those of a cascade's members that take the same ids."""
    specs = [manifest.spec]
    if manifest.is_cascade:
        alike = cascade.MEMBERS[:1] if cascade.reads_apart(manifest) else cascade.MEMBERS
        members = cascade.members_of(manifest)
        specs = [members[name].spec for name in alike]
    yield from (one.rows for one in specs if one.rows is not None)


def _shape(output: Output, features: Features) -> tuple[int, ...]:
    rows, tokens = features.ids.shape
    return (rows, output.width) if output.per == "text" else (rows, tokens, output.width)


def _steps(session: Session, features: Features) -> list[Outputs]:
    """Outputs of every step, for a request may leave before the last."""
    if isinstance(session, StepwiseSession | cascade.CascadeSession):
        return [(logits,) for logits in session.every(features)]
    return [session(features)]
