"""The matrices whose single weights or blocks can be pruned, in a model of any family."""

from torch import nn

from millis.errors import MillisError
from millis.models import heads
from millis.pruning.group import WEIGHTS, Group
from millis.pruning.sites import WeightSite
from millis.pruning.targets import Targets, selected
from millis.pruning.tiles import Tiles


def matrices(model: nn.Module, targets: Targets, embeddings: bool) -> dict[str, nn.Module]:
    """Name → linear layer, in the model's order.

    Args:
        targets: None leaves classification heads as they are, as the papers do; name one (`head$`) to prune it too.
        embeddings: Whether embedding tables are among them.

    Raises:
        MillisError: a target that matches nothing, or a model without linear layers.
    """
    kinds = (nn.Linear, nn.Embedding) if embeddings else (nn.Linear,)
    found = {name: module for name, module in model.named_modules() if isinstance(module, kinds)}
    names = selected(targets, list(found))
    if targets is None:
        # Classifiers are C rows that are trained from nothing, a thousandth of the weights.
        classifying = tuple(f"{name}." for name in heads.classifying(model))
        names = [name for name in names if not f"{name}.".startswith(classifying)]
    if not names:
        raise MillisError(
            "pruning finds no linear layer in this student beside its classification head: choose pruning=none"
        )
    return {name: found[name] for name in names}


def tiled(name: str, module: nn.Module, rows: int, columns: int) -> Group:
    """The group of one matrix cut into tiles of [rows, columns]."""
    tiles = Tiles(module, "weight", rows, columns)
    return Group(name, WEIGHTS, tiles.grid, (WeightSite(tiles),), (tiles,))
