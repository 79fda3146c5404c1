"""PyTorch module → plan, compared with the module where both are fp32."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from millis.backends.plan import file
from millis.backends.plan.arithmetic import arithmetic
from millis.backends.plan.builder import Builder, Integers
from millis.backends.plan.encoder import build_segment
from millis.backends.plan.families import build
from millis.backends.plan.refused import INSTEAD, refusal
from millis.backends.plan.session import PlanSegment, PlanSession
from millis.backends.plan.steps import Cache, Precision
from millis.backends.scratch import fp32_bytes, scratch
from millis.backends.tracing import SHAPES, agree, difference, every, example
from millis.errors import MillisError
from millis.models.encoder import Transformer
from millis.models.exits import segments, spans
from millis.models.spec import Spec
from millis.quantization.fake_quantize import INT8_REDUCED
from millis.quantization.processor import told
from millis.quantization.ptq import prepare
from millis.quantization.spec import Quantization
from millis.types import Features, Output, Signature

NARROW = "weights have 7 bits: without VNNI their products take half the time of 8 bits'"


def export(
    model: nn.Module,
    path: Path,
    signature: Signature,
    quantization: Quantization | None,
    calibration: Sequence[Features] = (),
    precision: Precision = "fp32",
    cache: Cache = "fp32",
) -> tuple[str, ...]:
    """Write the plan of `model` to `path`.

    Args:
        model: In evaluation mode, on the CPU, in fp32.
        path: The file.
        signature: What the model takes and gives.
        quantization: What becomes integers; or None.
        calibration: Texts, where `quantization` needs them.
        precision: Of weights and products, where nothing becomes integers.
        cache: Of the keys and values of tokens before.

    Returns:
        What a reader of the record should know, a sentence each.

    Raises:
        MillisError: a model that has no plan, or a plan that does not compute what the module does.
    """
    if quantization is None and precision == cache == "fp32":
        _write(model, path, None)
        if fault := difference(model, PlanSession(file.read(path)), signature):
            raise MillisError(f"backend=native does not compute what the model does: {fault}. {INSTEAD}")
        return ()
    prepared, integers, notes = _prepared(model, quantization, calibration)
    with scratch(fp32_bytes(model)) as place:  # the steps, before any of it is rounded
        export(prepared, place / path.name, signature, None)
    _write(prepared, path, integers, precision, cache)
    return notes


def export_segments(
    model: Transformer,
    folder: Path,
    signature: Signature,
    quantization: Quantization | None,
    calibration: Sequence[Features] = (),
    precision: Precision = "fp32",
) -> tuple[str, ...]:
    """Write one plan a segment into `folder`; as `export` else.

    Raises:
        MillisError: as `export`.
    """
    if quantization is None and precision == "fp32":
        _write_segments(model, folder, None)
        _check_segments(model, folder, signature)
        return ()
    prepared, integers, notes = _prepared(model, quantization, calibration)
    with scratch(fp32_bytes(model)) as place:
        export_segments(prepared, place, signature, None)
    _write_segments(prepared, folder, integers, precision)
    return notes


def _prepared(
    model: nn.Module, quantization: Quantization | None, calibration: Sequence[Features]
) -> tuple[Any, Integers | None, tuple[str, ...]]:
    """The model, what of it becomes integers, and what a reader should know."""
    if quantization is None:
        return model, None, ()
    computed = arithmetic(quantization)
    prepared = prepare(model, quantization, computed, calibration)
    kept = [*prepared.kept]
    if quantization.aware is not None or computed.kernel is None:
        kept += [name for name, layer in model.named_modules() if isinstance(layer, nn.Conv1d)]
    if computed.recurrent is None:
        kept += [name for name, layer in model.named_modules() if isinstance(layer, nn.LSTM)]
    chosen = told(quantization) if quantization.reduce_range != "auto" else NARROW
    note = chosen if computed.matrix.grid == INT8_REDUCED else None
    block = quantization.block_size
    integers = Integers(computed.matrix.grid.high, quantization.per_channel, kept, block, prepared.finer)
    return prepared.model, integers, (*prepared.notes, *([note] if note else []))


def _write(
    model: nn.Module,
    path: Path,
    integers: Integers | None,
    precision: Precision = "fp32",
    cache: Cache = "fp32",
) -> None:
    spec = getattr(model, "spec", None)
    if not isinstance(spec, Spec):
        raise refusal(f"a model of class {type(model).__name__}")
    builder = Builder(model, spec.outputs, integers, precision, cache)
    build(model, builder)
    builder.write(path)


def _write_segments(model: Transformer, folder: Path, integers: Integers | None, precision: Precision = "fp32") -> None:
    states = Output("states", "token", model.encoder.config.hidden_size)
    for position, span in enumerate(spans(model.spec)):
        builder = Builder(model, [*model.spec.outputs, states], integers, precision)
        build_segment(model, span, builder)
        builder.write(file.segment_path(folder, position))


def _check_segments(model: Transformer, folder: Path, signature: Signature) -> None:
    from millis.backends.modules import segments_of

    count = len(segments(model))
    here = [PlanSegment(file.read(file.segment_path(folder, position))) for position in range(count)]
    for batch, length in SHAPES:
        arrays = [value.numpy() for value in example(signature.inputs, batch, length)]
        given = Features(*arrays, *[None] * (3 - len(arrays)))
        if not agree(every(here, given), every(segments_of(model), given)):
            raise MillisError(
                f"backend=native does not compute what the segments do, at batch {batch}, length {length}. {INSTEAD}"
            )
