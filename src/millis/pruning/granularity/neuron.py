"""Granularity of feed-forward neurons: a row of ffn_in with its bias, and a column of ffn_out."""

from dataclasses import dataclass
from typing import Any, ClassVar

from millis.pruning.granularity import Granularity, parts
from millis.pruning.group import FFN, Group
from millis.pruning.sites import WeightSite
from millis.pruning.targets import Targets, selected
from millis.pruning.tiles import Tiles


@dataclass(frozen=True)
class Neuron(Granularity):
    """Feed-forward neurons. A layer may lose all of them: its feed-forward part then adds only its output bias."""

    structural: ClassVar[bool] = True

    def groups(self, model: Any, targets: Targets) -> list[Group]:
        """A group for each layer that has neurons, of [F] units, under its feed-forward output's name."""
        found = {}
        for index, layer in parts.numbered(parts.blocks(model, FFN), "ffn_out"):
            row = Tiles(layer.ffn_in, "weight", 1, layer.ffn_in.in_features)
            bias = Tiles(layer.ffn_in, "bias", 1, 1)
            column = Tiles(layer.ffn_out, "weight", layer.ffn_out.out_features, 1)
            name = parts.name_of(model, layer.ffn_out)
            shape = (layer.ffn_in.out_features,)
            found[name] = Group(name, FFN, shape, (WeightSite(column),), (row, column), (bias,), layer=index)
        return [found[name] for name in selected(targets, list(found))]
