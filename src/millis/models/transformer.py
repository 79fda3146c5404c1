"""Family `transformer`: an encoder of transformers, pooled, with a linear head (Devlin et al. 2019, section 3.2).

Spec:
    family       "transformer"
    encoder      the architecture's config with its `model_type`, JSON-able
    shape        {"head_size": int, "heads": [H of each layer], "ffn": [F of each layer]}: what is left of the config's
                 heads and neurons, maybe none; absent where `millis.models.anatomy` does not know the architecture
    ranks        {dotted module name: r}: matrices held as two of rank r (`millis.models.low_rank`); absent where none
    exits        [layer, ...]: layers, counted from 0, after which a classifier may answer (`millis.models.exits`);
                 absent where none
    tokens       [layer, ...]: layers between whose halves tokens are dropped (`millis.models.token_pruning`); absent
                 where none
    affixes      [[ids before], [ids after]]: the special tokens put around a text, such as [[101], [102]]
    pooling      "mean" or "cls"
    pooler       activation of a layer [D, D] after pooling (`millis.models.finished`), as "tanh"; absent where none
    dropout      before the head
    num_labels   C; or `outputs`, where it gives more than one row of logits a text (`millis.models.outputs`)
"""

import torch

from millis.models import anatomy
from millis.models.encoder import Transformer
from millis.models.exits import Exiting
from millis.models.token_pruning import TokenPruned
from millis.types import Spec


def build(spec: Spec) -> Transformer:
    """Make the module with fresh weights, on the sizes of `spec["shape"]`."""
    if spec.get("exits"):
        return Exiting(spec)
    if spec.get("tokens"):
        return TokenPruned(spec)
    return Transformer(spec)


def max_length(spec: Spec) -> int:
    """Longest token sequence that the position table takes."""
    config = spec["encoder"]
    if "shape" in spec:
        return anatomy.find(config["model_type"]).max_length(config)
    # Tables of other architectures are a power of two, some with RoBERTa's two unused rows on top (514 → 512).
    return int(config.get("max_position_embeddings", 512)) // 8 * 8


@torch.no_grad()
def without_part(model: Transformer, key: str) -> Transformer:
    """`model` without what `spec[key]` adds to it; every weight that is left is copied."""
    smaller = build({name: value for name, value in model.spec.items() if name != key})
    missing, _ = smaller.load_state_dict(model.state_dict(), strict=False)
    assert not missing
    return smaller.train(model.training)
