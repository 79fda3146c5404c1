"""An encoder of transformers with linear heads, of its pooled or of every state (Devlin et al. 2019, section 3.2).

What happens between its blocks, exits or dropped tokens, is a part of it (`millis.models.between`).
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from millis.errors import MillisError, nearest
from millis.models import anatomy, blocks, heads, low_rank, pooling
from millis.models.between import Between
from millis.models.exits import Exits
from millis.models.token_pruning import TokenDropping
from millis.models.transformer_spec import TransformerSpec

MOST_LAYERS = 1000  # as deep as transformers were ever trained (DeepNet, 2203.00555): a spec of more is a slip


class Transformer(nn.Module):
    """Encoder, pooling, dropout, linear head, and what happens between the encoder's blocks.

    Args:
        spec: Of the family `transformer`.

    Raises:
        MillisError: an unknown pooling, or exits or dropped tokens that the architecture cannot have.
    """

    def __init__(self, spec: TransformerSpec) -> None:
        super().__init__()
        if spec.pooling not in pooling.POOLINGS:
            raise MillisError(
                f"model.pooling={spec.pooling!r} is unknown; expected one of {', '.join(pooling.POOLINGS)}"
                f"{nearest(spec.pooling, pooling.POOLINGS)}"
            )
        between = Exits if spec.exits else TokenDropping if spec.tokens else Between
        between.check(spec)
        self.spec = spec
        self.encoder = _encoder(spec)
        self.pool: Callable[[Tensor, Tensor], Tensor] = pooling.POOLINGS[spec.pooling]
        if spec.pooler is not None:
            self.pool = pooling.Pooler(self.pool, self.encoder.config.hidden_size, spec.pooler)
        self.dropout = nn.Dropout(spec.dropout)
        self.head = heads.head(self.encoder.config.hidden_size, spec.outputs)
        for classifier, output in zip(heads.classifiers(self.head), spec.outputs, strict=True):
            if output.choice != "vector":
                heads.start(classifier)
        low_rank.install(self, spec.ranks)
        self.between: Between = between(spec, self.encoder)
        for name, module in self.between.modules.items():
            self.add_module(name, module)
        # RoBERTa has the parameter but one token type only: passing a pair's 1 would read past its table.
        self.takes_token_types = (
            "token_type_ids" in inspect.signature(self.encoder.forward).parameters
            and getattr(self.encoder.config, "type_vocab_size", 0) >= 2
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Any:
        """Logits of token ids [B, S]: a tensor, or a tuple of several (`millis.models.heads.Answers`)."""
        return self.between.answers(self, input_ids, attention_mask, token_type_ids)

    def classifiers(self) -> list[nn.Linear]:
        """The head's, in order, and those that answer before it."""
        return [*heads.classifiers(self.head), *self.between.classifiers.values()]

    def pooled(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """The text's vector [B, D], before dropout and head."""
        return self.pool(self.states(input_ids, attention_mask, token_type_ids), attention_mask)

    def states(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """The state of each token after the last layer, [B, S, D]."""
        segments = {"token_type_ids": token_type_ids} if self.takes_token_types else {}
        mask, config = attention_mask, self.encoder.config
        if blocks.is_spelled_out(config):
            mask = blocks.written_mask(config, attention_mask)
        states: Tensor = self.encoder(input_ids=input_ids, attention_mask=mask, **segments).last_hidden_state
        return states


@torch.no_grad()
def grown(model: Transformer, spec: TransformerSpec) -> Transformer:
    """A model of `spec`, which has more than the one of `model`, with every weight of it; what else it has is fresh.

    Raises:
        MillisError: as `Transformer`.
    """
    larger = Transformer(spec)
    _, unknown = larger.load_state_dict(model.state_dict(), strict=False)
    assert not unknown
    return larger.train(model.training)


def _encoder(spec: TransformerSpec) -> Any:
    values, shape = dict(spec.encoder), spec.shape
    if shape is None:
        return _from_config(values)
    parts = anatomy.find(spec.kind)
    # One head divides every hidden size, which the constructors ask for; `reshape` then gives each block its own.
    narrow = {parts.keys.layers: len(shape.heads), parts.keys.heads: 1, parts.keys.ffn: 1}
    encoder = _from_config({**values, **narrow})
    parts.prepare(encoder)
    anatomy.reshape(encoder, parts, shape, std=values.get("initializer_range", heads.STD))
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
