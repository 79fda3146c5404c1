"""PyTorch module → plan, compared with the module where both are fp32."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from millis.backends.plan import file
from millis.backends.plan.builder import Builder, Integers
from millis.backends.plan.families import INSTEAD, build, refusal
from millis.backends.plan.session import PlanSession
from millis.backends.tracing import difference
from millis.errors import MillisError
from millis.models.outputs import outputs_of
from millis.quantization.processor import reduces_range, told
from millis.quantization.ptq import prepare
from millis.quantization.spec import Quantization
from millis.types import Features, Signature


def export(
    model: nn.Module,
    path: Path,
    signature: Signature,
    quantization: Quantization | None,
    calibration: Sequence[Features] = (),
) -> tuple[str, ...]:
    """Write the plan of `model` to `path`.

    Args:
        model: In evaluation mode, on the CPU, in fp32.
        path: The file.
        signature: What the model takes and gives.
        quantization: What becomes integers; or None.
        calibration: Texts, where `quantization` needs them.

    Returns:
        What a reader of the record should know, a sentence each.

    Raises:
        MillisError: a model that has no plan, or a plan that does not compute what the module does.
    """
    if quantization is None:
        _write(model, path, None)
        if fault := difference(model, PlanSession(file.read(path)), signature):
            raise MillisError(f"backend=native does not compute what the model does: {fault}. {INSTEAD}")
        return ()
    prepared = prepare(model, quantization, calibration)
    high = 64 if reduces_range(quantization) else 127
    _write(prepared.model, path, Integers(high, quantization.per_channel, prepared.kept))
    note = told(quantization)
    return (*prepared.notes, *([note] if note else []))


def _write(model: nn.Module, path: Path, integers: Integers | None) -> None:
    spec = getattr(model, "spec", None)
    if not isinstance(spec, dict):
        raise refusal(f"a model of class {type(model).__name__}")
    builder = Builder(model, outputs_of(spec), integers)
    build(model, builder)
    builder.write(path)
