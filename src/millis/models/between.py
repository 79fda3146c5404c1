"""What happens between a transformer's blocks: here nothing; `millis.models.exits` and `millis.models.token_pruning`
have the others.

A `Transformer` keeps its own in `between`, and the modules of it under the names that they have there, for so weights
are called in artifacts. What others have to know of a model (classifiers, thresholds) they ask of it.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from millis.models import heads
from millis.models.spec import Spec
from millis.models.transformer_spec import TransformerSpec


class Between:
    """Nothing: the encoder runs as a whole.

    Args:
        spec: Of the transformer.
        encoder: Its encoder.
    """

    def __init__(self, spec: TransformerSpec, encoder: Any) -> None:
        self.spec = spec

    @staticmethod
    def check(spec: Spec) -> None:
        """Refuse an architecture that cannot have this, before it is built."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """What the transformer has beside encoder, pooling and head, by name."""
        return {}

    @property
    def classifiers(self) -> Mapping[int, nn.Linear]:
        """By layer, counted from 0: what answers from its output, beside the head."""
        return {}

    @property
    def thresholds(self) -> tuple[Tensor, ...]:
        """What is learned beside weights."""
        return ()

    def answers(self, model: Any, ids: Tensor, mask: Tensor, types: Tensor | None) -> heads.Answers:
        """What the transformer `model`, whose part this is, gives for token ids [B, S]."""
        states = model.states(ids, mask, types)
        return heads.answers(model.head, states, lambda found: model.pool(found, mask), model.dropout)
