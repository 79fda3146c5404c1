"""Token pruning as a Lightning callback: thresholds are learned softly, then frozen and obeyed."""

from typing import Any, cast

import pytorch_lightning as pl

from millis.errors import MillisError
from millis.models.token_pruning import TokenDropping
from millis.token_pruning.recipe import TokenPruning
from millis.training.added import add_gradient


class TokenPruningCallback(pl.Callback):
    """Learns the thresholds of `module.model`. Logged: `tokens/share` and `tokens/penalty` while they are learned, and
    `tokens/threshold/<layer>` with every validation.

    Args:
        tokens: The recipe.

    Members:
        settled: Whether thresholds are final.

    Raises:
        MillisError: several processes.
    """

    def __init__(self, tokens: TokenPruning) -> None:
        self.tokens = tokens
        self.settled = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Ask for the thresholds' rate, before there is an optimizer."""
        if stage == "fit":
            self.soft_steps = max(1, round(self.tokens.soft * int(trainer.estimated_stepping_batches)))
            _dropping(pl_module).learned.own_lr = self.tokens.rate(self.soft_steps)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on where a resumed run stands."""
        if trainer.world_size > 1:
            raise MillisError(
                f"tokens on {trainer.world_size} processes: each would learn thresholds from its own texts. Choose "
                "trainer.devices=1, or tokens=none"
            )
        self.step = trainer.global_step
        self._advance(_dropping(pl_module))

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the penalty's gradient."""
        if self.settled:
            return
        share = _dropping(pl_module).soft_share()
        penalty = self.tokens.penalty(share, (self.step + 1) / self.soft_steps)  # what this step is to lead to
        add_gradient(trainer, penalty)
        pl_module.log("tokens/share", share.detach())
        pl_module.log("tokens/penalty", penalty.detach())

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Cool the gates; freeze the thresholds when their time is over."""
        if trainer.global_step != self.step:
            self.step = trainer.global_step
            self._advance(_dropping(pl_module))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the thresholds."""
        if not trainer.sanity_checking:
            dropping = _dropping(pl_module)
            for layer, value in zip(dropping.spec.tokens, dropping.learned.logarithms.exp().tolist(), strict=True):
                pl_module.log(f"tokens/threshold/{layer}", value)

    def _advance(self, dropping: TokenDropping) -> None:
        progress = self.step / self.soft_steps
        if progress < 1:
            dropping.temperature = self.tokens.temperature(progress)
        elif not self.settled:
            self.settled = True
            dropping.harden()


def _dropping(module: Any) -> TokenDropping:
    return cast(TokenDropping, module.model.between)
