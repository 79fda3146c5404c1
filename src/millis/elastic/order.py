"""Order: heads, neurons and hidden channels by falling importance, so that every smaller student is a prefix.

    heads, neurons    empirical Fisher information of their gates (`millis.pruning.fisher_mask`), as DynaBERT ranks them
                      by the gradient of theirs (Hou et al. 2020, 2004.04037, section 2.1)
    channels          norms of the weights that write or read them (`millis.models.student.channel_importance`)

Heads that share a key and a value stay together, by the sum of their importance. The same units in another order
compute the same: logits stay, to rounding.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from millis import models
from millis.data.batches import Batch
from millis.models import anatomy
from millis.models.encoder import Transformer
from millis.models.selection import Selection, copy_selected
from millis.models.student import channel_importance
from millis.pruning.fisher_mask import gate_gradients


def by_importance(model: Transformer, batches: Iterable[Batch]) -> Selection:
    """Every part of `model`, within each layer the most important first.

    Args:
        batches: Labelled texts that say which heads and neurons matter.

    Raises:
        MillisError: as `gate_gradients`.
    """
    parts = anatomy.find(model.spec.kind)
    heads, ffn = gate_gradients(model, batches).fisher()
    groups = parts.groups(model.spec.encoder)
    with torch.no_grad():
        channels = channel_importance(parts, model.encoder)
    return Selection(
        layers=list(range(model.spec.layers)),
        hidden=falling(channels),
        heads=[falling(one, groups) for one in heads],
        ffn=[falling(one) for one in ffn],
    )


def falling(importance: Tensor, together: int = 1) -> Tensor:
    """Indices of all units, the most important first, of equals the one before; `together` neighbours stay so."""
    order = torch.argsort(importance.reshape(-1, together).sum(dim=1), descending=True, stable=True).cpu()
    return (order[:, None] * together + torch.arange(together)).flatten()


def reordered(model: Transformer, order: Selection) -> Transformer:
    """A model that computes the same with its parts in another order, in evaluation mode; `model` stays as it is."""
    same = models.build(model.spec)
    assert isinstance(same, Transformer)  # the family that the spec of `model` names
    copy_selected(same, model, order)
    return same.eval()
