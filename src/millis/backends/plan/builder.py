"""Puts a plan together: slots, steps, and tensors as the kernels read them."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from millis.backends.plan import file, packing, steps
from millis.backends.plan.slots import reused
from millis.backends.plan.steps import Activation, Cache, Matrix, Norm, Per, Plan, Precision, Slot, Step, Table
from millis.errors import MillisError
from millis.models.low_rank import LowRankLinear
from millis.quantization.parameters import Parameters
from millis.types import Output

HIGH = 127  # largest integer of 8 bits, of tables and of matrices among others of 4


class Integers:
    """What becomes integers, and on which grids.

    Args:
        high: Largest integer of a weight; see `millis.backends.plan.packing.rounded`.
        per_channel: A scale for each output of a matrix, or one.
        kept: Names of the layers that stay fp32.
        block: Matrices have 4 bits, and a scale for so many inputs of an output; None gives them 8.
        finer: Names of the linear layers whose matrices have 8 all the same, and a scale for each output.
    """

    def __init__(
        self,
        high: int,
        per_channel: bool,
        kept: Collection[str],
        block: int | None = None,
        finer: Collection[str] = (),
    ) -> None:
        self.high, self.per_channel, self.kept, self.block = high, per_channel, frozenset(kept), block
        self.finer = frozenset(finer)

    def of(self, layer: str) -> "Integers":
        """Those of the linear layer of this name."""
        return Integers(HIGH, True, self.kept) if layer in self.finer else self


class Builder:
    """Collects the parts of a plan.

    Args:
        model: Whose layers go into it, by name.
        outputs: Of the model.
        integers: None makes none.
        precision: Of what does not become integers: `fp32` or `bf16`.
        cache: Of the keys and values that are kept.
    """

    def __init__(
        self,
        model: nn.Module,
        outputs: Sequence[Output],
        integers: Integers | None,
        precision: Precision = "fp32",
        cache: Cache = "fp32",
    ) -> None:
        self._integers, self._precision, self.cache = integers, precision, cache
        self._trained: Parameters = getattr(model, "quantization", {})
        self._names: dict[int, str] = {id(module): name for name, module in model.named_modules()}
        self._outputs = [Slot(output.per, output.width) for output in outputs]
        self._slots: list[Slot] = []
        self._steps: list[Step] = []
        self._named: list[tuple[str, NDArray[Any]]] = []

    def write(self, path: Path) -> None:
        """Write the plan's file."""
        slots, ordered = reused(self._slots, self._steps)
        plan = Plan(slots, self._outputs, ordered, file.placed(self._named))
        file.write(path, plan, [array for _, array in self._named])

    def slot(self, per: Per, width: int) -> int:
        """A fresh matrix between steps."""
        self._slots.append(Slot(per, width))
        return len(self._slots) - 1

    def per(self, slot: int) -> Per:
        """What has a row in it."""
        return self._slots[slot].per

    def add(self, step: Step) -> None:
        """The next step."""
        self._steps.append(step)

    def tensor(self, name: str, array: NDArray[Any]) -> int:
        """A tensor's place."""
        self._named.append((name, array))
        return len(self._named) - 1

    def row(self, name: str, values: Tensor) -> int:
        """A vector's place, padded."""
        return self.tensor(name, packing.row(floats(values)))

    def unpadded(self, name: str, values: Tensor) -> int:
        """A vector's place, as long as it is."""
        return self.tensor(name, floats(values))

    def name(self, layer: nn.Module) -> str:
        """A layer's dotted name in the model."""
        return self._names[id(layer)]

    def norm(self, layer: Any) -> Norm:
        """The tensors of a layer norm, or of one by root mean square."""
        name, centred = self.name(layer), isinstance(layer, nn.LayerNorm)
        gain = self.row(f"{name}.weight", layer.weight)
        shift = self.row(f"{name}.bias", layer.bias) if centred else None
        return Norm(gain, shift, layer.eps if centred else layer.variance_epsilon)

    def table(self, layer: nn.Embedding) -> Table:
        """An embedding table: in integers with a scale a row, unless it is kept."""
        name, values = self.name(layer), floats(layer.weight)
        count, width = values.shape
        if not self.rounds(layer):
            rows = packing.table_rows(packing.halves(values) if self._precision == "bf16" else values)
            return Table(count, width, self._precision, self.tensor(f"{name}.weight", rows))
        rounded = self._rounded(f"{name}.weight", values, HIGH)
        place = self.tensor(f"{name}.weight", packing.table_rows(rounded.values))
        return Table(count, width, "int8", place, self.tensor(f"{name}.scales", rounded.scales))

    def shares(self, table: nn.Embedding, layer: nn.Linear) -> bool:
        """Whether one matrix serves as both: their weight is one, and so is its grid."""
        if table.weight is not layer.weight or self.rounds(table) != self.rounds(layer):
            return False
        if self._integers is None or not self.rounds(table):
            return True
        grid = self._integers.of(self.name(layer))
        settled = [f"{self.name(one)}.weight.values" in self._trained for one in (table, layer)]
        return not any(settled) and grid.block is None and grid.high == HIGH and grid.per_channel

    def rounds(self, layer: nn.Module) -> bool:
        """Whether a layer becomes integers."""
        return self._integers is not None and self.name(layer) not in self._integers.kept

    def linear(self, layers: Sequence[Any], source: int, out: int, activation: Activation = "none") -> None:
        """out = activation(layers(source)), side by side where they are several that read the same.

        Plain layers of one kind are one product; a layer of low rank is two.
        """
        column = 0
        for together in self._together(layers):
            if isinstance(together[0], LowRankLinear):
                (layer,) = together
                narrow = self.slot(self.per(source), layer.rank)
                self.add(steps.Linear(source, narrow, self._matrix([layer.down])))
                self.add(steps.Linear(narrow, out, self._matrix([layer.up]), activation, column))
            else:
                self.add(steps.Linear(source, out, self._matrix(together), activation, column))
            column += sum(layer.out_features for layer in together)

    def matrix_of(self, layer: nn.Linear) -> Matrix:
        """A plain layer's."""
        return self._matrix([layer])

    def matrix(self, name: str, weight: Tensor, bias: Tensor | None, rounds: bool, parameter: str = "") -> Matrix:
        """A matrix [O, I] and its bias.

        Args:
            parameter: What the weight is called in the model.
        """
        parts = {parameter: floats(weight)}
        return self._packed(name, parts, None if bias is None else floats(bias), self._integers if rounds else None)

    def _rounded(
        self, parameter: str, weights: packing.Floats, high: int, per_channel: bool = True
    ) -> packing.Integers:
        """The integers of a weight: those that training settled on, or else what its range gives."""
        values = self._trained.get(f"{parameter}.values")
        if values is None:
            return packing.rounded(weights, high, per_channel)
        scales = self._trained[f"{parameter}.scale"].float().reshape(-1).numpy()
        return packing.Integers(values.numpy().astype(np.int8), scales)

    def give(self, source: int, output: int) -> None:
        """A slot's rows as the model's output of this number."""
        self.add(steps.Give(source, output, self._outputs[output].width))

    def _together(self, layers: Sequence[Any]) -> list[list[Any]]:
        plain = all(isinstance(layer, nn.Linear) for layer in layers)
        if plain and len({(_biased(layer), self._bits(layer)) for layer in layers}) == 1:
            return [list(layers)]
        return [[layer] for layer in layers]

    def _bits(self, layer: nn.Linear) -> tuple[bool, bool]:
        """What tells layers of different kinds of weights apart."""
        rounds = self.rounds(layer)
        return rounds, rounds and self._integers is not None and self.name(layer) in self._integers.finer

    def _matrix(self, layers: Sequence[Any]) -> Matrix:
        parts = {f"{self.name(layer)}.weight": floats(layer.weight) for layer in layers}
        bias = np.concatenate([floats(layer.bias) for layer in layers]) if _biased(layers[0]) else None
        grid = None if self._integers is None else self._integers.of(self.name(layers[0]))
        return self._packed(self.name(layers[0]), parts, bias, grid if self.rounds(layers[0]) else None)

    def _packed(
        self, name: str, parts: Mapping[str, packing.Floats], bias: packing.Floats | None, grid: Integers | None
    ) -> Matrix:
        """Weights by their names, one below the other, in integers or in what else is computed in."""
        weights = np.concatenate([*parts.values()])
        outputs, inputs = weights.shape
        if grid is None:
            packed = packing.half_panels(weights) if self._precision == "bf16" else packing.panels(weights)
            place, scales = self.tensor(f"{name}.weight", packed), None
        elif grid.block is not None:
            return self._blocks(name, parts, bias, grid.block)
        else:
            rounded = [self._rounded(parameter, part, grid.high, grid.per_channel) for parameter, part in parts.items()]
            values = np.concatenate([part.values for part in rounded])
            steps_of = np.concatenate([np.broadcast_to(part.scales, (len(part.values),)) for part in rounded])
            place = self.tensor(f"{name}.weight", packing.integer_panels(values))
            scales = self.tensor(f"{name}.scales", packing.row(steps_of))
        biased = None if bias is None else self.tensor(f"{name}.bias", packing.row(bias))
        return Matrix(inputs, outputs, self._precision if grid is None else "int8", place, scales, biased)

    def _blocks(
        self, name: str, parts: Mapping[str, packing.Floats], bias: packing.Floats | None, block: int
    ) -> Matrix:
        """Weights of 4 bits."""
        found = []
        for parameter, part in parts.items():
            values = self._trained.get(f"{parameter}.values")
            if values is None:
                found.append(packing.blocked(part, block))
            else:
                scales = self._trained[f"{parameter}.scale"].float().reshape(len(part), -1).numpy()
                found.append(packing.Integers(values.numpy().astype(np.int8), scales))
        outputs, inputs = sum(len(part.values) for part in found), found[0].values.shape[1]
        place = self.tensor(f"{name}.weight", packing.nibble_panels(np.concatenate([part.values for part in found])))
        scales_at = self.tensor(f"{name}.scales", packing.panels(np.concatenate([part.scales for part in found])))
        biased = None if bias is None else self.tensor(f"{name}.bias", packing.row(bias))
        return Matrix(inputs, outputs, "int4", place, scales_at, biased, block)


def floats(values: Tensor) -> packing.Floats:
    """A weight as NumPy's fp32.

    Raises:
        MillisError: it holds a number that is none, or an infinite one.
    """
    if not bool(torch.isfinite(values).all()):
        raise MillisError(
            "backend=native got weights that hold NaN or infinite values, expected finite ones: the training has "
            "diverged. Train again with a lower learning rate, or use backend=eager to look into the model"
        )
    found: packing.Floats = values.detach().float().numpy()
    return found


def _biased(layer: Any) -> bool:
    return layer.bias is not None
