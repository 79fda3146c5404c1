"""The architectures of the family `static`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from millis.models.spec import TableSpec
from millis.schema import Count


@dataclass(frozen=True, kw_only=True)
class StaticSpec(TableSpec):
    """One vector and one weight a token.

    Args:
        size: D of a vector.
        norm: What the weighted sum is divided by: "mean", the sum of the weights; "l2", their length, sqrt(sum_s
            w_s^2), which gives bags of words the rows of tf-idf.
    """

    family: ClassVar[str] = "static"

    size: Count
    norm: Literal["mean", "l2"] = "mean"
