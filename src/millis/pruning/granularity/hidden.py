"""Granularity of hidden channels: one position of the residual stream, gone in every layer."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from millis.models.heads import classifiers
from millis.pruning.granularity import Granularity, parts
from millis.pruning.group import HIDDEN, Group
from millis.pruning.sites import NormSite
from millis.pruning.targets import Targets, selected
from millis.pruning.tiles import Tiles


@dataclass(frozen=True)
class Hidden(Granularity):
    """Hidden channels. Layer norms take mean and variance over the channels that are left and write 0 to the others.

    Every matrix reads the residual stream through a norm, or writes to it ahead of one, so gating the norms gates the
    channel. A score is summed over the matrices of the blocks: the embedding tables, far larger, would drown them.
    """

    structural: ClassVar[bool] = True

    def groups(self, model: Any, targets: Targets) -> list[Group]:
        """One group, of [D] units, under the encoder's name."""
        anatomy, layers = parts.known(model, HIDDEN), parts.blocks(model, HIDDEN)
        hidden = layers[0].ffn_out.out_features
        # Refuses what cannot be narrowed: an ELECTRA that projects its embeddings.
        anatomy.with_hidden(model.spec.encoder, hidden - 1)
        scored, zeroed = [], []
        for layer in layers:
            reading = (layer.query, layer.key, layer.value, layer.ffn_in)
            writing = (layer.attention_output, layer.ffn_out)
            scored += [Tiles(each, "weight", each.out_features, 1) for each in reading if each.out_features]
            scored += [Tiles(each, "weight", 1, each.in_features) for each in writing if each.in_features]
            zeroed += [Tiles(each, "bias", 1, 1) for each in writing]
        embeddings = anatomy.embeddings(model.encoder)
        zeroed += [Tiles(table, "weight", table.num_embeddings, 1) for table in embeddings.tables]
        zeroed += [Tiles(one, "weight", one.out_features, 1) for one in classifiers(model.head)]
        norms = [module for module in model.encoder.modules() if isinstance(module, nn.LayerNorm)]
        zeroed += [Tiles(norm, name, 1, 1) for norm in norms for name in ("weight", "bias")]
        [name] = selected(targets, [parts.name_of(model, model.encoder)])
        sites = tuple(NormSite(norm) for norm in norms)
        return [Group(name, HIDDEN, (hidden,), sites, tuple(scored), tuple(zeroed))]
