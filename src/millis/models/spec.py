"""Architectures: what a family's dataclass says of a model, and the JSON that manifests, caches and keys hold of it.

The class of a family is called after it (`StaticSpec`) and stands in `<family>_spec.py` beside the family's own file:
without torch, for manifests are held against it where requests are answered. Its annotations are what JSON is checked
by (`millis.schema`). In JSON a field that has a default is absent where the field has that value, and `outputs` are as
`millis.models.outputs` writes them.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar, Self, TypeAlias

from millis import schema
from millis.models.outputs import described, read
from millis.schema import Count
from millis.types import Output

Number: TypeAlias = int | float
"""As JSON has it: a whole number stays one, so that what is read is written again as it was."""

Ids = tuple[Count, ...]


@dataclass(frozen=True)
class Shape:
    """What is left of an architecture's heads and neurons, maybe none.

    Args:
        head_size: Channels of a head.
        heads: H of each layer.
        ffn: F of each layer.
    """

    head_size: Count
    heads: tuple[Count, ...]
    ffn: tuple[Count, ...]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What can be asked of every family's architecture. Latency is a function of it, the backend and the tokenizer
    alone.

    Args:
        outputs: What the model gives, in order, as `millis.models.outputs.plain` has them.
    """

    family: ClassVar[str]

    outputs: tuple[Output, ...]

    @classmethod
    def from_json(cls, values: Mapping[str, Any], within: str = "") -> Self:
        """Inverse of `to_json`; keys that are no fields are passed over.

        Args:
            within: Where `values` stand, for messages: `spec`.

        Raises:
            MillisError: a field that is missing, of another type or out of range.
        """
        given = {name: value for name, value in values.items() if value is not None}
        return schema.checked({**given, "outputs": read(given, within)}, cls, within)

    def to_json(self) -> dict[str, Any]:
        """JSON-able; what `from_json` reads."""
        said = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "outputs"}
        absent = [one.name for one in fields(self) if one.name in said and said[one.name] == _default(one)]
        kept = {name: _plain(value) for name, value in said.items() if name not in absent}
        return {"family": self.family, **kept, **described(self.outputs)}

    @property
    def kind(self) -> str:
        """What messages call the architecture: the family, of a transformer its `model_type`."""
        return self.family

    @property
    def shape(self) -> Shape | None:
        """Heads and neurons of the layers; None without layers, and where their parts are not known."""
        return None

    @property
    def exits(self) -> tuple[int, ...]:
        """Layers, counted from 0, after which a classifier may answer."""
        return ()

    @property
    def tokens(self) -> tuple[int, ...]:
        """Layers, counted from 0, between whose halves tokens are dropped."""
        return ()

    @property
    def around(self) -> tuple[Ids, Ids]:
        """The special tokens before and after a text, as far as they were noted."""
        return (), ()

    @property
    def ends(self) -> tuple[int, ...]:
        """Tokens after which a text that is written has ended."""
        return ()

    @property
    def is_dynamic(self) -> bool:
        """Whether a model may compute more for one text than for another as long."""
        return bool(self.exits or self.tokens)

    @property
    def rows(self) -> int | None:
        """Of the table of token vectors; None where the architecture does not say."""
        return None

    @property
    def attention_width(self) -> int:
        """Channels of all heads of all layers."""
        return 0

    def whole(self) -> Self:
        """The architecture without what makes it dynamic."""
        return self

    def trimmed(self, ids: Mapping[int, int]) -> Self:
        """The architecture over a smaller vocabulary.

        Args:
            ids: Kept id → new id, from 0 on.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class TableSpec(Spec):
    """Of a family that reads one table of token vectors, and has no layers.

    Args:
        vocab_size: V.
        dropout: Before the head.
    """

    vocab_size: Count
    dropout: Number

    @property
    def rows(self) -> int | None:
        return self.vocab_size

    def trimmed(self, ids: Mapping[int, int]) -> Self:
        return replace(self, vocab_size=len(ids))


def spec_of(model: Any) -> Spec | None:
    """The architecture of a module; None where no family built it."""
    spec = getattr(model, "spec", None)
    return spec if isinstance(spec, Spec) else None


def _default(one: "Field[Any]") -> Any:
    """The value of a field that JSON leaves out; `MISSING`, which no value equals, where it always has one."""
    return one.default if one.default_factory is MISSING else one.default_factory()


def _plain(value: Any) -> Any:
    """`value` as JSON has it."""
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return list(map(_plain, value)) if isinstance(value, tuple) else value
