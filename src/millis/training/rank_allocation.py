"""AdaLoRA's schedule (Zhang et al. 2023, 2303.10512): which matrices keep how much rank, decided while they train.

An update is P diag(λ) Q; a triplet is one λ with its row of Q and column of P. After each step every weight's
sensitivity I = |w ∂L/∂w| goes into two running means, of I and of |I - its mean|, whose product is the weight's score.
The budget of triplets falls from the initial to the target one,

    b(t) = b_target + (b_initial - b_target) (1 - (t - t_warmup) / (T - t_final - t_warmup))³

and the λ of the triplets with the lowest scores over all matrices become 0. After T - t_final steps nothing is chosen
any more: what is 0 stays so.

peft computes scores and masks; this drives it from Lightning, keeps its state in checkpoints, and adds the gradient of
the orthogonality penalty γ/n Σ (||P'P - I||_F + ||Q Q' - I||_F), over the n matrices P and Q, as the authors' code has
it (the paper squares the norms).
"""

import importlib
from typing import Any

import pytorch_lightning as pl
import torch

from millis.errors import MillisError
from millis.training.added import add_gradient
from millis.training.module import planned_steps

RUNNING = ("exp_avg_ipt", "exp_avg_unc")


class RankAllocation(pl.Callback):
    """Allocates AdaLoRA's ranks.

    Args:
        config: peft's `AdaLoraConfig`, whose steps are filled in when their number is known.
        warmup: Share of all steps before ranks begin to fall.
        final: Share of all steps after they have settled.
        orthogonality: γ.
        adapter: peft's name of the adapter.
    """

    def __init__(self, config: Any, warmup: float, final: float, orthogonality: float, adapter: str) -> None:
        self.config, self.adapter = config, adapter
        self.warmup, self.final, self.orthogonality = warmup, final, orthogonality
        self.ranks: dict[str, list[bool]] = {}  # λ's name → which of them are kept
        self.settled = False
        self._restored: dict[str, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Turn shares into steps.

        Raises:
            MillisError: too few steps to allocate in.
        """
        total = planned_steps(trainer, pl_module)
        config = self.config
        config.total_step, config.tinit, config.tfinal = total, int(self.warmup * total), int(self.final * total)
        if config.tinit + 1 >= total - config.tfinal:
            raise MillisError(
                f"adapter=adalora has {total} steps to train in and none to allocate ranks in: expected ten or more. "
                "Train longer, take smaller batches, or choose adapter=lora"
            )
        layer = importlib.import_module("peft.tuners.adalora.layer")
        self.allocator = layer.RankAllocator(pl_module, config, self.adapter)
        for name in RUNNING:
            setattr(self.allocator, name, {k: v.to(pl_module.device) for k, v in self._restored.get(name, {}).items()})
        self.step = trainer.global_step
        self.allocator.ipt = dict(self.allocator.exp_avg_ipt)  # its keys say which means have begun

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the penalty's gradient: the objective knows logits only."""
        if self.orthogonality == 0:
            return
        factors = [
            parameter if "lora_A" in name else parameter.T
            for name, parameter in pl_module.named_parameters()
            if name.endswith((f"lora_A.{self.adapter}", f"lora_B.{self.adapter}"))
        ]
        penalty = torch.stack([orthogonality(factor) for factor in factors]).mean()
        add_gradient(trainer, self.orthogonality * penalty)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Score and mask after the optimizer's step, if one was made; its gradients are still there."""
        if trainer.global_step == self.step:
            return
        self.step = step = trainer.global_step
        last = self.config.total_step - self.config.tfinal
        forget_overflow(pl_module)
        if step <= last:
            # The last allocation is forced: `interval` need not divide the steps.
            _, ranks = self.allocator.update_and_allocate(pl_module, step, force_mask=step == last)
            self.ranks = ranks or self.ranks
        elif self.ranks:
            self.allocator.mask_using_rank_pattern(pl_module, self.ranks)
        self.settled = step >= last

    def state_dict(self) -> dict[str, Any]:
        """Ranks, running means, and whether ranks have settled."""
        running = {name: getattr(self.allocator, name) for name in RUNNING} if hasattr(self, "allocator") else {}
        return {"ranks": self.ranks, "settled": self.settled, **running}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.ranks, self.settled, self._restored = state_dict["ranks"], state_dict["settled"], state_dict


def forget_overflow(model: torch.nn.Module) -> None:
    """Under fp16 a step that overflowed was not made; its gradients would stay in the running means for good."""
    for parameter in model.parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            parameter.grad.zero_()


def orthogonality(rows: torch.Tensor) -> torch.Tensor:
    """||R R' - I||_F of R [r, I]: 0 where its rows are orthonormal."""
    norm: torch.Tensor = torch.linalg.matrix_norm(
        rows @ rows.T - torch.eye(len(rows), device=rows.device, dtype=rows.dtype)
    )
    return norm
