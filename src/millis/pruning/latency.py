"""What each layer's heads and neurons cost in latency: a table made of whole models that were timed.

The latency of a model is taken as a sum, in milliseconds of one request:

    latency(heads, ffn) = base + sum_l a(heads_l) + b(ffn_l)          a(fewest) = b(fewest) = 0

where a and b are functions on a grid: matrix products run in blocks, so latency has steps and floors that no line fits.
Kwon et al. 2022 (2204.09656, section 4.1) time one sublayer alone and fit "constant, then linear" to it. Here models
whose layers are all alike are timed as they are deployed, text to answer, so the table holds what fused operators,
caches and the runtime make of a sublayer, and is used as it is. Layers of one size are taken to cost the same wherever
they stand.

The table steers a search; what is reported is measured. all-MiniLM-L6-v2 on ONNX Runtime int8, 16 tokens, one busy
core: of four models with uneven random layers a table of 14 probes foretold 2 to 11 % too much, one of
multiply-accumulates 7 to 18 % too little.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError
from millis.models import anatomy
from millis.models.spec import Shape
from millis.models.transformer_spec import TransformerSpec

STEPS = 12  # of a grid: BERT-base's and MiniLM's heads one by one, their neurons in 256s and 128s
PROBE = re.compile(r"(\d+) heads, (\d+) neurons")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LatencyTable:
    """Latency by layer sizes. `dataclasses.asdict` of it is JSON-able, and `LatencyTable(**that)` the table again.

    Args:
        heads: Heads of a layer that were timed, ascending; the last is the unpruned layer's.
        heads_ms: a of each: milliseconds that one layer's heads add, not falling.
        ffn: Neurons of a layer that were timed, ascending; the last is the unpruned layer's.
        ffn_ms: b of each, as `heads_ms`.
        base_ms: Everything else: tokenizer, embeddings, residual sums and norms, classifier, the smallest sublayers.
    """

    heads: tuple[int, ...]
    heads_ms: tuple[float, ...]
    ffn: tuple[int, ...]
    ffn_ms: tuple[float, ...]
    base_ms: float

    def __post_init__(self) -> None:
        for name in ("heads", "heads_ms", "ffn", "ffn_ms"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, sizes, costs in (("heads", self.heads, self.heads_ms), ("ffn", self.ffn, self.ffn_ms)):
            ascending = all(low < high for low, high in pairwise(sizes)) and sizes[:1] >= (0,)
            rising = all(low <= high for low, high in pairwise(costs)) and costs[:1] >= (0.0,)
            if not (len(sizes) == len(costs) > 0 and ascending and rising and np.isfinite(costs).all()):
                raise MillisError(
                    f"a latency table has {name}={list(sizes)} at {list(costs)} ms; expected as many finite latencies "
                    "as sizes, sizes ascending from 0 or more, latencies not falling. Measure the table again"
                )
        if not (np.isfinite(self.base_ms) and self.base_ms >= 0):
            raise MillisError(
                f"a latency table has base_ms={self.base_ms}; expected 0 or more. Measure the table again"
            )

    def of_heads(self, count: int) -> float:
        """a, in milliseconds; between sizes of the grid on a straight line."""
        return float(np.interp(count, self.heads, self.heads_ms))

    def of_ffn(self, count: int) -> float:
        """b, in milliseconds; between sizes of the grid on a straight line."""
        return float(np.interp(count, self.ffn, self.ffn_ms))

    def latency_ms(self, heads: Sequence[int], ffn: Sequence[int]) -> float:
        """Latency of a model with these heads and neurons in its layers, [L] each."""
        return self.base_ms + sum(map(self.of_heads, heads)) + sum(map(self.of_ffn, ffn))

    @classmethod
    def from_probes(cls, spec: TransformerSpec, measured_ms: Mapping[str, float]) -> "LatencyTable":
        """The table that explains the probes best: least squares, then made to rise.

        More heads or neurons cannot take less time; where the measurement says so, it is noise, and neighbours are
        replaced with their mean (isotonic regression) until latencies do not fall.

        Args:
            spec: That `probe_specs` was given.
            measured_ms: Latency of a request by probe name; probes may be missing as long as each size is there once
                and the sizes are connected.

        Raises:
            MillisError: a name that no probe has, a latency that is no positive number, or too few probes.
        """
        layers = spec.layers
        sizes = [_parse(name) for name in measured_ms]
        latencies: Floats = np.array(list(measured_ms.values()), dtype=np.float64)
        if not (np.isfinite(latencies).all() and (latencies > 0).all()):
            raise MillisError(f"probes took {latencies.tolist()} ms; expected positive numbers. Measure them again")
        heads, ffn = (sorted({size[axis] for size in sizes}) for axis in (0, 1))
        # A row for each probe, a column for each unknown: the base, and a and b of all sizes but the smallest.
        rows = [
            [1.0, *(layers * (count == h) for count in heads[1:]), *(layers * (count == f) for count in ffn[1:])]
            for h, f in sizes
        ]
        matrix: Floats = np.array(rows, dtype=np.float64)
        if not rows or np.linalg.matrix_rank(matrix) < matrix.shape[1]:
            raise MillisError(
                f"{len(rows)} probes cannot tell the latency of {len(heads)} numbers of heads from that of {len(ffn)} "
                "of neurons: time all models of probe_specs"
            )
        solution = np.linalg.lstsq(matrix, latencies, rcond=None)[0]
        split = len(heads)
        a, b = rising(np.array([0.0, *solution[1:split]])), rising(np.array([0.0, *solution[split:]]))
        a, b = a - a[0], b - b[0]
        base = float(np.mean(latencies - matrix[:, 1:] @ np.concatenate([a[1:], b[1:]])))
        return cls(tuple(heads), tuple(a.tolist()), tuple(ffn), tuple(b.tolist()), max(base, 0.0))

    @classmethod
    def macs(
        cls, spec: TransformerSpec, head_grid: Sequence[int], ffn_grid: Sequence[int], tokens: int, dense_ms: float
    ) -> "LatencyTable":
        """The table of a machine whose latency is proportional to multiply-accumulates: what MAC-aware pruning assumes.

        With S tokens, head size d and hidden size D, a head takes 4 S D d + 2 S² d, a neuron 2 S D, the classifier D C
        (S times where it answers each token).

        Args:
            tokens: S.
            dense_ms: Latency of the unpruned model, which scales the table, so that one target serves both tables.
        """
        shape, hidden = spec.known_shape, anatomy.hidden_size(spec)
        head = 4 * tokens * hidden * shape.head_size + 2 * tokens**2 * shape.head_size
        neuron = 2 * tokens * hidden
        classifier = hidden * sum(output.width * (tokens if output.per == "token" else 1) for output in spec.outputs)
        ms = dense_ms / (head * sum(shape.heads) + neuron * sum(shape.ffn) + classifier)
        heads, ffn = sorted(head_grid), sorted(ffn_grid)
        return cls(
            tuple(heads), tuple(head * count * ms for count in heads), tuple(ffn),
            tuple(neuron * count * ms for count in ffn), classifier * ms,
        )  # fmt: skip


def head_grid(spec: TransformerSpec, steps: int = STEPS) -> list[int]:
    """Heads to time: from none to the largest layer's in at most `steps` equal steps."""
    return _grid(max(spec.known_shape.heads), steps)


