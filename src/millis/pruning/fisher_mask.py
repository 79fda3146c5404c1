"""How much the loss would rise without a head or a neuron: empirical Fisher information of its gate.

Kwon et al. 2022 (2204.09656), section 4. Multiply the output of each head and each neuron with a gate m, 1 in the
unpruned model. To second order, and as the gradient of a trained model vanishes on average, setting gates to 0 costs

    L(m) - L(1)  ≈  1/2 (1 - m)ᵀ I (1 - m)        I = 1/N sum_n g_n g_nᵀ,    g_n = gradient of example n's loss

Section 4.1 keeps the diagonal of I, 1/N sum_n g_n², which ranks units; section 4.2 keeps one block a sublayer, which
sees that two units that do the same can go once only, and rearranges what is removed.

Where this leaves the paper: gradients are of single examples whatever the batch, as the definition has it (the
authors' program squares the mean gradient of a batch); and units are rearranged by swaps from the selection found
until no swap helps (`rearrange`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from millis.data.batches import Batch, model_inputs
from millis.data.positions import summed_loss
from millis.errors import MillisError
from millis.models import anatomy
from millis.models.encoder import Transformer
from millis.models.outputs import each


@dataclass(frozen=True)
class GateGradients:
    """Gradient of each example's cross-entropy with respect to each gate, at the unpruned model.

    Args:
        heads: L tensors [N, H].
        ffn: L tensors [N, F].
        hidden_size: D of the model.
    """

    heads: list[Tensor]
    ffn: list[Tensor]
    hidden_size: int

    def fisher(self) -> tuple[list[Tensor], list[Tensor]]:
        """Diagonal Fisher information of heads, L tensors [H], and neurons, L tensors [F]: means of squares."""
        heads, ffn = ([gradients.square().mean(dim=0) for gradients in part] for part in (self.heads, self.ffn))
        return heads, ffn


def gate_gradients(model: Transformer, batches: Iterable[Batch]) -> GateGradients:
    """Per-example gate gradients on labelled texts, in evaluation mode.

    An example's gate multiplies that example's rows only, so the gradient of the batch's summed loss with respect to
    its gates is the gradient of its own loss: one backward pass a batch, whatever its size, and no weight's gradient.

    Args:
        batches: With `labels`; about 2,048 examples in the paper.

    Raises:
        MillisError: no examples, or an architecture whose parts are not known.
    """
    parts, head_size = anatomy.find(model.spec.kind), model.spec.known_shape.head_size
    layers = parts.layers(model.encoder)
    # Each gated linear with the width of its units: a head's columns are gated together.
    gated = [(layer.attention_output, head_size) for layer in layers]
    gated += [(layer.ffn_out, 1) for layer in layers]
    device, training = next(model.parameters()).device, model.training
    collected: list[list[Tensor]] = []
    model.eval()
    try:
        for batch in batches:
            moved = {name: value.to(device) for name, value in batch.items()}
            collected.append(_batch_gradients(model, moved, gated))
    finally:
        model.train(training)
    if not collected:
        raise MillisError("no examples to estimate importance from: pruning needs labelled training texts")
    gradients = [torch.cat(rows) for rows in zip(*collected, strict=True)]
    return GateGradients(gradients[: len(layers)], gradients[len(layers) :], anatomy.hidden_size(model.spec))


def _batch_gradients(model: Transformer, batch: Batch, gated: Sequence[tuple[nn.Linear, int]]) -> list[Tensor]:
    """Gradients of one batch, [B, units] for each of `gated`, on the CPU."""
    rows = batch["rows"]
    gates = [torch.ones(len(rows), linear.in_features // width, device=rows.device) for linear, width in gated]
    with torch.enable_grad(), _gates(gated, [gate.requires_grad_() for gate in gates]):
        loss = summed_loss(each(model(**model_inputs(batch))), batch)
        found = torch.autograd.grad(loss, gates, allow_unused=True, materialize_grads=True)
    return [gradient.cpu() for gradient in found]


@contextmanager
def _gates(gated: Sequence[tuple[nn.Linear, int]], gates: Sequence[Tensor]) -> Iterator[None]:
    """Multiply what enters each linear with its gates; a sublayer without units has nothing to multiply."""
    present = [(linear, width, gate) for (linear, width), gate in zip(gated, gates, strict=True) if gate.shape[1]]
    handles = [linear.register_forward_pre_hook(_multiply(gate, width)) for linear, width, gate in present]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _multiply(gate: Tensor, width: int) -> Callable[..., Any]:
    spread = gate.repeat_interleave(width, dim=1).unsqueeze(1)  # [B, 1, units * width]

    def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0] * spread, *inputs[1:])

    return hook


def rearrange(gradients: Tensor, kept: Tensor) -> Tensor:
    """Swap kept and removed units of one sublayer until no swap lowers the block-diagonal estimate (section 4.2).

    The estimate is sᵀ I s with s = 1 for removed units, that is 1/N sum_n (sum of n's gradients of removed units)².
    Each removed unit in turn is exchanged with the kept unit that lowers it most, if any does; rounds are repeated
    until one changes nothing. The paper's program instead grows the removed set anew, one swap a unit.

    Args:
        gradients: [N, U] of the sublayer.
        kept: Units kept, [U'].

    Returns:
        As many units, [U'], ascending; the estimate is at most that of `kept`.
    """
    units = gradients.shape[1]
    inside = torch.ones(units, dtype=torch.bool)  # removed
    inside[kept] = False
    if inside.all() or not inside.any():
        return kept.clone()
    scores = gradients.double()
    fisher = scores.T @ scores / len(scores)  # [U, U]
    diagonal = fisher.diagonal()
    with_removed = fisher[:, inside].sum(dim=1)  # I s, [U]
    smallest_gain = 1e-12 * float(diagonal.sum())  # below it a change is rounding, and rounds might never end
    changed = True
    while changed:
        changed = False
        for unit in inside.nonzero().flatten().tolist():
            outside = (~inside).nonzero().flatten()
            change = (
                diagonal[unit] + diagonal[outside] - 2 * fisher[unit, outside]
                - 2 * with_removed[unit] + 2 * with_removed[outside]
            )  # fmt: skip
            best = int(change.argmin())
            if float(change[best]) < -smallest_gain:
                other = int(outside[best])
                inside[unit], inside[other] = False, True
                with_removed += fisher[:, other] - fisher[:, unit]
                changed = True
    return (~inside).nonzero().flatten()
