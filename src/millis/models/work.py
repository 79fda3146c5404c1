"""What one request must do at least: arithmetic operations and weights read, counted on the architecture of a spec.

Operations are multiplications and additions of matrix products, two a pair (a product of [M, K] and [K, N] is 2·M·K·N):
every linear layer, convolution and LSTM, and in attention the scores and the weighted sums, 4·S²·(heads · head size)
a layer. Normalisation, softmax and activations are left out: they take few operations and no weights to speak of.

Weights are what must come from memory: every matrix once, and of a table the rows that are looked up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor, nn

from millis import models
from millis.models.spec import Spec


@dataclass(frozen=True)
class Work:
    """Of one request.

    Args:
        operations: Multiplications and additions of matrix products.
        weights: Numbers in matrices that are read.
        rows: Numbers in rows of tables that are read.
    """

    operations: int
    weights: int
    rows: int


def count(spec: Spec, length: int) -> Work:
    """The work of one text of `length` tokens, by sending one through the model with fresh weights.

    Tokens that a model would drop are counted: which they are, only trained weights know. A text is taken to the last
    layer, whatever exits there are.
    """
    model = models.build(spec.whole()).eval()
    seen: dict[nn.Module, list[Work]] = {}
    hooks = [
        module.register_forward_hook(_listener(seen))
        for module in model.modules()
        if _work.dispatch(type(module)) != _none
    ]
    ids = torch.zeros(1, length, dtype=torch.long)
    try:
        with torch.inference_mode():
            model(ids, torch.ones_like(ids), None)
    finally:
        for hook in hooks:
            hook.remove()
    products = sum(work.operations for runs in seen.values() for work in runs)
    return Work(
        operations=products + 4 * length * length * spec.attention_width,
        weights=sum(runs[0].weights for runs in seen.values()),  # what runs twice is read once
        rows=sum(runs[0].rows for runs in seen.values()),
    )


def _listener(seen: dict[nn.Module, list[Work]]) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    def listen(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        seen.setdefault(module, []).append(_work(module, inputs[0], output))

    return listen


def _none(module: nn.Module, taken: Tensor, given: Any) -> Work:
    """Modules whose parts are counted on their own, or that only pass over what there is."""
    return Work(0, 0, 0)


_work = singledispatch(_none)


@_work.register
def _linear(module: nn.Linear, taken: Tensor, given: Tensor) -> Work:
    return Work(2 * taken.numel() * module.out_features, module.weight.numel(), 0)


@_work.register
def _convolution(module: nn.Conv1d, taken: Tensor, given: Tensor) -> Work:
    return Work(2 * given.numel() * module.weight[0].numel(), module.weight.numel(), 0)


@_work.register
def _lstm(module: nn.LSTM, taken: Tensor, given: Any) -> Work:
    matrices = sum(weight.numel() for name, weight in module.named_parameters() if name.startswith("weight"))
    return Work(2 * taken.shape[0] * taken.shape[1] * matrices, matrices, 0)


@_work.register
def _table(module: nn.Embedding, taken: Tensor, given: Tensor) -> Work:
    return Work(0, 0, given.numel())
