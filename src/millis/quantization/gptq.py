"""GPTQ (Frantar et al. 2023, 2210.17323): weights rounded one input at a time, what is lost made good by those to come.

What a linear layer errs by on its inputs X, ‖(W - Ŵ) X‖², is quadratic in each row of W, with the Hessian
H = X Xᵀ (to a factor). Section 3, equations 2 and 3, algorithm 1, with U the upper Cholesky factor of
(H + λ I)⁻¹, λ a share of H's mean diagonal:

    e = (w_j - ŵ_j) / U_jj,   w_k ← w_k - e U_jk   for the inputs k that come after j

Layers come in the order of a forward pass; what each reads is computed with all before it rounded already. Grids are
the backend's own (`millis.quantization.arithmetic`); `model.quantization` has the integers, as that of a model trained
with its rounding (`millis.quantization.parameters`), and backends store these.

Departures: an input that no text activates is rounded to the nearest, where the authors' code makes its weights 0. A
scale is fixed before any weight moves, by the error that it makes weighted by H's diagonal, so that inputs may come in
any order.
"""

import copy
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from millis.models.hessian import check_finite, dead, inverse_factor
from millis.quantization.arithmetic import Arithmetic, Stored
from millis.quantization.calibration import by_length
from millis.quantization.fake_quantize import centred
from millis.quantization.keep import linears
from millis.quantization.observers import full_extent
from millis.quantization.parameters import Parameters
from millis.quantization.replay import Replay, readers
from millis.quantization.spec import Gptq
from millis.quantization.weights import Integers, integers_of
from millis.types import Features

LAZY = 128  # inputs after which all others are made good at once (section 3.3, step 2)


class Done(NamedTuple):
    """What was done.

    Args:
        model: With rounded weights, and their integers as `quantization`.
        rounded: Names of the layers that were.
        shared: Names of those whose weights serve elsewhere too, and which wait for the backend's own rounding.
    """

    model: nn.Module
    rounded: tuple[str, ...]
    shared: tuple[str, ...]


@torch.no_grad()
def gptq(
    model: nn.Module,
    requests: Sequence[Features],
    asked: Gptq,
    arithmetic: Arithmetic,
    kept: Collection[str] = (),
    finer: Collection[str] = (),
) -> Done:
    """A copy of `model` whose linear layers are on their grids. One whose weight is a token table too is left as it is:
    the table's rows are read by words, not by what the layer reads.

    Args:
        model: In evaluation mode, on the CPU, in fp32; left as it was.
        requests: Calibration texts, [1, S] each, without padding.
        asked: How.
        arithmetic: The backend's.
        kept: Layers that stay fp32.
        finer: Layers with the grid `arithmetic.finer`.

    Raises:
        MillisError: a layer that reads numbers that are none, or infinite ones.
    """
    model = copy.deepcopy(model)
    own = _own(model)
    layers = {name: layer for name, layer in linears(model).items() if name not in kept}
    groups = readers(model, {name: layer for name, layer in layers.items() if name in own})
    replay, found = Replay(model, by_length(requests), groups), Parameters()
    for group in groups:
        products = replay.products(group)
        check_finite(products, "gptq", next(iter(group.layers)))
        compensation = Compensation(products, asked)
        for name, layer in group.layers.items():
            how = arithmetic.stored(name in finer)
            integers = compensation.rounded(layer.weight, how)
            layer.weight = nn.Parameter(integers.floats(how.grouping))
            found |= {f"{name}.weight.{part}": tensor for part, tensor in integers._asdict().items()}
    quantized: Any = model
    quantized.quantization = {**getattr(model, "quantization", {}), **found}
    rounded = tuple(name for group in groups for name in group.layers)
    return Done(model, rounded, tuple(name for name in layers if name not in own))


class Compensation:
    """How the weights of some inputs make good what others lose by rounding.

    Args:
        products: X Xᵀ [I, I], fp64.
        asked: How.
    """

    def __init__(self, products: Tensor, asked: Gptq) -> None:
        diagonal = products.diagonal()
        self._importance = (diagonal + dead(products)).float()
        inputs = len(diagonal)
        self._order = diagonal.argsort(descending=True, stable=True) if asked.largest_first else torch.arange(inputs)
        self._factor = inverse_factor(products, asked.dampening, self._order)

    def rounded(self, weight: Tensor, how: Stored) -> Integers:
        """The integers of `weight` [O, I] on the grid of `how`."""
        scale, zero_point = grid(weight, how, self._importance)
        steps, zeros = (_of_each(one, weight, how)[self._order] for one in (scale, zero_point))
        left, factor = weight.t()[self._order], self._factor.to(weight.dtype)  # inputs one below the other
        values = torch.empty_like(left)
        for start in range(0, len(left), LAZY):
            stop = min(start + LAZY, len(left))
            errors = torch.empty_like(left[start:stop])
            for j in range(start, stop):
                values[j] = centred(left[j], steps[j], zeros[j], how.grid)
                errors[j - start] = (left[j] - values[j] * steps[j]) / factor[j, j]
                left[j + 1 : stop].addr_(factor[j, j + 1 : stop], errors[j - start], alpha=-1)
            left[stop:] -= factor[start:stop, stop:].t() @ errors
        found = torch.empty_like(values)
        found[self._order] = values + zeros
        return integers_of(found.t(), scale, zero_point, how.grid)


def grid(weight: Tensor, how: Stored, importance: Tensor) -> tuple[Tensor, Tensor]:
    """Steps and zero points [G, 1] of a weight [O, I]: of the ranges that a backend tries, each group's whose rounding
    errs least, its squares weighted by `importance` [I]."""
    groups = how.grouping.split(weight)
    weights = how.grouping.split(importance.to(weight.dtype).expand_as(weight))
    whole, zero_point = how.rule(*full_extent(groups), how.grid)
    best, least = whole, torch.full_like(whole, torch.inf)
    for share in how.shares:
        scale = whole * share
        error = centred(groups, scale, zero_point, how.grid).mul_(scale).sub_(groups).square_().mul_(weights)
        total = error.sum(dim=1, keepdim=True)
        best, least = torch.where(total < least, scale, best), torch.minimum(total, least)
    return best, zero_point


def _own(model: nn.Module) -> set[str]:
    """Names of the linear layers whose weight is no other layer's."""
    used = Counter(id(parameter) for part in model.modules() for parameter in part.parameters(recurse=False))
    return {name for name, layer in linears(model).items() if used[id(layer.weight)] == 1}


def _of_each(value: Tensor, weight: Tensor, how: Stored) -> Tensor:
    """What each group has, [G, 1], for each of its weights, [I, O]."""
    groups = how.grouping.split(weight)
    return how.grouping.join(value.expand_as(groups), weight.shape).t().to(weight.dtype)
