"""What an object was made of, as a config would say it: what fingerprints, manifests and records hold.

    described(TransformerStudent(layers=2))
    {"_target_": "millis.models.student.TransformerStudent", "layers": 2, "hidden_size": None, ...}

Methods are frozen dataclasses, whose fields are said, but for those with the metadata `{"described": False}`. Of any
other class the parameters of its constructor are said, which it keeps under their names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import Parameter, isfunction, ismethod, signature
from pathlib import Path
from typing import Any

from millis.errors import MillisError

TARGET = "_target_"  # the key that names a class, as Hydra has it


def described(value: Any) -> Any:
    """JSON-able; equal for objects that were made of equal parts.

    Raises:
        MillisError: an object that does not keep what it was made of.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): described(part) for key, part in value.items()}
    if isinstance(value, Sequence):
        return [described(part) for part in value]
    names = _parameters(value)
    return {TARGET: _name(type(value)), **{name: described(getattr(value, name)) for name in names}}


def _parameters(value: Any) -> list[str]:
    """Names of what `value` was made of."""
    if isinstance(value, type) or not hasattr(value, "__dict__") or isfunction(value) or ismethod(value):
        raise _silent(value)
    if is_dataclass(value):
        return [field.name for field in fields(value) if field.init and field.metadata.get("described", True)]
    kinds = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    constructor = str(getattr(type(value).__init__, "__module__", ""))
    if constructor.startswith("torch."):  # that of a module which takes nothing of its own
        return []
    try:
        found = signature(type(value)).parameters.values()
    except ValueError as error:  # a class that was not written in Python
        raise _silent(value) from error
    if any(one.kind not in kinds or not hasattr(value, one.name) for one in found):
        raise _silent(value)
    return [one.name for one in found]


def _silent(value: Any) -> MillisError:
    return MillisError(
        f"{value!r} does not say what it was made of: expected a frozen dataclass, or an object that keeps the "
        "parameters of its constructor under their names"
    )


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
