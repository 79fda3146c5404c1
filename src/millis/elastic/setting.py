"""Settings: at which depth and widths one set of weights runs, each a prefix of the larger; and the sizes there are."""

from dataclasses import astuple, dataclass
from functools import cached_property
from itertools import product

import torch

from millis.models.selection import Selection
from millis.models.student import uniform_layers
from millis.models.transformer_spec import TransformerSpec


@dataclass(frozen=True)
class Setting:
    """Sizes of one student inside of elastic weights; each of its layers has so many heads and neurons.

    Args:
        layers: L', taken at even distances, the last among them (`millis.models.student.uniform_layers`).
        hidden: D'.
        heads: H'.
        ffn: F'.
    """

    layers: int
    hidden: int
    heads: int
    ffn: int

    def selection(self, spec: TransformerSpec) -> Selection:
        """The first channels, heads and neurons of a model of `spec`, in its layers at even distances."""
        kept = uniform_layers(spec.layers, self.layers)
        return Selection(
            layers=kept,
            hidden=torch.arange(self.hidden),
            heads=[torch.arange(self.heads) for _ in kept],
            ffn=[torch.arange(self.ffn) for _ in kept],
        )


@dataclass(frozen=True)
class Axes:
    """The sizes that weights are trained at, each axis ascending.

    Args:
        layers, hidden, heads, ffn: Counts.
        head_size: Channels of a head.
    """

    layers: tuple[int, ...]
    hidden: tuple[int, ...]
    heads: tuple[int, ...]
    ffn: tuple[int, ...]
    head_size: int

    @property
    def each(self) -> tuple[tuple[int, ...], ...]:
        """In the order of a `Setting`."""
        return self.layers, self.hidden, self.heads, self.ffn

    @property
    def largest(self) -> Setting:
        """The most of everything."""
        return Setting(*(sizes[-1] for sizes in self.each))

    @property
    def smallest(self) -> Setting:
        """The least of everything."""
        return Setting(*(sizes[0] for sizes in self.each))

    @property
    def middle(self) -> Setting:
        """The middle size of each axis, of two the larger."""
        return Setting(*(sizes[len(sizes) // 2] for sizes in self.each))

    def work(self, setting: Setting) -> int:
        """Numbers in the matrices of a setting's blocks, gates left out: what its time goes by."""
        return setting.layers * setting.hidden * (4 * setting.heads * self.head_size + 2 * setting.ffn)

    @cached_property
    def by_work(self) -> list[Setting]:
        """Every setting, the one of least work first."""
        every = [Setting(*sizes) for sizes in product(*self.each)]
        return sorted(every, key=lambda one: (self.work(one), astuple(one)))
