"""A model with exits → one ONNX graph a segment, in fp32 or integers.

A segment's graph takes token ids, or the states that the segment before it left, and gives states and logits; each is
compared with its module on other shapes than the one it was traced at, as whole models are (`export`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from millis.backends.onnx.arithmetic import arithmetic
from millis.backends.onnx.export import OPSET, keep_inputs, require
from millis.backends.onnx.quantize import Feeds, quantize
from millis.backends.onnx.session import SEGMENT_INPUTS, SEGMENT_OUTPUTS, feeds, open_inference, segment_path
from millis.backends.scratch import fp32_bytes, scratch
from millis.backends.tracing import SHAPES, agree, example, quiet
from millis.errors import MillisError
from millis.models.blocks import spelled_out
from millis.models.exits import segments
from millis.quantization.ptq import Prepared, prepare
from millis.quantization.spec import Quantization
from millis.types import Features, Signature


def export_segments(
    model: Any,
    folder: Path,
    signature: Signature,
    quantization: Quantization | None,
    calibration: Sequence[Features] = (),
) -> tuple[str, ...]:
    """Write the segments of `model` into `folder`.

    Ranges of activations are those of every calibration text in every segment, for nobody knows yet which texts will
    have left; smoothing and layers that stay fp32 are chosen on the whole model, by its last answer.

    Args:
        model: With exits, in evaluation mode.
        folder: Where `segment_0.onnx` and so on go.
        signature: The model's; the first segment takes its inputs.
        quantization: None, or what becomes integers.
        calibration: Texts, where `quantization` needs them.

    Returns:
        What a reader of the record should know, a sentence each.

    Raises:
        MillisError: `onnx` or `onnxruntime` is not installed, texts are needed and none are given, or a graph that does
            not compute what its segment does.
    """
    require("onnx", "onnxruntime")
    with scratch(fp32_bytes(model)) as place, quiet(), spelled_out(model):
        if quantization is None:
            for position, graph in enumerate(_graphs(model, signature.inputs)):
                graph.export(segment_path(folder, position))
            return ()
        prepared = prepare(model, quantization, arithmetic(quantization), calibration)
        kept, finer = (
            [prepared.model.get_submodule(name) for name in names] for names in (prepared.kept, prepared.finer)
        )
        requests: list[Feeds] = [feeds(text) for text in prepared.requests]
        notes, count = list(prepared.notes), len(model.spec.exits) + 1
        for position, graph in enumerate(_graphs(prepared.model, signature.inputs)):
            plain = place / segment_path(folder, position).name
            graph.export(plain)
            segment: Any = graph.segment
            segment.quantization = _parameters_of(segment, prepared.model)
            part = Prepared(segment, _names(segment, kept), [], (), _names(segment, finer))
            notes += quantize(plain, segment_path(folder, position), part, quantization, requests)
            requests = _after(plain, requests) if position + 1 < count else []
    return tuple(dict.fromkeys(notes))


def _graphs(model: Any, inputs: tuple[str, ...]) -> Iterator["_Graph"]:
    hidden = model.encoder.config.hidden_size
    for position, segment in enumerate(segments(model)):
        yield _Graph(segment.eval(), inputs if position == 0 else SEGMENT_INPUTS, hidden)


def _names(segment: nn.Module, layers: Sequence[nn.Module]) -> tuple[str, ...]:
    """What those of `layers` that the segment has are called in it."""
    return tuple(name for name, module in segment.named_modules() if any(module is layer for layer in layers))


def _parameters_of(segment: nn.Module, model: Any) -> dict[str, Tensor]:
    """The trained integers and steps (`millis.quantization.parameters`) of the layers that the segment has."""
    own = {id(module) for module in segment.modules()}
    trained: dict[str, Tensor] = getattr(model, "quantization", {})
    return {name: value for name, value in trained.items() if id(model.get_submodule(name.rsplit(".", 2)[0])) in own}


def _after(path: Path, requests: Sequence[Feeds]) -> list[Feeds]:
    """What the segment after the graph `path` gets on the same texts."""
    if not requests:
        return []
    session, _ = open_inference(path, threads=1)
    read = {value.name for value in session.get_inputs()}
    found: list[Feeds] = []
    for request in requests:
        (states,) = session.run([SEGMENT_OUTPUTS[0]], {name: array for name, array in request.items() if name in read})
        found.append(dict(zip(SEGMENT_INPUTS, (states, request["attention_mask"]), strict=True)))
    return found


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
                if got.shape != wanted.shape or not agree(got, wanted.numpy()):
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
