"""After cutting, refit each sublayer's output so that the residual stream is again the unpruned model's.

Kwon et al. 2022 (2204.09656), section 4.3, sublayer by sublayer from the first to the last, on calibration texts:

    minimise over the output's weights   || x + W z + b - t ||²

    z   what the kept heads or neurons give in the pruned model        [T, A'] or [T, F'], T tokens
    x   the residual stream that enters the sublayer there             [T, D']
    t   the residual stream after the sublayer in the unpruned model   [T, D']

so that each sublayer also makes good what the ones before it lost. Where this leaves the paper: it looks for one factor
a unit, with the direction of the unit's output fixed; here the whole output matrix and its bias are refitted, which
costs the same at run time. More freedom wants a ridge, which holds weights to the ones they had, not to zero:

    + λ · (mean variance of z) · T · || W - W₀ ||²

with the λ of `RIDGES` that errs least on every fourth text when fitted to the others. As W₀ itself costs nothing, no
sublayer's error on the calibration texts can rise.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from millis.data.batches import Batch, model_inputs
from millis.errors import MillisError
from millis.models import anatomy
from millis.models.encoder import Transformer
from millis.models.selection import Selection

RIDGES = (0.001, 0.01, 0.1, 1.0, 10.0)
HELD_OUT = 4  # one text in so many chooses the ridge


@torch.no_grad()
def reconstruct(small: Transformer, large: Transformer, keep: Selection, batches: Sequence[Batch]) -> None:
    """Refit the outputs of `small`'s sublayers, in place, so that its residual stream follows `large`'s.

    Takes the time of three forward passes of `small` and one of `large` over the texts, and holds one hidden state of
    each for every token.

    Args:
        small: `shrink(large, keep)`, or trained since.
        large: The unpruned model.
        keep: What `small` is of `large`.
        batches: Texts; labels are not read. Several tokens for each unit of the largest sublayer fit it well.

    Raises:
        MillisError: no texts.
    """
    if not batches:
        raise MillisError("no texts to reconstruct pruned layers from: pruning needs training texts")
    device = next(small.parameters()).device
    moved = [{name: value.to(device) for name, value in model_inputs(batch).items()} for batch in batches]
    channels = keep.hidden.to(device)
    with _evaluating(small), _evaluating(large):
        walk, goal = _Walk(small, moved), _Walk(large, moved)
        for index in range(len(goal.blocks)):
            wanted = goal.run(index)
            if index in keep.layers:
                place = keep.layers.index(index)
                layer = walk.layers[place]
                for output, sublayer in ((layer.attention_output, "attention"), (layer.ffn_out, "ffn")):
                    seen = [getattr(streams, sublayer) for streams in walk.run(place)]
                    targets = [getattr(streams, sublayer).after[..., channels] for streams in wanted]
                    _refit(output, seen, targets, [inputs["attention_mask"].bool() for inputs in moved])
                walk.advance(walk.run(place))
            goal.advance(wanted)


class _Sublayer(NamedTuple):
    """What a sublayer did with a batch."""

    entering: Tensor  # [B, S, A'] or [B, S, F'], into its output
    after: Tensor  # [B, S, D], the residual stream after it


class _Streams(NamedTuple):
    """What a block did with a batch."""

    attention: _Sublayer
    ffn: _Sublayer
    output: Tensor  # [B, S, D]


class _Walk:
    """A model's blocks run one at a time over all batches, so that a block can change before the next one runs."""

    def __init__(self, model: Transformer, batches: Sequence[Batch]) -> None:
        parts = anatomy.find(model.spec.kind)
        self.blocks, self.layers = parts.blocks(model.encoder), parts.layers(model.encoder)
        self.pre_norm = parts.final_norm(model.encoder) is not None
        started = [_first_call(model, self.blocks[0], inputs) for inputs in batches]
        self.states = [arguments[0] for arguments, _ in started]  # hidden states that enter the next block
        # Masks and positions, which every block of a model is called with alike.
        self.others = [(arguments[1:], named) for arguments, named in started]

    def run(self, index: int) -> list[_Streams]:
        """What block `index` does with each batch."""
        layer, found = self.layers[index], []
        # Post-norm: a sublayer's own norm reads the sum it makes. Pre-norm: the next norm does, for the last the block.
        after_attention = layer.ffn_norm if self.pre_norm else layer.attention_norm
        for states, (arguments, named) in zip(self.states, self.others, strict=True):
            with ExitStack() as stack:
                watched = (layer.attention_output, after_attention, layer.ffn_out, layer.ffn_norm)
                into_attention, attended, into_ffn, summed = (stack.enter_context(_inputs_of(part)) for part in watched)
                output = self.blocks[index](states, *arguments, **named)
            attention = _Sublayer(into_attention[0], attended[0])
            ffn = _Sublayer(into_ffn[0], output if self.pre_norm else summed[0])
            found.append(_Streams(attention, ffn, output))
        return found

    def advance(self, streams: Sequence[_Streams]) -> None:
        """Go on to the next block with what this one gave."""
        self.states = [stream.output for stream in streams]


