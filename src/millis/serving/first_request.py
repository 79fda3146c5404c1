"""The first request, answered while an artifact is loaded: what only an answer shows is found there, not in service.

A tokenizer may name tokens that it does not have, and panic; weights may be of shapes that nothing checks before they
are multiplied; a model may have more outputs than the manifest has labels, or fewer.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.models.tokenizer import AnyTokenizer
from millis.serving import cascade
from millis.serving.stepwise import StepwiseSession
from millis.storage.manifest import TOKENIZER, Manifest
from millis.types import Features, Session, Spec, Text

TEXTS: tuple[Text, ...] = ("a b c", ("a", "b"), "\u2603 \ue000")  # one, a pair, and what no vocabulary has


def check(
    folder: Path,
    manifest: Manifest,
    tokenizer: AnyTokenizer,
    prepare: Callable[[Text], Features],
    session: Session,
) -> None:
    """Tokenize some texts, and answer one with every step of the model.

    Raises:
        MillisError: a text that cannot be tokenized, ids beyond the model's table, a request that cannot be answered,
            or not with one logit for each label.
    """
    requests = [_guarded(f"{folder / TOKENIZER} cannot tokenize", prepare, text) for text in TEXTS]
    largest = max(max(tokenizer.get_vocab().values(), default=0), *(int(request.ids.max()) for request in requests))
    for rows in _tables(manifest):
        if largest >= rows:
            raise MillisError(
                f"{folder / TOKENIZER} has ids up to {largest}, the model's table {rows} rows: they do not belong "
                "together. Make the artifact again"
            )
    shapes = {
        logits.shape for logits in _guarded(f"the model in {folder} answers no request", _logits, session, requests[0])
    }
    if shapes != {(1, len(manifest.labels))}:
        raise MillisError(
            f"the model in {folder} has logits of {', '.join(map(str, sorted(shapes)))}, expected "
            f"{(1, len(manifest.labels))}: one for each of the labels in its manifest. Make the artifact again"
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
    specs: list[Spec] = [manifest.spec]
    if manifest.is_cascade:
        alike = cascade.MEMBERS[:1] if cascade.reads_apart(manifest) else cascade.MEMBERS
        specs = [manifest.spec["members"][name]["spec"] for name in alike]
    for part in (part for one in specs for part in (one, one.get("encoder"))):
        rows = part.get("vocab_size") if isinstance(part, dict) else None
        if isinstance(rows, int):
            yield rows


def _logits(session: Session, features: Features) -> list[NDArray[np.float32]]:
    """Of every step, for a request may leave before the last."""
    if isinstance(session, StepwiseSession):
        return list(session.every(features))
    if isinstance(session, cascade.CascadeSession):
        return list(session.every(features))
    return list(session(features))
