"""Lines of JSON, as the corpora of applications have them, held against a schema."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

from msgspec import Meta

from millis import schema
from millis.errors import MillisError

Kind = TypeVar("Kind")
_INK = r"\S"
Said: TypeAlias = Annotated[str, Meta(pattern=_INK)]
"""A text that is not blank."""


def lines(path: Path, kind: type[Kind]) -> Iterator[tuple[str, Kind]]:
    """(place, row) of each line of JSON that is not blank.

    Raises:
        MillisError: the file is not there or cannot be read; or a line is not as it should be, which it names.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    place = f"{path}, line {number}"
                    try:
                        yield place, schema.checked(schema.parsed(line), kind)
                    except MillisError as error:
                        told = str(error).replace(f"matching regex {_INK!r}", "that is not blank")
                        raise MillisError(f"{place}: {told}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise MillisError(
            f"{path} cannot be read ({error}): expected lines of JSON; see docs/applications.md"
        ) from error
