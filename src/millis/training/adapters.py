"""Adapters: training a few weights beside frozen ones, and adding them in afterwards. Through `peft`.

    LoRA       W' = W + α/r B A,         A [r, I], B [O, r], B = 0 at first            (Hu et al. 2021, 2106.09685)
    AdaLoRA    W' = W + α/r P diag(λ) Q, λ = 0 at first, ranks moved between matrices   (Zhang et al. 2023, 2303.10512)

Only these and the head are trained. `merge` then adds them to W, and what is left is the plain model: same names, same
spec, same latency. Adapters that stay in the graph (Houlsby et al. 2019, 1902.00751, who put a bottleneck and a
nonlinearity after each sublayer, and prefixes and prompts) have no merged form and cost time in every request, so they
are not offered.

`peft` replaces linear layers in place, under the same dotted names (`….query.base_layer.weight`, `….query.lora_A.…`),
so layer-wise rates, checkpoints and resuming work as for the plain model.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytorch_lightning as pl
from torch import nn

from millis.errors import MillisError
from millis.models.matrices import find
from millis.training.rank_allocation import RankAllocation
from millis.traits import FREEZES, IN_TRAINING, MOVES_WEIGHTS, Reasons, Traits

OPTION = "adapter.matrices"
ADAPTER = "default"  # peft's name for the only one


def none() -> None:
    """Every weight is trained: what `conf/adapter/none.yaml` asks for."""


class _Adapter:
    """What both say to other methods."""

    traits: ClassVar[Traits] = (IN_TRAINING, FREEZES)
    refuses: ClassVar[Reasons] = {
        MOVES_WEIGHTS: "adapter and {other} in one training contradict each other: an adapter freezes the "
        "weights that {other} must change. Choose adapter=none, or compress a teacher that was fine-tuned with "
        "teacher.adapter"
    }


@dataclass(frozen=True)
class Lora(_Adapter):
    """LoRA.

    Args:
        matrices: Linear layers that get one: roles, or names with wildcards; see `millis.models.matrices`.
        rank: r.
        alpha: α; the update is scaled by α / r, so that another rank needs no other learning rate.
        dropout: On the adapters' inputs.

    Raises:
        MillisError: sizes that cannot be.
    """

    matrices: Sequence[str]
    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _at_least_one("rank", self.rank)
        _check(self.alpha, self.dropout)

    def wrap(self, model: Any) -> list[pl.Callback]:
        """Put the adapters into `model`, in place, and freeze all else but its head.

        Returns:
            What must accompany the training: nothing.

        Raises:
            MillisError: `peft` is not installed, or a pattern that names no linear layer.
        """
        config = _peft().LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=_targets(model, self.matrices)
        )
        _inject(config, model)
        return []


@dataclass(frozen=True)
class AdaLora(_Adapter):
    """AdaLoRA: starts with more rank than is asked for and takes it, triplet by triplet, where the loss feels it least.

    Args:
        matrices: As for `Lora`; with all of a layer's there is most to choose from.
        target_rank: Mean rank of a matrix in the end.
        initial_rank: Rank of each at first, above `target_rank`; 1.5 times it in the paper.
        alpha: α.
        dropout: On the adapters' inputs.
        warmup: Share of all steps before ranks begin to fall.
        final: Share of all steps after they have settled; the best epoch is one of these.
        interval: Steps between two allocations.
        orthogonality: γ, weight of the penalty that keeps P and Q orthogonal.

    Raises:
        MillisError: sizes or shares that leave nothing to allocate.
    """

    matrices: Sequence[str]
    target_rank: int = 8
    initial_rank: int = 12
    alpha: float = 16.0
    dropout: float = 0.0
    warmup: float = 0.1
    final: float = 0.4
    interval: int = 10
    orthogonality: float = 0.1

    def __post_init__(self) -> None:
        for name in ("target_rank", "interval"):
            _at_least_one(name, getattr(self, name))
        _check(self.alpha, self.dropout)
        if self.initial_rank <= self.target_rank:
            raise MillisError(
                f"adapter.initial_rank={self.initial_rank} leaves nothing to take away: expected more than "
                f"target_rank={self.target_rank}, for example {max(self.target_rank + 1, self.target_rank * 3 // 2)}"
            )
        if self.warmup < 0 or self.final <= 0 or self.warmup + self.final >= 1:
            raise MillisError(
                f"adapter.warmup={self.warmup}, final={self.final}: expected shares of the steps that add up to less "
                "than 1, final above 0"
            )
        if self.orthogonality < 0:
            raise MillisError(f"adapter.orthogonality={self.orthogonality}: expected 0 or more")

    def wrap(self, model: Any) -> list[pl.Callback]:
        """As `Lora.wrap`.

        Returns:
            The callback that allocates ranks.
        """
        config = _peft().AdaLoraConfig(
            target_r=self.target_rank, init_r=self.initial_rank, lora_alpha=self.alpha, lora_dropout=self.dropout,
            deltaT=self.interval, total_step=1, target_modules=_targets(model, self.matrices),
        )  # fmt: skip
        _inject(config, model)
        return [RankAllocation(config, self.warmup, self.final, self.orthogonality, ADAPTER)]


def merge(model: Any) -> Any:
    """Add the adapters to the weights they stand beside and take them out, in place: the plain model, all trainable.

    Raises:
        MillisError: an adapter whose weights are not finite.
    """
    tuner_layer = importlib.import_module("peft.tuners.tuners_utils").BaseTunerLayer
    for name, layer in [(n, m) for n, m in model.named_modules() if isinstance(m, tuner_layer)]:
        try:
            layer.merge(safe_merge=True)
        except ValueError as error:
            raise MillisError(
                f"the adapter of {name} diverged: its weights are not finite. Lower optimizer.lr"
            ) from error
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.get_base_layer())
    return model.requires_grad_(True)


def _inject(config: Any, model: Any) -> None:
    _peft().inject_adapter_in_model(config, model, ADAPTER)
    model.head.requires_grad_(True)  # starts untrained


def _targets(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    found = find(model, patterns, OPTION)
    if tables := [name for name, matrix in found.items() if not isinstance(matrix, nn.Linear)]:
        raise MillisError(f"{OPTION} names {tables[0]}, which is no linear layer. Leave it out")
    if any(name.split(".")[0] == "head" for name in found):
        raise MillisError(f"{OPTION} names the head, which is trained whole. Name layers of the encoder")
    return list(found)


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise MillisError(f"adapter.{name}={value}: expected at least 1")


def _check(alpha: float, dropout: float) -> None:
    if alpha <= 0 or not 0 <= dropout < 1:
        raise MillisError(f"adapter.alpha={alpha}, dropout={dropout}: expected alpha above 0, dropout from 0 up to 1")


def _peft() -> Any:
    try:
        return importlib.import_module("peft")
    except ImportError as error:
        raise MillisError("adapters are trained with peft: pip install 'millis[peft]', or adapter=none") from error
