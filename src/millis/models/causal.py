"""Language models made of weights that somebody else trained."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from millis.models import anatomy, heads
from millis.models.encoder import Transformer
from millis.models.outputs import over, plain
from millis.models.spec import Ids
from millis.models.transformer_spec import TransformerSpec
from millis.types import Output


@torch.no_grad()
def transformer(
    config: dict[str, Any],
    weights: Mapping[str, Tensor],
    output: Tensor | None,
    outputs: Sequence[Output],
    affixes: tuple[Ids, Ids],
    pooling: str,
    dropout: float,
) -> Transformer:
    """A model whose tokens look back only, of trained weights.

    Args:
        config: The architecture's, with its `model_type`.
        weights: Of transformers' model without a head.
        output: [V, D], what makes logits of states; None where the table of token vectors does. Where `outputs` ask
            for something else than the next token it is left out, and their head is fresh.
        outputs: What the model is to give.
        affixes: The special tokens put before and after a text.
        pooling: "mean" or "cls", of outputs that answer a text.
        dropout: Before the head.

    Raises:
        MillisError: the next token is asked for, and the architecture is not known to look back only.
    """
    given = plain(over(outputs, int(config["vocab_size"])))
    spec = TransformerSpec(
        encoder=config,
        shape=anatomy.full_shape(config) if config["model_type"] in anatomy.supported() else None,
        affixes=affixes,
        pooling=pooling,
        dropout=dropout,
        outputs=given,
        tied=output is None and any(one.choice == "next" for one in given),
    )
    model = Transformer(spec)
    model.encoder.load_state_dict(weights)
    for classifier, one in zip(heads.classifiers(model.head), given, strict=True):
        if one.choice == "next" and output is not None:
            classifier.weight.copy_(output)
    return model
