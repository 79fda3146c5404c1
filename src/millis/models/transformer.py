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
    num_labels   C
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from millis.errors import MillisError, nearest
from millis.models import anatomy, blocks, low_rank, pooling
from millis.types import Spec

POOLING = {"mean": pooling.mean, "cls": pooling.cls}
HEAD_STD = 0.02  # BERT's initializer_range
MOST_LAYERS = 1000  # as deep as transformers were ever trained (DeepNet, 2203.00555): a spec of more is a slip


def build(spec: Spec) -> "Transformer":
    """Make the module with fresh weights, on the sizes of `spec["shape"]`."""
    if spec.get("exits"):
        from millis.models.exits import Exiting

        return Exiting(spec)
    if spec.get("tokens"):
        from millis.models.token_pruning import TokenPruned

        return TokenPruned(spec)
    return Transformer(spec)


def max_length(spec: Spec) -> int:
    """Longest token sequence that the position table takes."""
    config = spec["encoder"]
    if "shape" in spec:
        return anatomy.find(config["model_type"]).max_length(config)
    # Tables of other architectures are a power of two, some with RoBERTa's two unused rows on top (514 → 512).
    return int(config.get("max_position_embeddings", 512)) // 8 * 8


class Transformer(nn.Module):
    """Encoder, pooling, dropout, linear head.

    Args:
        spec: As above.

    Raises:
        MillisError: an unknown pooling.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        if spec["pooling"] not in POOLING:
            raise MillisError(
                f"model.pooling={spec['pooling']!r} is unknown; expected one of {', '.join(POOLING)}"
                f"{nearest(str(spec['pooling']), POOLING)}"
            )
        self.spec = spec
        self.encoder = _encoder(spec)
        self.pool: Callable[[Tensor, Tensor], Tensor] = POOLING[spec["pooling"]]
        if "pooler" in spec:
            self.pool = pooling.Pooler(self.pool, self.encoder.config.hidden_size, spec["pooler"])
        self.dropout = nn.Dropout(spec["dropout"])
        self.head = nn.Linear(self.encoder.config.hidden_size, spec["num_labels"])
        nn.init.normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)
        low_rank.install(self, spec.get("ranks", {}))
        # RoBERTa has the parameter but one token type only: passing a pair's 1 would read past its table.
        self.takes_token_types = (
            "token_type_ids" in inspect.signature(self.encoder.forward).parameters
            and getattr(self.encoder.config, "type_vocab_size", 0) >= 2
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Logits [B, C] of token ids [B, S]."""
        logits: Tensor = self.head(self.dropout(self.pooled(input_ids, attention_mask, token_type_ids)))
        return logits

    def pooled(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """The text's vector [B, D], before dropout and head."""
        segments = {"token_type_ids": token_type_ids} if self.takes_token_types else {}
        mask, config = attention_mask, self.encoder.config
        if blocks.is_spelled_out(config):
            mask = blocks.written_mask(config, attention_mask)
        states = self.encoder(input_ids=input_ids, attention_mask=mask, **segments).last_hidden_state
        return self.pool(states, attention_mask)


@torch.no_grad()
def with_part(model: Transformer, key: str, value: Any) -> Transformer:
    """`model` with what `spec[key] = value` adds to it, fresh; every weight that it has is copied."""
    larger = build({**model.spec, key: value})
    _, unknown = larger.load_state_dict(model.state_dict(), strict=False)
    assert not unknown
    return larger.train(model.training)


@torch.no_grad()
def without_part(model: Transformer, key: str) -> Transformer:
    """`model` without what `spec[key]` adds to it; every weight that is left is copied."""
    smaller = build({name: value for name, value in model.spec.items() if name != key})
    missing, _ = smaller.load_state_dict(model.state_dict(), strict=False)
    assert not missing
    return smaller.train(model.training)


def _encoder(spec: Spec) -> Any:
    values = dict(spec["encoder"])
    if "shape" not in spec:
        return _from_config(values)
    parts, shape = anatomy.find(values["model_type"]), spec["shape"]
    # One head divides every hidden size, which the constructors ask for; `reshape` then gives each block its own.
    narrow = {parts.keys.layers: len(shape["heads"]), parts.keys.heads: 1, parts.keys.ffn: 1}
    encoder = _from_config({**values, **narrow})
    parts.prepare(encoder)
    anatomy.reshape(encoder, parts, shape, std=values.get("initializer_range", HEAD_STD))
    return encoder


def _from_config(values: dict[str, Any]) -> Any:
    config = AutoConfig.for_model(**values)
    if (layers := getattr(config, "num_hidden_layers", 1)) > MOST_LAYERS:
        raise MillisError(f"the spec's encoder has {layers} layers; expected at most {MOST_LAYERS}")
    return AutoModel.from_config(config, **without_pooler(config))  # with SDPA attention where there is one


def without_pooler(config: Any) -> dict[str, bool]:
    """The constructor argument that leaves out BERT's own pooler, for architectures that have it."""
    architecture = AutoModel._model_mapping[type(config)]
    takes = "add_pooling_layer" in inspect.signature(architecture.__init__).parameters
    return {"add_pooling_layer": False} if takes else {}
