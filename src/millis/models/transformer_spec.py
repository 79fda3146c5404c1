"""The architectures of the family `transformer`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from millis.models.spec import Ids, Number, Shape, Spec
from millis.schema import Count


@dataclass(frozen=True, kw_only=True)
class TransformerSpec(Spec):
    """An encoder of transformers, pooled, with linear heads.

    Args:
        encoder: The architecture's config with its `model_type`, JSON-able.
        shape: Of what is left of the config's heads and neurons; None where `millis.models.anatomy` does not know the
            architecture.
        affixes: The special tokens put before and after a text, such as ((101,), (102,)); None where nobody noted them.
        pooling: A function of `millis.models.pooling`: "mean" or "cls".
        dropout: Before the head.
        pooler: Activation of a layer [D, D] after pooling (`millis.models.finished`), as "tanh"; None where none.
        ranks: Dotted module name → r: matrices held as two of rank r (`millis.models.low_rank`).
        exits: Layers, counted from 0, after which a classifier may answer (`millis.models.exits`).
        tied: Whether the matrix that says which token comes next is the table of token vectors.
        tokens: Layers between whose halves tokens are dropped (`millis.models.token_pruning`).
    """

    family: ClassVar[str] = "transformer"

    encoder: dict[str, Any]
    shape: Shape | None = None
    affixes: tuple[Ids, Ids] | None = None
    pooling: str
    dropout: Number
    pooler: str | None = None
    ranks: dict[str, Count] = field(default_factory=dict)
    exits: tuple[Count, ...] = ()
    tokens: tuple[Count, ...] = ()
    tied: bool = False

    @property
    def kind(self) -> str:
        return str(self.encoder["model_type"])

    @property
    def known_shape(self) -> Shape:
        """`shape`, of an architecture whose parts are known."""
        assert self.shape is not None, f"the parts of {self.kind} are not known"
        return self.shape

    @property
    def layers(self) -> int:
        """L of an architecture whose parts are known."""
        return len(self.known_shape.heads)

    @property
    def around(self) -> tuple[Ids, Ids]:
        return self.affixes or ((), ())

    @property
    def ends(self) -> tuple[int, ...]:
        said = self.encoder.get("eos_token_id")
        return tuple(said) if isinstance(said, list) else () if said is None else (said,)

    @property
    def rows(self) -> int | None:
        rows = self.encoder.get("vocab_size")
        return rows if isinstance(rows, int) else None

    @property
    def attention_width(self) -> int:
        if self.shape is not None:
            return sum(self.shape.heads) * self.shape.head_size
        return int(self.encoder["num_hidden_layers"] * self.encoder["hidden_size"])

    def whole(self) -> Self:
        return replace(self, exits=(), tokens=())

    def trimmed(self, ids: Mapping[int, int]) -> Self:
        """Its special tokens have new ids, too."""
        config = {
            name: ids.get(value) if name.endswith("_token_id") and isinstance(value, int) else value
            for name, value in self.encoder.items()
        }
        before, after = (tuple(ids[token] for token in tokens) for tokens in self.around)
        affixes = None if self.affixes is None else (before, after)
        return replace(self, encoder={**config, "vocab_size": len(ids)}, affixes=affixes)


def known(spec: Spec) -> TransformerSpec | None:
    """`spec`, where it is a transformer's whose parts are known; else None."""
    return spec if isinstance(spec, TransformerSpec) and spec.shape is not None else None
