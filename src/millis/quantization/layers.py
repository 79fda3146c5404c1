"""Layers that can be quantized: where each kind keeps its weights, and how rounding gets into its forward pass.

`attach` has one function for each kind, found by the layer's class; adding a kind is adding a function. A layer of any
other class stays fp32. Layers keep their class, and weights their names; what sits on a weight already, such as a
pruning mask, acts before the rounding does.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import singledispatch
from types import MethodType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from millis.quantization.arithmetic import Arithmetic, Stored
from millis.quantization.inputs import SharedInput
from millis.quantization.weights import Integers, Transposed, WeightQuantizer

QUANTIZERS = "weight_quantizers"  # child of a quantized layer: attribute → quantizer
READS = "shared_input"  # what a layer's input goes through: a child of the first layer that does
CHANNELS_FIRST = (nn.Conv1d,)  # inputs [B, E, S], not [B, S, D]

MakeQuantizer = Callable[[Stored, Tensor, int], WeightQuantizer]
"""How, the weight, and N (how many values share a learned step) in; the weight's quantizer out."""


@singledispatch
def attach(layer: nn.Module, arithmetic: Arithmetic, make: MakeQuantizer) -> bool:
    """Round the stored tensors of `layer` from now on.

    Returns:
        Whether `arithmetic` has integers for this kind of layer.
    """
    return False


@attach.register
def _linear(layer: nn.Linear, arithmetic: Arithmetic, make: MakeQuantizer) -> bool:
    return _round_product(layer, arithmetic.matrix, make)


@attach.register
def _transposed_linear(layer: Conv1D, arithmetic: Arithmetic, make: MakeQuantizer) -> bool:
    how = arithmetic.matrix
    return _round_product(layer, Stored(Transposed(how.grouping), how.rule, how.grid), make)


@attach.register
def _convolution(layer: nn.Conv1d, arithmetic: Arithmetic, make: MakeQuantizer) -> bool:
    return arithmetic.kernel is not None and _round_product(layer, arithmetic.kernel, make)


@attach.register
def _table(layer: nn.Embedding, arithmetic: Arithmetic, make: MakeQuantizer) -> bool:
    """The rows that were read are rounded, not the table: a batch reads a few hundred of 30,522."""
    if arithmetic.table is None:
        return False
    layer.add_module(QUANTIZERS, nn.ModuleDict({"weight": make(arithmetic.table, layer.weight, layer.embedding_dim)}))
    layer.register_forward_hook(_round_rows)
    return True


@attach.register
def _lstm(layer: nn.LSTM, arithmetic: Arithmetic, make: MakeQuantizer) -> bool:
    """Weights and what enters the layer. The hidden state, which the runtime rounds in every step, stays fp32: it never
    leaves PyTorch's kernel. So here, and only here, the deployed graph rounds more than training does."""
    if arithmetic.recurrent is None:
        return False
    weights = {name: getattr(layer, name) for name in layer._flat_weights_names if name.startswith("weight")}
    quantizers = {name: make(arithmetic.recurrent, weight, weight.shape[1]) for name, weight in weights.items()}
    layer.add_module(QUANTIZERS, nn.ModuleDict(quantizers))
    layer.register_forward_pre_hook(_round_flat_weights)
    layer.register_forward_hook(_restore_flat_weights)
    return True


def _round_product(layer: Any, how: Stored, make: MakeQuantizer) -> bool:
    quantizer = make(how, layer.weight, how.grouping.split(layer.weight).shape[1])
    layer.add_module(QUANTIZERS, nn.ModuleDict({"weight": quantizer}))
    layer.forward = MethodType(_integer_forward if how.grouping.per_output else _rounded_forward, layer)
    return True


def _rounded_forward(layer: Any, x: Tensor) -> Tensor:
    """The layer's output from rounded input and rounded weight."""
    return product(layer, getattr(layer, READS)(x), layer.weight_quantizers["weight"](layer.weight), layer.bias)


