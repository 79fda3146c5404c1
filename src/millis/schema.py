"""What millis reads from files, checked against annotations before anything is used: types, ranges, names.

A schema is a dataclass or a `msgspec.Struct`; msgspec holds JSON against its annotations and converts nothing but a
whole number to a float. It takes 7 ms to import, which every artifact pays that is loaded; pydantic takes 50.
"""

import json
import re
import reprlib
from typing import Annotated, Any, TypeVar

import msgspec

from millis.errors import MillisError

Checked = TypeVar("Checked")

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Of anything, from 0; exact in every JSON reader."""

_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


def parsed(text: str) -> Any:
    """The value of a JSON text; NaN and infinities, which Python writes, are read.

    Raises:
        MillisError: no JSON, or nested too deep.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise MillisError("got lists or objects nested too deep, expected a few levels") from error
    except ValueError as error:
        raise MillisError(f"no JSON: {error}") from error


def checked(value: Any, kind: type[Checked], within: str = "") -> Checked:
    """`value`, made of JSON, as a `kind`; what a dataclass has no field for is passed over.

    Args:
        within: The field that `value` was read from, where it is a part of something, for the message.

    Raises:
        MillisError: one line: the field, what was got, what was expected.
    """
    try:
        return msgspec.convert(value, kind)
    except RecursionError as error:
        raise MillisError("got lists or objects nested too deep, expected a few levels") from error
    except msgspec.ValidationError as error:
        raise MillisError(_told(str(error), value, kind, within)) from error


def decoded(text: bytes, kind: type[Checked]) -> Checked:
    """As `parsed` and `checked` in one, for long texts: nothing is kept of what is not expected. No NaN is read.

    Raises:
        MillisError: as they do.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except RecursionError as error:
        raise MillisError("got lists or objects nested too deep, expected a few levels") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what, _, place = str(error).replace("`", "").partition(" - at $")
        raise MillisError(f"{place}: {what}" if place else what) from error


def _told(message: str, value: Any, kind: Any, within: str) -> str:
    """msgspec's message, which names neither a mapping's key nor the value that was got, with both."""
    what, _, place = message.replace("`", "").partition(" - at ")
    what = what[0].lower() + what[1:]
    if not place.startswith("$"):  # a key of the wrong kind, which JSON cannot have
        return f"{what} in {within}" if within else message.replace("`", "")
    at, where = value, f".{within}" if within else ""
    for name, index in _STEP.findall(place):
        if name:
            at, where = at[name], f"{where}.{name}"
        elif index != "...":
            at, where = at[int(index)], f"{where}[{index}]"
        else:
            key = _culprit(at, message, value, kind)
            at, where = at[key], f"{where}[{key!r}]"
    if not where or "field" in what:  # all of it, or one that is missing or unknown
        return f"{what}{' in ' + where.lstrip('.') if where else ''}"
    return f"{where.lstrip('.')} is {reprlib.repr(at)}: {what}"


def _culprit(mapping: dict[str, Any], message: str, value: Any, kind: Any) -> str:
    """The key of `mapping`, somewhere in `value`, that `message` is about: the one that alone brings it about."""
    items = list(mapping.items())
    try:
        for key, inner in items:
            mapping.clear()
            mapping[key] = inner
            try:
                msgspec.convert(value, kind)
            except msgspec.ValidationError as error:
                if str(error) == message:
                    return key
    finally:
        mapping.clear()
        mapping.update(items)
    return "..."
