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
from millis.models.outputs import writes
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
        if writes(spec.outputs):
            check_causal(spec.kind)
            _check_heads(spec)
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
        if spec.tied:
            for classifier, output in zip(heads.classifiers(self.head), spec.outputs, strict=True):
                if output.choice == "next":
                    classifier.weight = self.encoder.get_input_embeddings().weight
        low_rank.install(self, spec.ranks)
        self.between: Between = between(spec, self.encoder)
        for name, module in self.between.modules.items():
            self.add_module(name, module)
        # RoBERTa has the parameter but one token type only: passing a pair's 1 would read past its table.
        self.takes_token_types = (
            "token_type_ids" in inspect.signature(self.encoder.forward).parameters
            and getattr(self.encoder.config, "type_vocab_size", 0) >= 2
        )

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        asked: Tensor | None = None,
    ) -> Any:
        """Logits of token ids [B, S]: a tensor, or a tuple of several (`millis.models.heads.Answers`).

        Args:
            asked: Truth values [B, S], of a model that writes: its logits there alone, row after row, [M, V].
        """
        if asked is None:
            return self.between.answers(self, input_ids, attention_mask, token_type_ids)
        states = self.states(input_ids, attention_mask, token_type_ids)[asked]
        return heads.answers(self.head, states, nn.Identity(), self.dropout)

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


def check_causal(kind: str) -> None:
    """Refuse an architecture that cannot write.

    Args:
        kind: Its `model_type`.

    Raises:
        MillisError: its tokens look ahead, or that is not known.
    """
    causal = [found for parts in anatomy.ANATOMIES if parts.causal for found in parts.model_types]
    if kind not in causal:
        raise MillisError(
            f"a {kind!r} model cannot say what comes next: expected one whose tokens look back only "
            f"({', '.join(causal)}), such as model=scratch_decoder"
        )


def _check_heads(spec: TransformerSpec) -> None:
    """Refuse layers that keep nothing.

    Raises:
        MillisError: one without heads.
    """
    if spec.shape is not None and 0 in spec.shape.heads:
        raise MillisError(
            f"layer {spec.shape.heads.index(0)} has no heads left, and what writes keeps keys and values of every "
            "layer: expected at least one"
        )


def _encoder(spec: TransformerSpec) -> Any:
    values, shape = dict(spec.encoder), spec.shape
    if shape is None:
        return _from_config(values)
    parts = anatomy.find(spec.kind)
    encoder = _from_config(parts.narrow(values, shape))
    parts.prepare(encoder)
    std = values.get("initializer_range", heads.STD)
    anatomy.reshape(encoder, parts, shape, std, parts.groups(values))
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