def _integer_forward(layer: Any, x: Tensor) -> Tensor:
    """As `_rounded_forward`; in evaluation the product is one of integers, times their steps, as in the runtime.

    fp32 sums integers exactly up to 2^24, and bf16 holds every one of them; so no difference in the order of a sum, a
    millionth, can turn a rounding further on and with it the logits by tenths.
    """
    quantizer: WeightQuantizer = layer.weight_quantizers["weight"]
    if torch.is_grad_enabled() or layer.training or not quantizer.enabled:
        return _rounded_forward(layer, x)
    integers, step = getattr(layer, READS).factors(x)
    weight, steps = quantizer.factors(layer.weight)
    sums = product(layer, integers, weight, None)
    outputs: Tensor = sums * (step * _along_outputs(layer, steps))
    if layer.bias is not None:
        outputs = outputs + _along_outputs(layer, layer.bias)
    return outputs.to(sums.dtype)


def _along_outputs(layer: nn.Module, values: Tensor) -> Tensor:
    """[out] as it multiplies the layer's output."""
    return values[:, None] if isinstance(layer, CHANNELS_FIRST) else values


@singledispatch
def product(layer: nn.Module, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What `layer`, linear unless its class says otherwise, computes of this weight and bias."""
    return F.linear(x, weight, bias)


@product.register
def _product_transposed(layer: Conv1D, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.linear(x, weight.t(), bias)


@product.register
def _product_convolution(layer: nn.Conv1d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    outputs: Tensor = layer._conv_forward(x, weight, bias)
    return outputs


def _round_rows(layer: Any, args: tuple[Tensor, ...], rows: Tensor) -> Tensor:
    quantizer: WeightQuantizer = layer.weight_quantizers["weight"]
    return quantizer.rows(rows, layer.weight, args[0])


def _round_flat_weights(layer: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    quantizers = layer.weight_quantizers
    names = layer._flat_weights_names
    layer._flat_weights = [
        quantizers[name](getattr(layer, name)) if name in quantizers else getattr(layer, name) for name in names
    ]
    return (getattr(layer, READS)(args[0]), *args[1:])


def _restore_flat_weights(layer: Any, *_: Any) -> None:
    layer._flat_weights = [getattr(layer, name) for name in layer._flat_weights_names]


class StoredTensor(NamedTuple):
    """A tensor that is rounded, and where."""

    layer: str
    module: nn.Module
    attribute: str
    quantizer: WeightQuantizer

    @property
    def name(self) -> str:
        """`encoder.head.weight`: its name in the plain model's state."""
        return f"{self.layer}.{self.attribute}"

    @property
    def value(self) -> Tensor:
        """The tensor before it is rounded, masks applied."""
        return getattr(self.module, self.attribute)  # type: ignore[no-any-return]

    @torch.no_grad()
    def bake(self) -> Integers:
        """Put the tensor on its grid for good; returns its integers. A mask on it still holds: 0 lies on every grid."""
        integers = self.quantizer.integers(self.value)
        masked: Any = getattr(self.module, "parametrizations", {})
        plain = masked[self.attribute].original if self.attribute in masked else self.value
        plain.copy_(integers.floats(self.quantizer.grouping))
        return integers


def stored_tensors(model: nn.Module) -> Iterator[StoredTensor]:
    """Every tensor of a prepared model that is rounded, in the model's order."""
    for name, module in model.named_modules():
        quantizers: Any = getattr(module, QUANTIZERS, {})
        yield from (StoredTensor(name, module, attribute, quantizer) for attribute, quantizer in quantizers.items())


def read_through(readers: Sequence[nn.Module], shared: SharedInput) -> None:
    """Let `readers` take their input from `shared`, which becomes a child of the first one."""
    first, *others = dict.fromkeys(readers)
    first.add_module(READS, shared)
    for layer in others:
        layer.__dict__[READS] = shared


def strip(module: nn.Module) -> None:
    """Take everything off `module` that rounds."""
    for child in (QUANTIZERS, READS):
        module._modules.pop(child, None)
    for attribute in ("forward", READS):
        if isinstance(module.__dict__.get(attribute), MethodType | SharedInput):
            del module.__dict__[attribute]
    for hooks in (module._forward_pre_hooks, module._forward_hooks):
        for key in [key for key, hook in hooks.items() if hook.__module__ in (__name__, SharedInput.__module__)]:
            del hooks[key]
            module._forward_pre_hooks_with_kwargs.pop(key, None)
