"""Family `transformer`: an encoder of transformers, pooled, with a linear head (Devlin et al. 2019, section 3.2).

Spec: `millis.models.transformer_spec`.
"""

import torch

from millis.models import anatomy
from millis.models.encoder import Transformer
from millis.models.transformer_spec import TransformerSpec


def build(spec: TransformerSpec) -> Transformer:
    """Make the module with fresh weights, on the sizes of `spec.shape`."""
    return Transformer(spec)


def max_length(spec: TransformerSpec) -> int:
    """Longest token sequence that the position table takes."""
    if spec.shape is not None:
        return anatomy.find(spec.kind).max_length(spec.encoder)
    # Tables of other architectures are a power of two, some with RoBERTa's two unused rows on top (514 → 512).
    return int(spec.encoder.get("max_position_embeddings", 512)) // 8 * 8


@torch.no_grad()
def whole(model: Transformer) -> Transformer:
    """`model` without exits, and without dropping tokens; every weight that is left is copied."""
    smaller = build(model.spec.whole())
    missing, _ = smaller.load_state_dict(model.state_dict(), strict=False)
    assert not missing
    return smaller.train(model.training)
