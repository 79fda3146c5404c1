"""Pruning: criterion, granularity, schedule and target composed; on to a model, through training, and off again."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from millis import models
from millis.errors import MillisError
from millis.models.selection import Selection, selected_spec, whole
from millis.models.spec import Spec
from millis.models.transformer_spec import TransformerSpec
from millis.pruning import allocation as allocations
from millis.pruning.criterion import Criterion
from millis.pruning.granularity import Granularity
from millis.pruning.group import FFN, HEADS, HIDDEN, LAYERS, Group
from millis.pruning.mask import Masks, masks_of
from millis.pruning.schedule import Plan, Schedule
from millis.pruning.targets import Targets
from millis.traits import IN_TRAINING, MIXES, MOVES_WEIGHTS, Reasons, Traits

MIXED = (
    "factorization comes before training, and pruning whole heads, neurons, channels or layers after it finds no "
    "matrices to cut: their rows and columns are mixed. Choose pruning=to_latency, which comes before factorization, "
    "or a granularity of single weights"
)


@dataclass(frozen=True, eq=False)
class Pruning:
    """Sparsity that grows during training.

    Args:
        criterion: How weights are scored.
        granularity: What is removed together.
        schedule: How sparsity grows with steps.
        sparsity: Share of the prunable weights that is gone in the end, in [0, 1).
        targets: Regular expressions of layer names, one or several, searched anywhere in a name; None prunes
            everything that the granularity finds.
        allocation: `global` (one threshold for all layers) or `local` (the same share in every layer).

    Raises:
        MillisError: a sparsity or an allocation that is none, or that the granularity cannot have.
    """

    criterion: Criterion
    granularity: Granularity
    schedule: Schedule
    sparsity: float
    targets: Targets = None
    allocation: str = "global"

    def __post_init__(self) -> None:
        self.granularity.check(self.sparsity)
        allocations.check(self.allocation)

    before_training: ClassVar[bool] = False

    @property
    def traits(self) -> Traits:
        """It acts in training; what its granularity takes away may be what others build on."""
        return (IN_TRAINING, MOVES_WEIGHTS, *self.granularity.traits)

    @property
    def refuses(self) -> Reasons:
        """Whole parts are cut only where they can be told apart."""
        return {MIXES: MIXED} if self.structural else {}

    @property
    def structural(self) -> bool:
        """Whether whole parts of a transformer are pruned, so that a smaller dense model is left."""
        return self.granularity.structural

    def final_spec(self, spec: Spec) -> Spec | None:
        """The architecture that training ends with, shrunk; None where it depends on what training finds.

        It is known where single weights are pruned (the shape stays), where every layer loses the same share
        (`allocation=local`), for hidden channels, and for layers that are all of one size.

        Raises:
            MillisError: as `attach`, before anything is trained.
        """
        groups = self.granularity.groups(models.build(spec), self.targets)
        keep = self._check(groups)
        if not self.structural:
            return spec
        assert isinstance(spec, TransformerSpec), "it has parts that go as a whole"
        known = self.allocation == "local" or len(groups) == 1
        if any(group.kind == LAYERS for group in groups):
            known = len(set(zip(spec.known_shape.heads, spec.known_shape.ffn, strict=True))) == 1
        return selected_spec(spec, kept(spec, groups, keep)) if known else None

    def attach(self, model: nn.Module) -> Masks:
        """Put masks that keep everything on `model`; those that are there already stay.

        Raises:
            MillisError: nothing of the model can be pruned so, or nothing would be left.
        """
        if (masks := masks_of(model)) is None:
            groups = self.granularity.groups(model, self.targets)
            self._check(groups)
            # A criterion keeps what it has seen: each model has its own.
            masks = Masks(model, groups, copy.deepcopy(self.criterion))
        return masks

    def plan(self, total: int, epoch: int) -> Plan:
        """When masks change.

        Args:
            total: Optimizer steps of the training.
            epoch: Of an epoch.

        Raises:
            MillisError: the schedule is longer than the training, or prunes before there is anything to score by.
        """
        plan = self.schedule.plan(total, epoch)
        if self.criterion.observes and plan.share(0) > 0:
            raise MillisError(
                f"pruning.criterion={type(self.criterion).__name__} scores weights by what it sees in training, but "
                "the schedule prunes before the first step: set pruning.schedule.warmup to 1 or more, such as '10%'"
            )
        return plan

    @torch.no_grad()
    def prune(self, masks: Masks, share: float) -> None:
        """Set masks anew, to `share` of the final sparsity."""
        masks.set(self.granularity.keep(masks.groups, masks.scores(), share * self.sparsity, self.allocation))

    def finish(self, model: nn.Module) -> tuple[nn.Module, Selection | None]:
        """Take the masks off `model`: it is plain again, what was pruned is zero.

        Returns:
            The model; and what is left of it, for `millis.pruning.shrink.shrink`, where whole parts were pruned. Heads
            and neurons may also stay as zeros; hidden channels and layers are pruned by the shrunk model alone, for
            plain norms take their mean over zeros too, and a plain block runs.

        Raises:
            MillisError: there are no masks on it.
        """
        masks = masks_of(model)
        if masks is None:
            raise MillisError("this model carries no pruning masks to finish: attach and train it first")
        keep = [masks.masks[index] != 0 for index in range(len(masks.groups))]
        selection = kept(cast(Any, model).spec, masks.groups, keep) if self.structural else None
        masks.remove(model)
        return model, selection

    def _check(self, groups: Sequence[Group]) -> list[Tensor]:
        """Refuse a sparsity that leaves nothing, whatever the scores; what stays if all of them are alike."""
        scores = [torch.zeros(group.shape) for group in groups]
        keep = self.granularity.keep(groups, scores, self.sparsity, self.allocation)
        for kind in {group.kind for group in groups}:
            of_kind = [stays for group, stays in zip(groups, keep, strict=True) if group.kind == kind]
            if not any(stays.any() for stays in of_kind):
                units = sum(stays.numel() for stays in of_kind)
                raise MillisError(
                    f"pruning.sparsity={self.sparsity} would remove all {units} {kind}: choose a smaller one"
                )
        return keep


def kept(spec: TransformerSpec, groups: Sequence[Group], keep: Sequence[Tensor]) -> Selection:
    """What is left of a transformer of `spec`: for each group True where a unit stays."""
    everything = whole(spec)
    left = {
        (group.kind, group.layer): stays.cpu().nonzero().flatten() for group, stays in zip(groups, keep, strict=True)
    }
    layers = [layer for layer in everything.layers if len(left.get((LAYERS, layer), [layer]))]
    return Selection(
        layers=layers,
        hidden=left.get((HIDDEN, None), everything.hidden),
        heads=[left.get((HEADS, layer), everything.heads[layer]) for layer in layers],
        ffn=[left.get((FFN, layer), everything.ffn[layer]) for layer in layers],
    )


def none() -> None:
    """All weights stay: what `conf/pruning/none.yaml` asks for."""
