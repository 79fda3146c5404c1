"""A transformer's blocks run one by one, for what happens between them: early exits and token pruning."""

from typing import Any, cast

from torch import Tensor, nn

from millis.errors import MillisError
from millis.models import anatomy
from millis.types import Spec


def layer_count(spec: Spec) -> int:
    """L of a transformer's spec."""
    return len(spec["shape"]["heads"])


def require_post_norm(spec: Spec, group: str, what: str) -> None:
    """Refuse a model whose blocks cannot be run one by one here.

    Args:
        group: The config group that asks, for the message.
        what: What it puts where, such as "early exits stand between the layers".

    Raises:
        MillisError: no transformer, or one whose blocks are not post-norm.
    """
    kind = spec["encoder"]["model_type"] if "encoder" in spec else spec.get("family")
    known = [name for found in anatomy.ANATOMIES if isinstance(found, anatomy.Bert) for name in found.model_types]
    if kind not in known or "shape" not in spec:
        raise MillisError(
            f"{what} of a transformer with post-norm blocks ({', '.join(known)}), and the student is a {kind!r} model. "
            f"Choose student=transformer of a teacher among these, or {group}=none"
        )


def embedded(model: Any, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
    """The first block's input [B, S, D]."""
    types = {"token_type_ids": token_type_ids} if model.takes_token_types else {}
    states: Tensor = model.encoder.embeddings(input_ids=input_ids, **types)
    project = getattr(model.encoder, "embeddings_project", None)
    return states if project is None else cast(Tensor, project(states))


def blocks_of(model: Any) -> list[nn.Module]:
    """The blocks, first to last."""
    return anatomy.find(model.spec["encoder"]["model_type"]).blocks(model.encoder)
