"""Token pruning: a token that receives little attention is dropped before the feed-forward, and from all that follows.

Of a text's n tokens, token i receives from the H heads of a layer's attention A, on average over those that attend
(LTP, Kim et al. 2022, 2107.00910, section 3; the sum in PoWER-BERT, Goyal et al. 2020, 2001.08950, section 3),

    s_i = 1 / (H n) · Σ_h Σ_q A[h, q, i],    Σ_i s_i = 1,

and it stays while s_i ≥ θ of that layer. The first token always stays. How many stay depends on the text.

While thresholds are learned, a gate stands for the step; its running product over the layers, m_i, is a token's weight:

    g_i = σ((log s_i - log θ) / T),    attention scores get + log m_i,    pooling takes tokens with weight m_i.

With T → 0 that is what is deployed: a token of weight 0 is not attended to and not pooled, which is to be absent. LTP
multiplies states by the gate and compares without logarithms, which make one temperature serve texts of all lengths.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from millis.errors import MillisError
from millis.models import anatomy, heads
from millis.models.between import Between
from millis.models.blocks import blocks_of, embedded, require_post_norm
from millis.models.post_norm import Bert
from millis.models.spec import Spec
from millis.models.transformer_spec import TransformerSpec

START = 1e-4  # of every θ: in a text of some hundred tokens nearly all stay
TINY = torch.finfo(torch.float32).tiny  # its logarithm, -87, is far below any score, in half precision too


def with_tokens_dropped(spec: Spec, layers: Sequence[int]) -> TransformerSpec:
    """`spec` whose `layers` drop tokens after their attention.

    Raises:
        MillisError: no transformer that this is known for, a layer that does not exist or has no heads, or none.
    """
    whole = require_post_norm(spec, "tokens", "tokens are dropped inside the layers")
    count, layers = whole.layers, list(layers)
    if outside := [layer for layer in layers if not 0 <= layer < count]:
        raise MillisError(
            f"tokens.layers={layers} asks for layer {outside[0]}: the student has {count} layers, counted from 0. "
            "Choose among these, or null for all"
        )
    if headless := [layer for layer in layers if whole.known_shape.heads[layer] == 0]:
        raise MillisError(
            f"tokens.layers={layers}: layer {headless[0]} has no attention head left that could tell which tokens "
            "matter. Leave it out"
        )
    if not layers or sorted(set(layers)) != layers:
        raise MillisError(
            f"tokens.layers={layers}: expected at least one layer, each once, ascending; or null for every layer"
        )
    return replace(whole, tokens=tuple(layers))


class Thresholds(nn.Module):
    """log θ of every layer that drops tokens, [layers]."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.logarithms = nn.Parameter(torch.full((layers,), math.log(START)))
        self.own_lr: float | None = None  # a rate of its own, while it is learned


class Remaining(nn.Identity):
    """Called with the weights of the tokens that are left: who has to know of them hooks on to it."""


