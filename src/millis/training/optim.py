"""AdamW with warm-up, plain or layer-wise.

Loshchilov & Hutter 2019 (1711.05101); layer-wise rates as in ULMFiT (1801.06146, section 3.2, there η / 2.6 a layer):
lower layers hold what is general and move less.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from millis.errors import MillisError
from millis.models import heads

LAYER = re.compile(r"\b(?:block|layers?|h)\.(\d+)\.")  # `block` is T5's, whose sublayers are `layer`; `h` is GPT-2's
NO_DECAY = re.compile(r"bias$|norm|\bln_", re.IGNORECASE)
EMBEDDING = re.compile(r"embedding|embed_(?:tokens|positions)|\bshared\.|\bw[tp]e\b")  # `shared` is T5's and BART's
PARAMETRIZATION = re.compile(r"parametrizations\.(\w+)\.original\d*$")


class Decay:
    """Factor of the peak rate at a step: a linear rise to 1 over the warm-up, then a line to zero at the end.

    The line can be drawn anew from any step, for a training that ends sooner or later than was planned. A scheduler's
    state holds this object's numbers, so a training that is continued follows the same line.

    Args:
        warmup_steps: At least 1.
        total_steps: At which the factor is zero.
    """

    def __init__(self, warmup_steps: int, total_steps: int) -> None:
        self.warmup_steps, self.start, self.height, self.end = warmup_steps, warmup_steps, 1.0, total_steps

    def __call__(self, step: int) -> float:
        """The factor, 0 to 1."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        return self.height * max(0.0, (self.end - step) / max(1, self.end - self.start))

    def redraw(self, step: int, end: int, height: float | None = None) -> None:
        """From `step` on, a line to zero at `end`: from `height`, or from where the factor is."""
        self.height = self(step) if height is None else height
        self.warmup_steps, self.start, self.end = min(self.warmup_steps, step), step, end


@dataclass(frozen=True)
class AdamW:
    """Linear warm-up, then linear decay to zero.

    Args:
        lr: Peak rate of the topmost layer.
        head_lr: Peak rate of the classification heads, which start untrained and so may move faster.
        layer_decay: Rate of layer l of L is lr · layer_decay^(L - 1 - l), embeddings one below; 1 is plain AdamW. The
            layers of an encoder and of a decoder are counted each by themselves.
        weight_decay: Not applied to biases and norms.
        warmup: Fraction of all steps spent warming up.
        pair_share: Share of `lr` that is taken where texts are pairs. To compare two texts an encoder has to attend
            from one to the other, which small sets of pairs do not learn at the rate that single texts bear.
        freeze_embeddings: Leave the embedding tables as they are. They hold half of MiniLM's weights, and on a CPU
            every step would update all of a table for the few tokens in a batch.
    """

    lr: float
    head_lr: float
    layer_decay: float = 1.0
    weight_decay: float = 0.01
    warmup: float = 0.1
    pair_share: float = 1.0
    freeze_embeddings: bool = False

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.head_lr <= 0:
            raise MillisError(f"optimizer.lr={self.lr}, head_lr={self.head_lr}: expected above 0")
        if not 0 < self.layer_decay <= 1:
            raise MillisError(f"optimizer.layer_decay={self.layer_decay}: expected above 0, up to 1 (plain AdamW)")
        if not 0 < self.pair_share <= 1:
            raise MillisError(f"optimizer.pair_share={self.pair_share}: expected above 0, up to 1 (the same rate)")
        if not 0 <= self.warmup < 1:
            raise MillisError(f"optimizer.warmup={self.warmup}: expected a fraction of the steps, 0 up to 1")

    def over(self, pairs: bool) -> "AdamW":
        """The optimizer for texts that are pairs, or are not."""
        return replace(self, lr=self.lr * self.pair_share, pair_share=1.0) if pairs else self

    def __call__(
        self, model: nn.Module, total_steps: int, fused: bool = True, beside: nn.Module | None = None
    ) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """The optimizer over `model`'s parameters, and its schedule in steps.

        Args:
            beside: What is trained with the model and starts fresh, so it goes by the heads' rate.
            fused: One kernel for the whole update, faster; off where gradients are scaled (fp16), since a fused step
                unscales them itself, too late to clip them.
        """
        groups = self._groups(model, beside)
        optimizer = torch.optim.AdamW(groups, fused=fused)
        return optimizer, LambdaLR(optimizer, Decay(max(1, round(self.warmup * total_steps)), total_steps))

    def _groups(self, model: nn.Module, beside: nn.Module | None = None) -> list[dict[str, object]]:
        """One parameter group for each (rate, decay) pair.

        A parametrized weight has the group of the plain one. The parameters of a submodule with an attribute `own_lr`
        (scores, gates, scales that a method trains beside the weights) have that peak rate and no decay.
        """
        classifying = tuple(f"{name}." for name in heads.classifying(model))
        named = [(*one, one[0].startswith(classifying)) for one in _named(model)]
        named += [] if beside is None else [(*one, True) for one in _named(beside)]
        depths = _depths(name for name, *_ in named)
        own = {**_own_rates(model), **({} if beside is None else _own_rates(beside))}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter, starts_fresh in named:
            if EMBEDDING.search(name) and self.freeze_embeddings:
                parameter.requires_grad_(False)
                continue
            rate = self.head_lr if starts_fresh else self._rate(name, depths)
            decay = 0.0 if NO_DECAY.search(name) else self.weight_decay
            if id(parameter) in own:
                rate, decay = own[id(parameter)], 0.0
            groups.setdefault((rate, decay), []).append(parameter)
        return [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]

    def _rate(self, name: str, depths: Mapping[str, int]) -> float:
        if match := LAYER.search(name):
            below_top = depths[name[: match.start()]] - 1 - int(match[1])
        else:
            below_top = max(depths.values(), default=0) if EMBEDDING.search(name) else 0
        return self.lr * self.layer_decay**below_top


def _depths(names: Iterable[str]) -> dict[str, int]:
    """What stands before the number of a layer in parameters' names → how many layers there are."""
    found: dict[str, int] = {}
    for name in names:
        if match := LAYER.search(name):
            stack = name[: match.start()]
            found[stack] = max(found.get(stack, 0), 1 + int(match[1]))
    return found


def _named(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Parameters by name; a parametrized weight has that of the plain one."""
    return ((PARAMETRIZATION.sub(r"\1", name), parameter) for name, parameter in model.named_parameters())


def _own_rates(model: nn.Module) -> dict[int, float]:
    """id of a parameter → the rate that its module asks for."""
    asking = [(module, getattr(module, "own_lr", None)) for module in model.modules()]
    return {
        id(parameter): float(rate)
        for module, rate in asking
        if isinstance(rate, int | float)
        for parameter in module.parameters()
    }
