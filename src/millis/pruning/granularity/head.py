"""Granularity of attention heads (Michel et al. 2019, 1905.10650): rows of q, k, v and columns of the output."""

from dataclasses import dataclass
from typing import Any, ClassVar

from millis.pruning.granularity import Granularity, parts
from millis.pruning.group import HEADS, Group
from millis.pruning.sites import WeightSite
from millis.pruning.targets import Targets, selected
from millis.pruning.tiles import Tiles
from millis.traits import CUTS_HEADS, Traits


@dataclass(frozen=True)
class Head(Granularity):
    """Attention heads. A layer may lose all of them: its attention then adds only its output bias."""

    structural: ClassVar[bool] = True
    traits: ClassVar[Traits] = (CUTS_HEADS,)

    def groups(self, model: Any, targets: Targets) -> list[Group]:
        """A group for each layer that has heads, of [H] units, under its attention output's name."""
        size = model.spec.known_shape.head_size if parts.known(model, HEADS) else 0
        found = {}
        for index, layer in parts.numbered(parts.blocks(model, HEADS), "attention_output"):
            output = Tiles(layer.attention_output, "weight", layer.attention_output.out_features, size)
            projections = (layer.query, layer.key, layer.value)
            rows = [Tiles(linear, "weight", size, linear.in_features) for linear in projections]
            biases = [Tiles(linear, "bias", size, 1) for linear in projections]
            name = parts.name_of(model, layer.attention_output)
            heads = layer.query.out_features // size
            found[name] = Group(
                name, HEADS, (heads,), (WeightSite(output),), (*rows, output), tuple(biases), layer=index
            )
        return [found[name] for name in selected(targets, list(found))]
