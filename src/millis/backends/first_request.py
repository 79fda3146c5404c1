"""The first request, answered while an artifact is loaded: what only an answer shows is found there, not in service.

A tokenizer may name tokens that it does not have, and panic; weights may be of shapes that nothing checks before they
are multiplied; a model may have more outputs than the manifest has labels, or fewer.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from millis.backends import cascade
from millis.backends.stepwise import StepwiseSession
from millis.errors import MillisError
from millis.storage.manifest import TOKENIZER, Manifest
from millis.types import Features, Session, Spec


def check_logits(folder: Path, manifest: Manifest, session: Session, features: Features) -> None:
    """Answer `features`, [1, S], with every step of the model.

    Raises:
        MillisError: it cannot be answered, or not with one logit for each label.
    """
    try:
        widths = {logits.shape for logits in _logits(session, features)}
    except MillisError:
        raise
    except Exception as error:  # each runtime has its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MillisError(f"the model in {folder} answers no request: {reason}. Make the artifact again") from error
    if widths != {(1, len(manifest.labels))}:
        raise MillisError(
            f"the model in {folder} has logits of {', '.join(map(str, sorted(widths)))}, expected "
            f"{(1, len(manifest.labels))}: one for each of the labels in its manifest. Make the artifact again"
        )


def check_vocabulary(folder: Path, spec: Spec, tokenizer: Tokenizer) -> None:
    """A row of the embedding table for each of the tokenizer's ids.

    Raises:
        MillisError: there are more ids than rows.
    """
    ids = tokenizer.get_vocab_size()  # of so many, the largest is this - 1 or above
    for part in (spec, spec.get("encoder"), *_members(spec)):
        rows = part.get("vocab_size") if isinstance(part, dict) else None
        if isinstance(rows, int) and ids > rows:
            raise MillisError(
                f"{folder / TOKENIZER} has ids up to {ids - 1} or more, the model's table {rows} rows: they do not "
                "belong together. Make the artifact again"
            )


def _members(spec: Spec) -> list[Spec]:
    """The specs of a cascade's members, and their encoders."""
    members = [spec["members"][name]["spec"] for name in cascade.MEMBERS] if spec.get("family") == cascade.NAME else []
    return [*members, *(member.get("encoder") for member in members)]


def _logits(session: Session, features: Features) -> list[NDArray[np.float32]]:
    """Of every step, for a request may leave before the last."""
    if isinstance(session, StepwiseSession):
        return list(session.every(features))
    if isinstance(session, cascade.CascadeSession):
        return [logits for member in session.steps for logits in member.every(features)]
    return [session(features)]
