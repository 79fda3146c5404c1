"""What everything that traces a module shares: inputs to trace with, silence, and the comparison afterwards.

Tracing and compiling may bake a size or a value in without a word, so what comes out is compared with the module on
shapes that it was not traced with.
"""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from millis.models.outputs import each
from millis.types import Features, Output, Session, Signature

SHAPES = ((1, 1), (1, 7), (3, 5))  # [B, S] to compare at; the example below is (2, 4)
RELATIVE, ABSOLUTE = 1e-3, 1e-4  # fp32 graphs differ from eager by 1e-6 to 1e-5; a baked-in size errs by 1e-1
SHARE = 5e-4  # of the largest value


def example(inputs: tuple[str, ...], batch: int, length: int) -> tuple[Tensor, ...]:
    """Small ids, which every vocabulary has; a batch's last row ends in padding: masks are not optional."""
    ids = torch.arange(batch * length).reshape(batch, length) % 3
    mask = torch.ones_like(ids)
    if batch > 1 and length > 1:
        mask[-1, -1] = 0
    values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    return tuple(values[name] for name in inputs)


def axes(output: Output) -> dict[int, str]:
    """Which axes of an output are free."""
    return {0: "batch"} if output.per == "text" else {0: "batch", 1: "sequence"}


def difference(model: nn.Module, session: Session, signature: Signature) -> str | None:
    """Where what was made of `model` errs, at `SHAPES`; None where it agrees. What it gives for padding is not read."""
    for batch, length in SHAPES:
        arguments = example(signature.inputs, batch, length)
        with torch.inference_mode():
            expected = [output.numpy() for output in each(model(*arguments))]
        ids, mask, *types = (value.numpy() for value in arguments)
        got = session(Features(ids, mask, types[0] if types else None))
        for output, ours, theirs in zip(signature.outputs, got, expected, strict=True):
            if ours.shape != theirs.shape:
                shapes = f"{list(ours.shape)}, expected {list(theirs.shape)}"
                return f"{output.name} is {shapes} at batch {batch}, length {length}"
            read = mask > 0 if output.per == "token" else ...
            if not agree(ours[read], theirs[read]):
                by = np.abs(ours[read] - theirs[read]).max()
                return f"{output.name} differ by {by:.1g} at batch {batch}, length {length}"
    return None


def agree(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> bool:
    """Whether what was made of a model gives what it gives, as far as fp32 says.

    Values may differ by a share of the largest: SmolLM2's logits are up to 34, and of one that is near 0 eager fp32
    itself is 6e-4 away from fp64; native is 8e-4 away from eager, and 8e-3 after the weights were rounded by GPTQ.
    """
    largest = np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0)
    return bool(np.allclose(ours, theirs, rtol=RELATIVE, atol=max(ABSOLUTE, SHARE * largest)))


def every(segments: Sequence[Callable[..., Any]], features: Features) -> NDArray[np.float32]:
    """Logits of every segment of a model, [segments, B, C]: each is given the states that the one before it left."""
    first, *others = segments
    states, logits = first(features)
    passed = [logits]
    for segment in others:
        states, logits = segment(states, features.mask)
        passed.append(logits)
    return np.stack(passed)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' deprecation notices and advice, none of which a user can act on."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
