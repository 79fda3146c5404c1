"""A model with exits → one ONNX graph a segment, in fp32 or integers.

A segment's graph takes token ids, or the states that the segment before it left, and gives states and logits; each is
compared with its module on other shapes than the one it was traced at, as whole models are (`onnx_export`).
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from millis.backends.onnx_export import OPSET, keep_inputs, require
from millis.backends.onnx_quantize import quantize
from millis.backends.onnxruntime import SEGMENT_INPUTS, SEGMENT_OUTPUTS, open_inference, segment_path
from millis.backends.tracing import ABSOLUTE, RELATIVE, SHAPES, example, quiet
from millis.errors import MillisError
from millis.models.blocks import spelled_out
from millis.models.exits import segments
from millis.quantization.keep import matching
from millis.quantization.ptq import Prepared
from millis.quantization.spec import Quantization


def export_segments(
    model: Any, folder: Path, inputs: tuple[str, ...], quantization: Quantization | None
) -> tuple[str, ...]:
    """Write the segments of `model` into `folder`.

    Args:
        model: With exits, in evaluation mode.
        folder: Where `segment_0.onnx` and so on go.
        inputs: Names of the model's inputs, which the first segment takes.
        quantization: None, or one that needs no calibration.

    Returns:
        What a reader of the record should know, a sentence each.

    Raises:
        MillisError: `onnx` or `onnxruntime` is not installed, a quantization that finds ranges over a whole model, or a
            graph that does not compute what its segment does.
    """
    require("onnx", "onnxruntime")
    if quantization is not None and quantization.calibrates:
        raise MillisError(
            f"a model in segments got quantization={quantization.describe()}, which finds its ranges over one graph. "
            "Choose quantization=dynamic, weight_only_8 or weight_only_4"
        )
    kept = [] if quantization is None else [model.get_submodule(name) for name in matching(model, quantization.keep)]
    hidden = model.encoder.config.hidden_size
    notes: list[str] = []
    with TemporaryDirectory() as scratch, quiet(), spelled_out(model):
        for position, segment in enumerate(segments(model)):
            path = segment_path(folder, position)
            graph = _Graph(segment.eval(), inputs if position == 0 else SEGMENT_INPUTS, hidden)
            if quantization is None:
                graph.export(path)
                continue
            plain = Path(scratch) / path.name
            graph.export(plain)
            own = tuple(name for name, module in segment.named_modules() if any(module is layer for layer in kept))
            notes += quantize(plain, path, Prepared(segment, own, [], ()), quantization)
    return tuple(dict.fromkeys(notes))


class _Graph:
    """One segment and what goes in.

    Args:
        segment: Gives states and logits.
        inputs: Their names, in order.
        hidden: D.
    """

    def __init__(self, segment: nn.Module, inputs: Sequence[str], hidden: int) -> None:
        self.segment, self.inputs, self.hidden = segment, tuple(inputs), hidden

    def export(self, path: Path) -> None:
        """Trace the segment into `path`.

        Raises:
            MillisError: the graph computes something else.
        """
        axes = {name: {0: "batch", 1: "sequence"} for name in (*self.inputs, SEGMENT_OUTPUTS[0])}
        torch.onnx.export(
            self.segment,
            self._example(batch=2, length=4),
            str(path),
            dynamo=False,
            input_names=list(self.inputs),
            output_names=list(SEGMENT_OUTPUTS),
            dynamic_axes=axes | {SEGMENT_OUTPUTS[1]: {0: "batch"}},
            opset_version=OPSET,
        )
        keep_inputs(path, self.inputs)
        self._check(path)

    def _check(self, path: Path) -> None:
        session, _ = open_inference(path, threads=1)
        for batch, length in SHAPES:
            given = self._example(batch, length)
            with torch.inference_mode():
                expected = self.segment(*given)
            feeds = {name: value.numpy() for name, value in zip(self.inputs, given, strict=True)}
            for name, got, wanted in zip(
                SEGMENT_OUTPUTS, session.run(list(SEGMENT_OUTPUTS), feeds), expected, strict=True
            ):
                if got.shape != wanted.shape or not np.allclose(got, wanted.numpy(), rtol=RELATIVE, atol=ABSOLUTE):
                    raise MillisError(
                        f"the ONNX graph of {path.stem} does not agree with the model: its {name} differ at batch "
                        f"{batch}, length {length}. Use backend=eager"
                    )

    def _example(self, batch: int, length: int) -> tuple[Tensor, ...]:
        if self.inputs != SEGMENT_INPUTS:
            return example(self.inputs, batch, length)
        (mask,) = example(("attention_mask",), batch, length)
        values = torch.linspace(-2, 2, batch * length * self.hidden)  # as wide as what a layer norm gives
        return values[torch.randperm(len(values), generator=torch.Generator().manual_seed(0))].reshape(
            batch, length, self.hidden
        ), mask
