"""Granularity: what is removed together. One file each; the contract."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from millis.errors import MillisError
from millis.pruning import allocation as allocations
from millis.pruning.group import Group
from millis.pruning.targets import Targets
from millis.traits import Traits


class Granularity(ABC):
    """Cuts a model into prunable units, and says which sets of them may go.

    Members:
        structural: Whether units are whole parts of a transformer, so that a smaller dense model is left.
    """

    structural: ClassVar[bool]
    traits: ClassVar[Traits] = ()  # that a pruning by it has

    @abstractmethod
    def groups(self, model: Any, targets: Targets) -> list[Group]:
        """The units of `model`, of the layers that `targets` selects.

        Raises:
            MillisError: a target that matches nothing, a shape that the granularity does not divide, or an
                architecture whose parts it does not know.
        """

    def check(self, sparsity: float) -> None:
        """Refuse a final sparsity that units like these cannot have.

        Raises:
            MillisError: with those that they can.
        """
        if isinstance(sparsity, bool) or not 0 <= sparsity < 1:
            raise MillisError(
                f"pruning.sparsity={sparsity}: expected the share of weights to remove, from 0 up to 1, 1 "
                "excluded (0.5 removes half)"
            )

    def keep(self, groups: Sequence[Group], scores: Sequence[Tensor], sparsity: float, allocation: str) -> list[Tensor]:
        """For each group True where a unit stays, when a share `sparsity` of the weights goes: the highest scores.

        Args:
            scores: Of each group's units, of its shape; higher is worth more.
            allocation: `global` or `local`, see `millis.pruning.allocation`.
        """
        return allocations.keep(groups, scores, sparsity, allocation)
