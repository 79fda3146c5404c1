"""Activations on a grid: what enters a quantized layer, rounded as the deployed graph will round it.

Dynamic: u8 with the range of the tensor at hand. A deployed request is one text without padding, so here every row of a
batch has its own range, padded positions left out of it; or each of its tokens has (rows). Static: u8 with one range
for good, observed or learned. In blocks: s8, for products whose weights lie in blocks.

Layers that read the same tensor (query, key and value) share one quantized copy of it when deployed, and here.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from millis.errors import MillisError
from millis.quantization.fake_quantize import (
    INT8_NARROW,
    UINT8,
    affine_scale,
    centred,
    fake_quantize,
    round_to_grid,
    symmetric_scale,
)
from millis.quantization.observers import Observer
from millis.quantization.phase import Phased
from millis.quantization.steps import LearnedSteps, affine
from millis.quantization.weights import PerBlock


class Input(Phased):
    """Rounds an activation. Each kind says where its grid comes from."""

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """x on its grid, with gradients; x itself while not enabled.

        Args:
            x: [B, ...], fp32.
            real: [B, S], True on tokens, where x is [B, S, D]; else None.
        """
        raise NotImplementedError

    def grid_of(self, x: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor]:
        """Step and zero point of u8 for `x`, as they broadcast against it."""
        raise NotImplementedError

    @torch.no_grad()
    def factors(self, x: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor]:
        """x on its grid as a product: integers without their zero point, and the step."""
        scale, zero_point = self.grid_of(x, real)
        return centred(x, scale, zero_point, UINT8), scale


class DynamicInput(Input):
    """A step and a zero point for each row of the batch, from its range: ONNX's DynamicQuantizeLinear."""

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """As `Input.forward`."""
        return round_to_grid(x, *self.grid_of(x, real), UINT8) if self.enabled else x

    @torch.no_grad()
    def grid_of(self, x: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of the rows of `x`. Zero belongs to every range, so it may stand for padding."""
        if real is None:
            low, high = x.flatten(1).amin(dim=1), x.flatten(1).amax(dim=1)
        else:
            low = x.amin(dim=-1).masked_fill(~real, 0).amin(dim=1)
            high = x.amax(dim=-1).masked_fill(~real, 0).amax(dim=1)
        shape = (-1, *[1] * (x.dim() - 1))
        scale, zero_point = affine_scale(low, high, UINT8)
        return scale.view(shape), zero_point.view(shape)


class RowInput(Input):
    """A step and a zero point for each token, from the range of its numbers."""

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """As `Input.forward`."""
        return round_to_grid(x, *self.grid_of(x, real), UINT8) if self.enabled else x

    @torch.no_grad()
    def grid_of(self, x: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of the last axis of `x`; padding has ranges of its own."""
        return affine_scale(x.amin(dim=-1, keepdim=True), x.amax(dim=-1, keepdim=True), UINT8)


class TableInput(Input):
    """Rows of an embedding table, rounded already: ONNX Runtime multiplies the table's own integers."""

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """x."""
        return x

    @torch.no_grad()
    def factors(self, x: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor]:
        """x, and 1."""
        return x, torch.ones((), device=x.device)


class BlockInput(Input):
    """s8 with a step for every few neighbouring values, s = max|x| / 127: what `MatMulNBits` does as it multiplies.

    Args:
        size: Values that share a step; zeros fill the last block.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.blocks = PerBlock(size)

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """As `Input.forward`; padding has blocks of its own."""
        if not self.enabled:
            return x
        rows = x.flatten(0, -2)
        groups = self.blocks.split(rows)
        scale = symmetric_scale(groups.detach().abs().amax(dim=1, keepdim=True), INT8_NARROW)
        rounded = round_to_grid(groups, scale, torch.zeros_like(scale), INT8_NARROW)
        return self.blocks.join(rounded, rows.shape).view_as(x)


class StaticInput(Input):
    """The step and zero point of an observed range.

    Args:
        observer: Sees every training batch until `frozen`.
    """

    moves = True

    def __init__(self, observer: Observer) -> None:
        super().__init__()
        self.observer = observer
        self._observed = False  # spares asking the device at every call

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """As `Input.forward`; in training mode the observer sees `x` first."""
        if self.training and not self.frozen:
            self.observer.observe(x.detach() if real is None else x.detach()[real])
        return fake_quantize(x, *self.grid_of(x, real), UINT8) if self.enabled else x

    @torch.no_grad()
    def grid_of(self, x: Tensor | None = None, real: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[] each; `x` is not read.

        Raises:
            MillisError: nothing was observed yet.
        """
        self._observed = self._observed or bool(self.observer.batches)
        if not self._observed:
            raise _unseen()
        return affine(self.observer.range[0], self.observer.range[1], UINT8)


class LearnedInput(Input):
    """A learned step; it starts from the range of the first batch that is rounded.

    Args:
        steps: Of one group.
    """

    moves = True

    def __init__(self, steps: LearnedSteps) -> None:
        super().__init__()
        self.steps = steps
        self._started = False  # as `_observed`

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """As `Input.forward`."""
        if not self.enabled:
            return x
        if self.training and not self._has_started():
            self.steps.start((x.detach() if real is None else x.detach()[real]).reshape(1, -1))
        return self.steps.round(x, *self.grid_of(x, real))

    def grid_of(self, x: Tensor | None = None, real: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[] each; `x` is not read.

        Raises:
            MillisError: no training batch has come through yet.
        """
        if not self._has_started():
            raise _unseen()
        scale, zero_point = self.steps.of(self.steps.origin)
        return scale.squeeze(), zero_point.squeeze()

    def _has_started(self) -> bool:
        self._started = self._started or bool(self.steps.origin.any())
        return self._started


def _unseen() -> MillisError:
    return MillisError(
        "static activations have no range yet: expected at least one training batch through the prepared model. "
        "Train it, or choose quantization.activations=dynamic"
    )


class Tokens:
    """Which positions of the batch at hand are tokens: a hook on the model that keeps its attention mask."""

    def __init__(self) -> None:
        self.mask: Tensor | None = None

    def read(self, _: nn.Module, args: Sequence[Any], named: dict[str, Any]) -> None:
        """Keep the mask; for `register_forward_pre_hook(with_kwargs=True)`."""
        self.mask = named.get("attention_mask", args[1] if len(args) > 1 else None)

    def narrow(self, _module: nn.Module, _args: Any, weights: Tensor) -> None:
        """Tokens of weight 0 are none any more; for `register_forward_hook` on what passes weights [B, S] on."""
        self.mask = weights > 0

    def forget(self, *_: Any) -> None:
        """Let go of the batch; for `register_forward_hook`."""
        self.mask = None

    def of(self, x: Tensor) -> Tensor | None:
        """[B, S], True on tokens, where `x` is laid out as [B, S, D]; None where it is not (a pooled vector)."""
        fits = self.mask is not None and x.dim() == 3 and x.shape[:2] == self.mask.shape
        return cast(Tensor, self.mask).bool() if fits else None


class SharedInput(nn.Module):
    """One quantizer before all the layers that read the same tensor.

    Args:
        quantizer: What rounds.
        tokens: Where padding is known; None where rows come without (channels first, padding zeroed).
        readers: Names of the layers, as often as each is called.
    """

    def __init__(self, quantizer: Input, tokens: Tokens | None, readers: Sequence[str]) -> None:
        super().__init__()
        self.quantizer, self.tokens, self.readers = quantizer, tokens, list(readers)
        self.forget()

    def forward(self, x: Tensor) -> Tensor:
        """x on its grid, with gradients."""
        rounded: Tensor = self._once("floats", x, lambda: self.quantizer(x.float(), self._real(x)).to(x.dtype))
        return rounded

    def factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As `Input.factors`."""
        pair: tuple[Tensor, Tensor] = self._once("factors", x, lambda: self.quantizer.factors(x.float(), self._real(x)))
        return pair

    def forget(self, *_: Any) -> None:
        """Let go of the tensors of this pass; for `register_forward_hook` on the model."""
        self._seen: Tensor | None = None
        self._rounded: dict[str, Any] = {}
        self._left = 0

    def _real(self, x: Tensor) -> Tensor | None:
        return None if self.tokens is None else self.tokens.of(x)

    def _once(self, form: str, x: Tensor, compute: Callable[[], Any]) -> Any:
        """Computed for the first reader that takes this form, kept until the last one has had its own."""
        if self._seen is not x:
            self._seen, self._rounded, self._left = x, {}, len(self.readers)
        if form not in self._rounded:
            self._rounded[form] = compute()
        rounded, self._left = self._rounded[form], self._left - 1
        if self._left == 0:
            self.forget()
        return rounded
