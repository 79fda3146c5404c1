"""Sites: where a gate z multiplies what the model computes. z = 0 takes a unit out, z = 1 leaves the model as it is.

A gate sits on the output side of its unit alone (ffn_out's columns, the attention output's columns): while a neuron is
closed its hidden value is still computed, so ∂L/∂z tells what opening it would do, and z counts once, not squared.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.hooks import RemovableHandle

from millis.pruning.tiles import Tiles

Gate = Callable[[], Tensor]
"""The multipliers of a group's units now."""


class Site(Protocol):
    """A place in the model.

    Members:
        graded: Whether weights can hold any multiplier; otherwise 0 and 1 alone can be left behind.
    """

    graded: bool

    def attach(self, gate: Gate) -> None:
        """Multiply by `gate()` from now on."""
        ...

    def detach(self, multiplier: Tensor) -> None:
        """Leave the module as it was; where that can be said in its weights, multiplied by `multiplier`."""
        ...


class WeightSite:
    """w' = w · z, each tile with its unit's z: gradients of w are masked too, those of z are not.

    Args:
        tiles: The parameter, and which of its weights belong to which unit.
    """

    graded = True

    def __init__(self, tiles: Tiles) -> None:
        self.tiles = tiles
        self.gated: Gated | None = None

    def attach(self, gate: Gate) -> None:
        """Put a parametrization on the parameter."""
        self.gated = Gated(self.tiles, gate)
        # `unsafe` skips a trial run, whose gates would still lie where the model is now when it has moved to a GPU.
        parametrize.register_parametrization(self.tiles.module, self.tiles.name, self.gated, unsafe=True)

    @torch.no_grad()
    def detach(self, multiplier: Tensor) -> None:
        """Multiply into the parameter; parametrizations of others on it stay."""
        tiles = self.tiles
        tiles.parameter.mul_(tiles.spread(multiplier))
        chain: Any = tiles.module.parametrizations
        others = [each for each in chain[tiles.name] if each is not self.gated]
        if others:
            del chain[tiles.name][list(chain[tiles.name]).index(self.gated)]
        else:
            # Parametrized classes are made for one module, but copies of that share them, and this takes it apart.
            shared = type(tiles.module)
            members = {name: value for name, value in vars(shared).items() if name not in ("__dict__", "__weakref__")}
            tiles.module.__class__ = type(shared.__name__, shared.__bases__, members)
            parametrize.remove_parametrizations(tiles.module, tiles.name, leave_parametrized=False)
        self.gated = None


class Gated(nn.Module):
    """The parametrization of `WeightSite`."""

    def __init__(self, tiles: Tiles, gate: Gate) -> None:
        super().__init__()
        # In a tuple: the module that `tiles` knows is this one's parent, not its child.
        self.site = (tiles, gate)

    def forward(self, weight: Tensor) -> Tensor:
        """w · z."""
        tiles, gate = self.site
        return weight * tiles.spread(gate()).to(weight.dtype)


class NormSite:
    """Layer norm over the channels that are left: with z = 1 for those, 0 for the others, and n = Σ z,

        μ = Σ z x / n,    σ² = Σ z (x - μ)² / n,    y = z · (γ (x - μ) / √(σ² + ε) + β).

    Only a narrower model can say that, so nothing of it stays behind.
    """

    graded = False

    def __init__(self, norm: nn.LayerNorm) -> None:
        self.norm = norm
        self.handle: RemovableHandle | None = None
        self.gate: Gate | None = None

    def attach(self, gate: Gate) -> None:
        """Recompute the norm's output after every forward."""
        self.gate = gate
        self.handle = self.norm.register_forward_hook(self.masked)

    def detach(self, multiplier: Tensor) -> None:
        """Take the hook away."""
        assert self.handle is not None
        self.handle.remove()
        self.handle = self.gate = None

    def masked(self, norm: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """The output over the channels that are left, [..., D]."""
        assert self.gate is not None
        z = self.gate()
        x = inputs[0].to(z.dtype)
        left = z.sum()
        centred = x - (z * x).sum(-1, keepdim=True) / left
        variance = (z * centred.square()).sum(-1, keepdim=True) / left
        normed: Tensor = norm.weight * centred * torch.rsqrt(variance + norm.eps) + norm.bias
        gated: Tensor = z * normed
        return gated.to(output.dtype)


class BlockSite:
    """y = z · block(x) + (1 - z) · x: with z = 0 the block hands on its input.

    Only a shallower model can say that, so nothing of it stays behind.

    Args:
        block: A module whose first input, or keyword `hidden_states`, and output are [B, S, D]. Its gate has one unit.
    """

    graded = False

    def __init__(self, block: nn.Module) -> None:
        self.block = block
        self.handle: RemovableHandle | None = None
        self.gate: Gate | None = None

    def attach(self, gate: Gate) -> None:
        """Mix the block's output with its input after every forward."""
        self.gate = gate
        self.handle = self.block.register_forward_hook(self.mixed, with_kwargs=True)

    def detach(self, multiplier: Tensor) -> None:
        """Take the hook away."""
        assert self.handle is not None
        self.handle.remove()
        self.handle = self.gate = None

    def mixed(self, block: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Any], output: Tensor) -> Tensor:
        """The mixture, [B, S, D]."""
        assert self.gate is not None
        z = self.gate().to(output.dtype)
        before: Tensor = inputs[0] if inputs else named["hidden_states"]
        return z * output + (1 - z) * before
