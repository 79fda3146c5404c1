"""Pruning to a latency: fewer heads and neurons in each layer, chosen after training, without training again.

Kwon et al. 2022 (2204.09656): importance from the Fisher information of gates, a choice under a latency constraint,
rearrangement within sublayers, and reconstruction of what they wrote. The steps are functions of a model and texts;
timing is the caller's:

    table = LatencyTable.from_probes(...)                       models timed on the backend, once
    importance = pruning.importance(model, batches)             once
    target_ms = pruning.first_target_ms(table.latency_ms(shape.heads, shape.ffn))    of the unpruned model
    up to 1 + pruning.refine times:
        keep = pruning.choose(table, importance, target_ms)
        speedup = (measured latency of model.spec) / (measured latency of selected_spec(model.spec, keep))
        leave if pruning.reached(speedup)
        target_ms = pruning.next_target_ms(target_ms, speedup)
    small = pruning.apply(model, keep, batches)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from millis.data.batches import Batch
from millis.errors import MillisError
from millis.models.encoder import Transformer
from millis.models.selection import Selection
from millis.pruning import fisher_mask
from millis.pruning.choice import kept_within
from millis.pruning.granularity import parts
from millis.pruning.latency import STEPS, LatencyTable
from millis.pruning.reconstruct import reconstruct
from millis.pruning.shrink import shrink
from millis.traits import RESHAPES, Traits


@dataclass(frozen=True)
class ToLatency:
    """Prune heads and neurons until a request is answered `target_speedup` times as fast.

    Args:
        target_speedup: Latency of the unpruned model / latency of the pruned one, on the backend; above 1.
        steps: Of the latency table: so many numbers of heads, and of neurons, are timed, in a model each.
        samples: Training texts for importance and reconstruction.
        rearrange: Swap units within sublayers by their joint importance (section 4.2).
        rescale: Refit the outputs of pruned sublayers (section 4.3).
        refine: How often the outcome is measured and the choice made again for a corrected target.
        tolerance: Leave it at a measured speed-up within this share of the target.

    Raises:
        MillisError: a setting out of its range.
    """

    target_speedup: float
    steps: int = STEPS
    samples: int = 2048
    rearrange: bool = True
    rescale: bool = True
    refine: int = 3
    tolerance: float = 0.05
    before_training: ClassVar[bool] = True
    keeps_shape: ClassVar[bool] = False
    traits: ClassVar[Traits] = (RESHAPES,)

    def __post_init__(self) -> None:
        if not 1 < self.target_speedup < float("inf"):
            raise MillisError(
                f"pruning.target_speedup={self.target_speedup}: expected above 1, such as 2 for half the latency; "
                "pruning=none keeps the model"
            )
        if self.steps < 1:
            raise MillisError(f"pruning.steps={self.steps}: expected at least 1; 12 times every head of BERT-base")
        if self.samples < 1:
            raise MillisError(
                f"pruning.samples={self.samples}: expected at least 1 training text; some 2,000 are usual"
            )
        if self.refine < 0:
            raise MillisError(f"pruning.refine={self.refine}: expected 0 (trust the latency table) or more")
        if not 0 < self.tolerance < 1:
            raise MillisError(f"pruning.tolerance={self.tolerance}: expected a share of the speed-up between 0 and 1")

    def rows(self, total: int, seed: int) -> list[int]:
        """Which of `total` training rows to take: `samples` of them at random, or all where there are fewer."""
        order = np.random.default_rng(seed).permutation(total)
        return sorted(order[: self.samples].tolist())

    def importance(self, model: Transformer, batches: Sequence[Batch]) -> fisher_mask.GateGradients:
        """What `choose` goes by: gate gradients of each example, for Fisher information and its interactions. The error
        of reconstruction, ZipLM's score (2302.04089), comes in afterwards, where weights are refitted to it.

        Raises:
            MillisError: as `fisher_mask.gate_gradients`, and as `parts.known`.
        """
        parts.known(model, "to a latency")
        return fisher_mask.gate_gradients(model, batches)

    def choose(self, table: LatencyTable, importance: fisher_mask.GateGradients, target_ms: float) -> Selection:
        """The heads and neurons to keep for a latency of at most `target_ms` by the table; all layers and channels.

        Raises:
            MillisError: as `choice.kept_within`; its message has the fastest speed-up there is.
        """
        kept = kept_within(table, *importance.fisher(), target_ms)
        heads, ffn = kept
        if self.rearrange:
            heads = [fisher_mask.rearrange(*pair) for pair in zip(importance.heads, heads, strict=True)]
            ffn = [fisher_mask.rearrange(*pair) for pair in zip(importance.ffn, ffn, strict=True)]
        return Selection(list(range(len(heads))), torch.arange(importance.hidden_size), heads, ffn)

    def apply(self, model: Transformer, selection: Selection, batches: Sequence[Batch]) -> Transformer:
        """The smaller dense model, its outputs refitted on `batches` where `rescale` is on; `model` stays as it is.

        Raises:
            MillisError: as `shrink` and `reconstruct`.
        """
        small = shrink(model, selection)
        if self.rescale:
            reconstruct(small, model, selection, batches)
        return small

    def first_target_ms(self, dense_ms: float) -> float:
        """What to ask of the table at first, given the unpruned model's latency by that table: a table
        and a latency that were measured minutes apart can differ by more than pruning saves."""
        return dense_ms / self.target_speedup

    def next_target_ms(self, target_ms: float, speedup: float) -> float:
        """What to ask next when asking for `target_ms` gave the measured `speedup`."""
        return target_ms * speedup / self.target_speedup

    def outcome(self, speedup: float) -> str:
        """For the record: what was asked for and what the result was measured to be."""
        near = "" if self.reached(speedup) else "; of what was tried nothing comes nearer"
        return (
            f"pruned to be {self.target_speedup:g} times as fast as the model before, and measured to be {speedup:.2f} "
            f"times{near}"
        )

    def reached(self, speedup: float) -> bool:
        """Whether a measured speed-up is near enough."""
        return abs(speedup / self.target_speedup - 1) <= self.tolerance
