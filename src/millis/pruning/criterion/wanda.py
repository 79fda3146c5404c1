"""Wanda: a weight matters as much as what flows through it (Sun et al. 2024, 2306.11695)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from millis.collective import summed
from millis.pruning.criterion import Criterion, Numbered
from millis.pruning.group import Group
from millis.pruning.tiles import Tiles


class Wanda(Criterion):
    """|w_ij| · ‖x_j‖₂ (eq. 1), summed over the weights of a unit.

    The norm of input feature j runs over the tokens of all training batches so far, padding left out; that of a row of
    an embedding table is the root of how often its token came. The paper ranks the weights of each output by
    themselves; here ranks are those of `pruning.allocation`, and for an N:M pattern the paper's.
    """

    observes = True

    def prepare(self, model: nn.Module, groups: Sequence[Group]) -> None:
        """Hook the inputs of every matrix that is scored."""
        super().prepare(model, groups)
        self.tokens: Tensor | None = None
        self.places: dict[nn.Module, int] = {}
        powers: list[Tensor] = []
        self.handles = [model.register_forward_pre_hook(self._remember_mask, with_kwargs=True)]
        for tiles in (tiles for group in groups for tiles in group.scored):
            if tiles.module not in self.places:
                self.places[tiles.module] = len(powers)
                axis = 0 if isinstance(tiles.module, nn.Embedding) else 1
                powers.append(torch.zeros(tiles.values.shape[axis], device=tiles.values.device))
                self.handles.append(tiles.module.register_forward_pre_hook(self._observe))
        self.powers = Numbered(powers)

    def scores(self, index: int) -> Tensor:
        """As above."""
        return self.groups[index].total(self._scored)

    def release(self) -> None:
        """Unhook."""
        for handle in self.handles:
            handle.remove()
        self.handles.clear()
        self.tokens = None

    def _scored(self, tiles: Tiles) -> Tensor:
        norm = self.powers[self.places[tiles.module]].sqrt()
        return tiles.values.abs() * (norm.unsqueeze(1) if isinstance(tiles.module, nn.Embedding) else norm)

    def _remember_mask(self, model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        mask = named.get("attention_mask", inputs[1] if len(inputs) > 1 else None)
        self.tokens = None if mask is None else mask.bool()

    @torch.no_grad()
    def _observe(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Add Σ x² over the tokens of a training batch, of all processes."""
        if not module.training:
            return
        states = inputs[0]
        if self.tokens is not None and states.shape[: self.tokens.ndim] == self.tokens.shape:
            states = states[self.tokens]
        power = self.powers[self.places[module]]
        if isinstance(module, nn.Embedding):
            power += summed(torch.bincount(states.flatten(), minlength=len(power)).float())
        else:
            power += summed(states.reshape(-1, len(power)).float().square().sum(0))
