"""What a setting costs in latency: a table made of a few settings that were timed.

The latency of a setting is taken as a sum, in milliseconds of one request: at each hidden width D

    latency(L, H, F) = base + L · (layer + a(H) + b(F))          a(fewest) = b(fewest) = 0

as in `millis.pruning.latency`, whose table is of one depth: there the layers differ, here they are alike and their
number is a size. a and b are what was timed at the trained sizes, made not to fall; between sizes, of channels too,
latency lies on a straight line. A quantile other than the median is taken to be the same multiple of it everywhere.

The table steers a search; what is reported is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from millis.elastic.setting import Axes, Setting
from millis.errors import MillisError
from millis.pruning.latency import rising

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Width:
    """Latency at one hidden width, milliseconds.

    Args:
        hidden: D.
        base_ms: Whatever does not grow with layers.
        layer_ms: Of a layer with the fewest heads and neurons.
        heads_ms, ffn_ms: a and b of each size of the axes, not falling from 0.
    """

    hidden: int
    base_ms: float
    layer_ms: float
    heads_ms: tuple[float, ...]
    ffn_ms: tuple[float, ...]


@dataclass(frozen=True)
class SettingTable:
    """Latency by setting.

    Args:
        axes: Whose sizes were timed.
        widths: One for each hidden width, ascending.
        tails: Quantile (0..1) → how many times the median it is.
    """

    axes: Axes
    widths: tuple[Width, ...]
    tails: Mapping[float, float]

    def latency_ms(self, setting: Setting, quantile: float = 0.5) -> float:
        """Of one request."""
        found = [self._at(width, setting) for width in self.widths]
        median = float(np.interp(setting.hidden, [width.hidden for width in self.widths], found))
        return median * self.tails.get(quantile, 1.0)

    def scaled(self, factor: float) -> "SettingTable":
        """The same, all of it so many times as long: what a measurement says of a table that was too quick."""
        widths = [
            Width(
                one.hidden, factor * one.base_ms, factor * one.layer_ms, _times(factor, one.heads_ms),
                _times(factor, one.ffn_ms),
            )
            for one in self.widths
        ]  # fmt: skip
        return replace(self, widths=tuple(widths))

    def _at(self, width: Width, setting: Setting) -> float:
        heads = float(np.interp(setting.heads, self.axes.heads, width.heads_ms))
        ffn = float(np.interp(setting.ffn, self.axes.ffn, width.ffn_ms))
        return width.base_ms + setting.layers * (width.layer_ms + heads + ffn)

    @classmethod
    def from_probes(
        cls, axes: Axes, samples_ms: Mapping[Setting, Sequence[float]], quantiles: Sequence[float] = ()
    ) -> "SettingTable":
        """The table that explains the medians of `probes` best: least squares of relative errors, then made to rise.

        Args:
            samples_ms: Latencies of single requests of each of `probes(axes)`.
            quantiles: Of which the table is to tell. All probes' latencies, each over its probe's median, are taken
                together, for those of one alone are too few.

        Raises:
            MillisError: a probe without latencies, or with one that is no positive number.
        """
        for setting in probes(axes):
            found = samples_ms.get(setting, ())
            if not (len(found) and all(np.isfinite(one) and one > 0 for one in found)):
                raise MillisError(
                    f"the probe of {describe(setting)} took {list(found)[:3]} ms: expected positive numbers. Measure "
                    "the table again"
                )
        medians = {setting: float(np.median(samples_ms[setting])) for setting in probes(axes)}
        relative = np.concatenate([np.asarray(samples_ms[setting]) / medians[setting] for setting in medians])
        tails = {quantile: max(1.0, float(np.quantile(relative, quantile))) for quantile in quantiles}
        widths = tuple(_width(axes, hidden, medians) for hidden in axes.hidden)
        return cls(axes, widths, tails)


def probes(axes: Axes) -> list[Setting]:
    """The settings to time: at each hidden width every size of an axis beside the largest of the others, and the
    corners of the shallowest and of the narrowest. Some nine for four sizes of layers, three of heads, four of neurons.
    """
    found: dict[Setting, None] = {}
    for hidden in axes.hidden:
        few, most = replace(axes.smallest, hidden=hidden), replace(axes.largest, hidden=hidden)
        narrow = replace(few, layers=most.layers)
        sizes = [replace(most, heads=heads) for heads in axes.heads]
        sizes += [replace(most, ffn=ffn) for ffn in axes.ffn]
        found |= dict.fromkeys([*sizes, narrow, replace(most, layers=few.layers), few])
    return list(found)


def describe(setting: Setting) -> str:
    """`2 layers, 12 heads, 768 neurons, 384 channels`."""
    layers = f"{setting.layers} layer{'' if setting.layers == 1 else 's'}"
    return f"{layers}, {setting.heads} heads, {setting.ffn} neurons, {setting.hidden} channels"


def _width(axes: Axes, hidden: int, medians: Mapping[Setting, float]) -> Width:
    timed = {setting: ms for setting, ms in medians.items() if setting.hidden == hidden}
    deep = len(axes.layers) > 1  # else what a layer takes and what does not grow with layers are one
    latencies: Floats = np.array(list(timed.values()))
    rows = [
        [
            1, *([one.layers] if deep else []), *(one.layers * (one.heads == size) for size in axes.heads[1:]),
            *(one.layers * (one.ffn == size) for size in axes.ffn[1:]),
        ]
        for one in timed
    ]  # fmt: skip
    matrix: Floats = np.array(rows, dtype=np.float64)
    solution = np.linalg.lstsq(matrix / latencies[:, None], np.ones(len(timed)), rcond=None)[0]
    base, layer, rest = solution[0], solution[1] if deep else 0.0, solution[1 + deep :]
    heads, ffn = (
        rising(np.concatenate([[0.0], part])) for part in (rest[: len(axes.heads) - 1], rest[len(axes.heads) - 1 :])
    )
    layer += heads[0] + ffn[0]  # what rising made of the smallest sizes
    return Width(
        hidden, max(0.0, float(base)), max(0.0, float(layer)), tuple((heads - heads[0]).tolist()),
        tuple((ffn - ffn[0]).tolist()),
    )  # fmt: skip


def _times(factor: float, values: Sequence[float]) -> tuple[float, ...]:
    return tuple(factor * value for value in values)
