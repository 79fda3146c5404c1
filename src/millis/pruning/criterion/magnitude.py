"""Magnitude: small weights matter little (Han et al. 2015, 1506.02626; Zhu & Gupta 2017, 1710.01878)."""

from torch import Tensor

from millis.pruning.criterion import Criterion


class Magnitude(Criterion):
    """Σ |w| over the weights of a unit, as they are at that moment."""

    def scores(self, index: int) -> Tensor:
        """|w| of single weights; for units, the L1 norm as in Li et al. 2017 (1608.08710, section 3.1)."""
        return self.groups[index].total(lambda tiles: tiles.values.abs())