class TokenDropping(Between):
    """Tokens dropped between the halves of the layers that `spec.tokens` names.

    Three ways to run a model. In evaluation, sequences really get shorter: of one text to the tokens that stay, of a
    batch to the positions at which any text's token stays, the others' masked. In training, dropped tokens are masked.
    While thresholds are learned (`temperature` is not None, in training), tokens have weights between 0 and 1.
    """

    def __init__(self, spec: TransformerSpec, encoder: Any) -> None:
        super().__init__(spec, encoder)
        encoder.set_attn_implementation("eager")  # the only one that gives out probabilities
        self.learned = Thresholds(len(spec.tokens))
        self.remaining = Remaining()
        self.temperature: float | None = None
        self.seen: list[tuple[Tensor, Tensor]] = []  # of the latest soft pass: weights before, log s, both [B, S]

    @staticmethod
    def check(spec: Spec) -> None:
        """As `with_tokens_dropped`."""
        with_tokens_dropped(spec, spec.tokens)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"thresholds": self.learned, "remaining": self.remaining}

    @property
    def thresholds(self) -> tuple[Tensor, ...]:
        return (self.learned.logarithms,)

    def answers(self, model: Any, ids: Tensor, mask: Tensor, types: Tensor | None) -> heads.Answers:
        """Logits [B, C]."""
        states, weights, _ = self.run(model, ids, mask, types)
        logits: Tensor = model.head(model.dropout(model.pool(states, weights)))
        return logits

    def soft_share(self) -> Tensor:
        """Weight of the tokens that the feed-forwards of the latest soft pass took, over that of all; a scalar.

        Its gradient reaches thresholds alone: the share is theirs to keep, not the attention's.
        """
        first = self.seen[0][0]
        place, weights, shares = 0, first, []
        for layer in range(self.spec.layers):
            if layer in self.spec.tokens:
                weights = weights * self._gate(self.seen[place][1], place)
                place += 1
            shares.append(weights.sum() / first.sum())
        return torch.stack(shares).mean()

    def harden(self) -> None:
        """Thresholds are learned: from now on they decide."""
        self.temperature = None
        self.seen = []
        self.learned.requires_grad_(False)

    def run(self, model: Any, ids: Tensor, mask: Tensor, types: Tensor | None) -> tuple[Tensor, Tensor, list[Tensor]]:
        """States [B, S', D] and weights [B, S'] of what is left, and the weights that each feed-forward saw."""
        parts = cast(Bert, anatomy.find(self.spec.kind))
        states = embedded(model, ids, types)
        weights, found = mask.float(), []
        self.seen = []
        for layer, block in enumerate(blocks_of(model)):
            bias = weights.clamp(min=TINY).log()[:, None, None, :].to(states.dtype)
            states, attention = parts.attend(block, states, bias)
            if layer in self.spec.tokens:
                assert attention is not None, "it has heads"
                received, place = importance(attention, weights), self.spec.tokens.index(layer)
                states, weights = self._drop(states, weights, received, place, model.training)
            found.append(weights)
            states = parts.feed(block, states)
        return states, weights, found

    def _drop(
        self, states: Tensor, weights: Tensor, received: Tensor, place: int, training: bool
    ) -> tuple[Tensor, Tensor]:
        if training and self.temperature is not None:
            logarithm = received.clamp(min=TINY).log()
            self.seen.append((weights.detach(), logarithm.detach()))
            return states, self.remaining(weights * self._gate(logarithm, place))
        stays = (received >= self.learned.logarithms[place].exp()).to(weights.dtype)
        weights = weights * _sparing_first(stays)
        if training:
            return states, self.remaining(weights)
        places = weights.amax(dim=0).nonzero().squeeze(1)
        return states[:, places], self.remaining(weights[:, places])

    def _gate(self, logarithm: Tensor, place: int) -> Tensor:
        assert self.temperature is not None
        return _sparing_first(torch.sigmoid((logarithm - self.learned.logarithms[place]) / self.temperature))


@torch.no_grad()
def tokens_left(
    model: Any, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
) -> list[Tensor]:
    """How many tokens of each text every layer's feed-forward takes in a model that drops some, [B] a layer."""
    _, _, found = model.between.run(model, input_ids, attention_mask, token_type_ids)
    return [weights.sum(dim=1).round().long() for weights in found]


def importance(attention: Tensor, weights: Tensor) -> Tensor:
    """s: the attention that each token receives on average over heads and over the tokens that attend.

    In training the blocks give attention out after its dropout: then it is so on average alone.

    Args:
        attention: Probabilities [B, H, S, S], rows attend to columns.
        weights: Of the tokens that attend, [B, S].

    Returns:
        [B, S]; sums to 1 over a text's tokens.
    """
    with torch.autocast(attention.device.type, enabled=False):  # half precision could not tell close ones apart
        attending = weights / weights.sum(dim=1, keepdim=True).clamp(min=TINY)
        received: Tensor = (attending[:, None, None, :] @ attention.float()).mean(dim=1)
    return received[:, 0]


def _sparing_first(gates: Tensor) -> Tensor:
    """`gates` [B, S] with 1 for the first token."""
    return torch.cat([torch.ones_like(gates[:, :1]), gates[:, 1:]], dim=1)
