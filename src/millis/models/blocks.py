"""A transformer's blocks run one by one, for what happens between them: early exits and token pruning; and the plainest
form of their attention, for what is exported.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from torch import Tensor, nn

from millis.errors import MillisError
from millis.models import anatomy
from millis.models.post_norm import Bert
from millis.models.spec import Spec, spec_of
from millis.models.transformer_spec import TransformerSpec, known

FAR = -3e4  # added to the scores of padding, whose exponential is then 0; float16 holds it


def post_norm_types() -> list[str]:
    """The `model_type`s with post-norm blocks."""
    return [name for found in anatomy.ANATOMIES if isinstance(found, Bert) for name in found.model_types]


def require_post_norm(spec: Spec, group: str, what: str) -> TransformerSpec:
    """Refuse a model whose blocks cannot be run one by one here.

    Args:
        group: The config group that asks, for the message.
        what: What it puts where, such as "early exits stand between the layers".

    Returns:
        `spec`.

    Raises:
        MillisError: no transformer, or one whose blocks are not post-norm.
    """
    if (found := known(spec)) is None or spec.kind not in post_norm_types():
        raise MillisError(
            f"{what} of a transformer with post-norm blocks ({', '.join(post_norm_types())}), and the student is a "
            f"{spec.kind!r} model. Choose student=transformer of a teacher among these, or {group}=none"
        )
    return found


def embedded(model: Any, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
    """The first block's input [B, S, D]."""
    types = {"token_type_ids": token_type_ids} if model.takes_token_types else {}
    states: Tensor = model.encoder.embeddings(input_ids=input_ids, **types)
    project = getattr(model.encoder, "embeddings_project", None)
    return states if project is None else cast(Tensor, project(states))


def blocks_of(model: Any) -> list[nn.Module]:
    """The blocks, first to last."""
    return anatomy.find(model.spec.kind).blocks(model.encoder)


def written_mask(config: Any, mask: Tensor) -> Tensor:
    """What attention takes for `mask` [B, S] in an encoder of `config`, written out as [B, 1, 1, S].

    transformers would build one of [B, 1, S, S] in sixty operators of an exported graph.
    """
    wide = mask[:, None, None, :]
    return (1.0 - wide.float()) * FAR if is_spelled_out(config) else wide.bool()


def is_spelled_out(config: Any) -> bool:
    """Whether post-norm blocks compute attention by matrix products and a softmax, not by PyTorch's fused operator."""
    return config._attn_implementation == "eager" and config.model_type in post_norm_types()


@contextmanager
def spelled_out(model: Any) -> Iterator[None]:
    """With attention spelled out, where `model` has blocks that are known.

    The fused operator is exported as more operators than its parts: on ONNX Runtime all-MiniLM-L6-v2 in int8 takes 1.09
    times as long with it, in fp32 as long (`benchmarks/session_options.py`).
    """
    if (spec := spec_of(model)) is None or spec.kind not in post_norm_types():
        yield
        return
    before = model.encoder.config._attn_implementation
    model.encoder.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.encoder.set_attn_implementation(before)
