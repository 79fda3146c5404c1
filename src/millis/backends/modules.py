"""Modules of PyTorch as sessions: arrays in, arrays out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from millis.models.outputs import each
from millis.types import Features, Outputs


class EagerSession:
    """A module and the rule for calling it: [B, S] arrays in, its outputs out."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model.eval()

    @torch.inference_mode()
    def __call__(self, features: Features) -> Outputs:
        """One array for each output."""
        types = None if features.token_types is None else torch.from_numpy(features.token_types)
        return arrays(self.model(torch.from_numpy(features.ids), torch.from_numpy(features.mask), types))


def arrays(outputs: Tensor | Sequence[Tensor]) -> Outputs:
    """What a module returned, as what a session returns."""
    return tuple(output.numpy() for output in each(outputs))


class EagerSegment:
    """A segment of a module, on arrays: what `millis.serving.stepwise` runs."""

    def __init__(self, segment: nn.Module) -> None:
        self.segment = segment.eval()

    @torch.inference_mode()
    def __call__(self, given: Features | NDArray[np.float32], *mask: NDArray[np.int64]) -> Any:
        """Features, or states [B, S, D] and mask [B, S], to states and logits [B, C]."""
        arrays = [array for array in given if array is not None] if isinstance(given, Features) else [given, *mask]
        states, logits = self.segment(*map(torch.from_numpy, arrays))
        return states.numpy(), logits.numpy()


def segments_of(model: Any) -> list[EagerSegment]:
    """A model with exits as the steps of a session."""
    from millis.models.exits import segments

    return [EagerSegment(segment) for segment in segments(model)]