class _Moments:
    """Sums over tokens of z [T, A] and of its target y = t - x [T, D], in double precision."""

    def __init__(self, z: Tensor, y: Tensor) -> None:
        z, y = z.double(), y.double()
        self.tokens = len(z)
        self.z, self.y, self.zz, self.zy, self.yy = z.sum(0), y.sum(0), z.T @ z, z.T @ y, y.square().sum()

    def __add__(self, other: "_Moments") -> "_Moments":
        total = object.__new__(_Moments)
        for name, value in vars(self).items():
            setattr(total, name, value + getattr(other, name))
        return total

    def error(self, weight: Tensor, bias: Tensor) -> float:
        """Sum over tokens of || W z + b - y ||², of `weight` [D, A] and `bias` [D]."""
        quadratic = torch.einsum("da,ab,db->", weight, self.zz, weight) - 2 * (weight * self.zy.T).sum() + self.yy
        shift = 2 * bias @ (weight @ self.z - self.y) + self.tokens * bias @ bias
        return float(quadratic + shift)


def _refit(output: nn.Linear, seen: Sequence[_Sublayer], targets: Sequence[Tensor], tokens: Sequence[Tensor]) -> None:
    """Ridge regression of one output towards its present weights; the bias is free; padding is not fitted."""
    fitted: _Moments | None = None
    held: _Moments | None = None
    texts = 0
    for (entering, after), target, mask in zip(seen, targets, tokens, strict=True):
        z = entering[..., : output.in_features]  # nothing enters an output without units
        y = target - after + z @ output.weight.T + output.bias
        chosen = mask & ((torch.arange(len(mask), device=mask.device) + texts) % HELD_OUT == 0)[:, None]
        texts += len(mask)
        held = _plus(held, _Moments(z[chosen], y[chosen]))
        fitted = _plus(fitted, _Moments(z[mask & ~chosen], y[mask & ~chosen]))
    assert fitted is not None and held is not None  # there is a batch
    ridge = max(RIDGES)  # a lone text can be fitted and cannot be judged by
    if fitted.tokens and output.in_features:
        ridge = min(RIDGES, key=lambda candidate: held.error(*_solve(fitted, output.weight, candidate)))
    weight, bias = _solve(fitted + held, output.weight, ridge)
    output.weight.copy_(weight)
    output.bias.copy_(bias)


def _plus(total: _Moments | None, more: _Moments) -> _Moments:
    return more if total is None else total + more


def _solve(moments: _Moments, weight: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Weights [D, A] and bias [D] that minimise the error plus the ridge's pull to `weight`."""
    mean_z, mean_y = moments.z / moments.tokens, moments.y / moments.tokens
    solution = weight.double()
    covariance = moments.zz / moments.tokens - torch.outer(mean_z, mean_z)
    strength = ridge * float(covariance.diagonal().sum()) / max(len(mean_z), 1)
    if strength > 0:  # no units, or units that never change: nothing to fit but the bias
        shared = moments.zy / moments.tokens - torch.outer(mean_z, mean_y)
        held = covariance + strength * torch.eye(len(mean_z), dtype=torch.float64, device=mean_z.device)
        solution = torch.linalg.solve(held, shared + strength * solution.T).T
    return solution, mean_y - solution @ mean_z


class _Reached(Exception):
    """A forward pass has come to the point of interest; the rest of it is not needed."""


def _first_call(model: Transformer, block: nn.Module, inputs: Batch) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What `model` calls `block` with: positional and named arguments."""
    seen: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def stop(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append((arguments, named))
        raise _Reached

    handle = block.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with suppress(_Reached):
            model(**inputs)
    finally:
        handle.remove()
    return seen[0]


@contextmanager
def _inputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """A list that gets the first argument of each call of `module`."""
    seen: list[Tensor] = []

    def note(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen.append(arguments[0])

    hook: Callable[..., Any] = note
    handle = module.register_forward_pre_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
