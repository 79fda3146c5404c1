"""PyTorch module → ONNX graph with free batch and sequence axes, in fp32; `quantize` makes integers of it.

The TorchScript exporter goes first: 0.5 to 3 s a model against 4.5 to 8 s for the newer one (`dynamo=True`), for graphs
that run equally fast (all-MiniLM-L6-v2 int8 at 16 tokens: 2.2 ms either way); a sweep exports dozens. It traces one
shape and is known to bake sizes in silently, and it is deprecated, so its graph is compared with the module on other
shapes, and where it fails or errs the newer exporter takes over.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from millis.backends.onnx.arithmetic import arithmetic
from millis.backends.onnx.quantize import quantize
from millis.backends.onnx.session import feeds, open_session
from millis.backends.scratch import fp32_bytes, is_machines, scratch
from millis.backends.tracing import axes, difference, example, quiet
from millis.errors import MillisError
from millis.models.blocks import spelled_out
from millis.quantization.ptq import prepare
from millis.quantization.spec import Quantization
from millis.types import Features, Signature

OPSET = 17  # the first with LayerNormalization as one operator; what every ONNX Runtime since 2022 reads


def export(
    model: nn.Module,
    path: Path,
    signature: Signature,
    quantization: Quantization | None,
    calibration: Sequence[Features] = (),
) -> tuple[str, ...]:
    """Write `model` to `path`.

    Args:
        model: Takes the inputs of `signature` in their order, each [B, S] int64, and returns its outputs.
        path: The `.onnx` file.
        signature: Names the graph's inputs and outputs.
        quantization: What becomes integers, see `millis.backends.onnx.quantize`; or None.
        calibration: Texts, where `quantization` needs them.

    Returns:
        What a reader of the record should know, a sentence each.

    Raises:
        MillisError: `onnx` or `onnxruntime` is not installed, no exporter makes a graph that agrees with the module, or
            calibration texts are missing. `MachineFault` where TMPDIR or memory has no room for it.
    """
    require("onnx", "onnxruntime")
    training = model.training
    model.eval()  # the outermost module: the exporter restores the mode it finds, dropout included
    try:
        with scratch(fp32_bytes(model)) as folder, quiet(), spelled_out(model):
            if quantization is None:
                _export_checked(model, path, signature)
                return ()
            plain = folder / "model.onnx"
            prepared = prepare(model, quantization, arithmetic(quantization), calibration)
            _export_checked(prepared.model, plain, signature)
            return quantize(plain, path, prepared, quantization, [feeds(text) for text in prepared.requests])
    finally:
        model.train(training)


def _export_checked(model: nn.Module, path: Path, signature: Signature) -> None:
    faults = []
    for exporter in (_trace, _dynamo):
        try:
            exporter(model, path, signature)
            keep_inputs(path, signature.inputs)
            fault = difference(model, open_session(path, threads=1), signature)
        except Exception as error:  # exporters raise anything, and but for a full machine the next one may do better
            if is_machines(error):
                raise
            fault = f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"
        if fault is None:
            return
        faults.append(f"{exporter.__name__.strip('_')}: {fault}")
    raise MillisError(
        f"no ONNX exporter makes a graph that agrees with the model ({'; '.join(faults)}). "
        "Use backend=eager, or write the model's forward without loops and branches over its input"
    )


def _trace(model: nn.Module, path: Path, signature: Signature) -> None:
    free = {name: {0: "batch", 1: "sequence"} for name in signature.inputs}
    torch.onnx.export(
        model,
        example(signature.inputs, batch=2, length=4),
        str(path),
        dynamo=False,
        input_names=list(signature.inputs),
        output_names=[output.name for output in signature.outputs],
        dynamic_axes=free | {output.name: axes(output) for output in signature.outputs},
        opset_version=OPSET,
    )


def _dynamo(model: nn.Module, path: Path, signature: Signature) -> None:
    import onnx

    require("onnxscript")
    program: Any = torch.onnx.export(
        model,
        example(signature.inputs, batch=2, length=4),  # a batch of 1 would be taken for a constant
        dynamo=True,
        verbose=False,
        input_names=list(signature.inputs),
        output_names=[output.name for output in signature.outputs],
        dynamic_shapes=tuple({0: "batch", 1: "sequence"} for _ in signature.inputs),
    )
    program.save(str(path))
    graph = onnx.load(str(path))
    del graph.graph.value_info[:]  # its inferred shapes contradict those that the quantizer infers
    onnx.save(graph, str(path))


def keep_inputs(path: Path, inputs: tuple[str, ...]) -> None:
    """Give the graph the inputs that an exporter dropped as unused: callers feed them all."""
    import onnx

    model = onnx.load(str(path))
    present = {value.name for value in model.graph.input}
    if missing := [name for name in inputs if name not in present]:
        for name in missing:
            value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["batch", "sequence"])
            model.graph.input.append(value)
        onnx.save(model, str(path))


def require(*packages: str) -> None:
    """Refuse to go on without `packages`.

    Raises:
        MillisError: one is not installed.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MillisError(f"writing an ONNX graph needs {package}: pip install 'millis[onnx]'") from error
