"""Masks: what is pruned now, and how it works on the model, while that is trained.

They are a child of the model, `model.pruning`, with a buffer for each group and the criterion's own state, so that
checkpoints carry everything and a resumed run goes on with the same masks. Weights keep their values behind a mask: a
parametrization multiplies them anew in every forward, so whatever an optimizer's momentum does to them, what the model
computes with is zero, and a unit that comes back is what it was.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from millis.pruning.criterion import Criterion, Numbered
from millis.pruning.group import Group

NAME = "pruning"  # of the child


class Masks(nn.Module):
    """Masks on a model.

    Args:
        model: What is pruned; gets the masks as a child and gates at the groups' sites.
        groups: Its prunable units.
        criterion: Prepared for them here.
    """

    def __init__(self, model: nn.Module, groups: Sequence[Group], criterion: Criterion) -> None:
        super().__init__()
        self.groups, self.criterion = list(groups), criterion
        self.settled = False
        devices = [group.scored[0].parameter.device for group in groups]
        self.masks = Numbered([torch.ones(group.shape, device=at) for group, at in zip(groups, devices, strict=True)])
        criterion.prepare(model, groups)
        for index, group in enumerate(groups):
            for site in group.sites:
                site.attach(Gate(self, index))
        model.add_module(NAME, self)

    def gate(self, index: int) -> Tensor:
        """What the units of group `index` are multiplied by now: the criterion decides in training steps."""
        mask = self.masks[index]
        if self.training and torch.is_grad_enabled() and not self.settled:
            return self.criterion.gate(index, mask)
        return mask

    @torch.no_grad()
    def set(self, keep: Sequence[Tensor]) -> None:
        """Mask everything but `keep`: for each group True where a unit stays.

        What stays is multiplied by what the criterion says, where the weights can hold that.
        """
        for index, (group, kept) in enumerate(zip(self.groups, keep, strict=True)):
            self.masks[index].copy_(kept * self.criterion.kept(index) if group.graded else kept)

    def scores(self) -> list[Tensor]:
        """The criterion's scores, made comparable between groups whose units differ in size."""
        shares = [group.size if self.criterion.additive else 1 for group in self.groups]
        return [self.criterion.scores(index) / share for index, share in enumerate(shares)]

    def settle(self) -> None:
        """The masks are final: nothing is watched or drawn any more, gates are what the masks say."""
        self.settled = True
        self.criterion.release()

    def sparsity(self) -> tuple[float, dict[str, float]]:
        """Share of the prunable weights whose unit is masked: of all of them, and of each group by its name."""
        gone = [int((self.masks[index] == 0).sum()) for index in range(len(self.groups))]
        units = [self.masks[index].numel() for index in range(len(self.groups))]
        sizes = [group.size for group in self.groups]
        weights = sum(size * count for size, count in zip(sizes, units, strict=True))
        overall = sum(size * count for size, count in zip(sizes, gone, strict=True)) / weights
        names = [group.name for group in self.groups]
        return overall, {name: out / count for name, out, count in zip(names, gone, units, strict=True)}

    @torch.no_grad()
    def remove(self, model: nn.Module) -> None:
        """Multiply the masks into the weights and leave the model plain: its own modules, under their own names."""
        self.criterion.release()
        for index, group in enumerate(self.groups):
            for site in group.sites:
                site.detach(self.masks[index])
            group.clear(self.masks[index] != 0)
        delattr(model, NAME)


class Gate:
    """A group's multipliers, as sites ask for them. An object and no closure, so that a copied model has its own."""

    def __init__(self, masks: Masks, index: int) -> None:
        self.masks, self.index = masks, index

    def __call__(self) -> Tensor:
        return self.masks.gate(self.index)


def masks_of(model: nn.Module) -> Masks | None:
    """The masks on a model, None where there are none."""
    found: Any = getattr(model, NAME, None)
    return found if isinstance(found, Masks) else None