def ffn_grid(spec: TransformerSpec, steps: int = STEPS) -> list[int]:
    """Neurons to time, as `head_grid`."""
    return _grid(max(spec.known_shape.ffn), steps)


def probe_specs(spec: TransformerSpec, head_grid: Sequence[int], ffn_grid: Sequence[int]) -> dict[str, TransformerSpec]:
    """The architectures to time, by name: `spec` with all layers alike.

    All heads with each number of neurons, all neurons with each number of heads, and the fewest of both, which shows
    in the fit how far the sum holds. Grids of n and m sizes make n + m models.

    Raises:
        MillisError: a grid that is empty, repeats a size, or goes beyond the model.
    """
    for name, grid, largest in (
        ("heads", head_grid, max(spec.known_shape.heads)), ("neurons", ffn_grid, max(spec.known_shape.ffn))
    ):  # fmt: skip
        if len(set(grid)) != len(grid) or not grid or min(grid) < 0 or max(grid) != largest:
            raise MillisError(
                f"a latency table over {list(grid)} {name}: expected distinct sizes from 0 up to the model's "
                f"{largest}, which has to be among them"
            )
    most_heads, most_ffn = max(head_grid), max(ffn_grid)
    sizes = [(heads, most_ffn) for heads in sorted(head_grid, reverse=True)]
    sizes += [(most_heads, ffn) for ffn in sorted(ffn_grid, reverse=True)[1:]]
    sizes.append((min(head_grid), min(ffn_grid)))
    layers = spec.layers
    return {
        f"{heads} heads, {ffn} neurons": replace(
            spec, shape=Shape(spec.known_shape.head_size, (heads,) * layers, (ffn,) * layers)
        )
        for heads, ffn in sizes
    }


def rising(values: Floats) -> Floats:
    """The non-falling sequence nearest to `values` in squares (pool adjacent violators; Ayer et al. 1955)."""
    blocks: list[tuple[float, int]] = []  # (mean, length)
    for value in values.tolist():
        mean, length = value, 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, length = (before * count + mean * length) / (count + length), count + length
        blocks.append((mean, length))
    return np.repeat([mean for mean, _ in blocks], [length for _, length in blocks])


def _grid(largest: int, steps: int) -> list[int]:
    steps = min(steps, largest)
    return [round(largest * step / steps) for step in range(steps + 1)]


def _parse(name: str) -> tuple[int, int]:
    found = PROBE.fullmatch(name)
    if found is None:
        raise MillisError(f"no latency probe is called {name!r}; expected a name like '12 heads, 1536 neurons'")
    return int(found[1]), int(found[2])
