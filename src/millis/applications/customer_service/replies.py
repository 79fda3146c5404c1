"""What is said: templates with places for particulars, and what is asked where one is missing. Nothing is executed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from millis.applications.customer_service.slots import KINDS
from millis.errors import MillisError

_PLACE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Reply:
    """The answer to an intent.

    Args:
        answer: A template: `{order_number}` is where the order number goes.
        asks: Particular → what is asked where it is not known. One that is not here is left out of the answer.

    Raises:
        MillisError: a place or question for what is no particular.
    """

    answer: str
    asks: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := sorted({*self.places, *self.asks} - {*KINDS}):
            raise MillisError(f"an answer names {{{unknown[0]}}}: expected one of {', '.join(KINDS)}")

    @cached_property
    def places(self) -> tuple[str, ...]:
        """Particulars that the template names."""
        return tuple(_PLACE.findall(self.answer))

    def missing(self, known: Mapping[str, str]) -> str | None:
        """The first particular that has to be asked for."""
        return next((kind for kind in self.asks if kind not in known), None)

    def filled(self, known: Mapping[str, str]) -> str:
        """The template with what is known."""
        return _PLACE.sub(lambda found: known.get(found[1], ""), self.answer)
