"""What stands under `spec` in the manifest of a cascade: two artifacts as one, and when the second is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypedDict

from millis import schema
from millis.models.spec import Spec
from millis.types import Output

CASCADE = "cascade"  # as `backend` and as the family


class Members(TypedDict):
    """The manifests of both, in JSON, without their files."""

    fast: dict[str, Any]
    accurate: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CascadeSpec(Spec):
    """A cascade (`millis.serving.cascade`). It has no outputs of its own: its members say them.

    Args:
        threshold: Least probability at which the fast member's answer stands.
        members: Who answers.
    """

    family: ClassVar[str] = CASCADE

    outputs: tuple[Output, ...] = ()
    threshold: float
    members: Members

    @classmethod
    def from_json(cls, values: Mapping[str, Any], within: str = "") -> Self:
        said = {name: value for name, value in values.items() if name != "outputs"}
        return schema.checked(said, cls, within)

    def to_json(self) -> dict[str, Any]:
        return {"family": self.family, "threshold": self.threshold, "members": self.members}

    @property
    def is_dynamic(self) -> bool:
        return True

    @property
    def backends(self) -> tuple[str, ...]:
        """Of the members."""
        return tuple(str(member.get("backend")) for member in self.manifests.values())

    @property
    def manifests(self) -> dict[str, dict[str, Any]]:
        """`members` by name."""
        return {"fast": self.members["fast"], "accurate": self.members["accurate"]}
