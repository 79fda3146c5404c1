"""Sizes that serve every teacher: a count of parts, a share of the teacher's, or the teacher's own."""

from typing import TypeAlias

from millis.errors import MillisError

Size: TypeAlias = int | float | None
"""An integer counts, a fraction up to 1.0 is a share of the teacher's, None is the teacher's own."""


def check_size(option: str, size: Size) -> None:
    """Refuse what is neither a count nor a share.

    Args:
        option: Name of the setting, for the message.

    Raises:
        MillisError: below 1 as a count, or outside (0, 1] as a share.
    """
    if size is not None and not (0 < size <= 1 if isinstance(size, float) else size >= 1):
        raise MillisError(
            f"{option}={size} is no size; expected a count of at least 1, a share of the teacher's above 0 and up to "
            "1.0, or null for the teacher's"
        )


def count(size: Size, whole: int) -> int:
    """`size` as a number of parts, of the `whole` that the teacher has; a share keeps at least one."""
    if size is None:
        return whole
    return max(1, round(size * whole)) if isinstance(size, float) else size
