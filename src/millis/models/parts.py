"""Parts of a transformer by what they do, whatever an architecture calls them."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from torch import nn

from millis.errors import MillisError, nearest
from millis.models.spec import Shape

Norm: TypeAlias = Any
"""`nn.LayerNorm`, or one of transformers' root mean square norms, which have a gain `weight` [D] and no bias."""


class Keys(NamedTuple):
    """Names of the sizes in an architecture's config."""

    layers: str
    hidden: str
    heads: str
    ffn: str


class Cross(NamedTuple):
    """The parts with which a decoder's block looks at an encoder's states: keys and values are of these."""

    attention: nn.Module  # has scaling
    query: nn.Linear  # [A, D]
    key: nn.Linear  # [A, D]
    value: nn.Linear  # [A, D]
    output: nn.Linear  # [D, A]
    norm: Norm  # [D]


class Layer(NamedTuple):
    """The parts of one block. Linears hold [out, in]; A = heads * head size.

    Where A or F is 0, the linears are `Empty`, which has their members. A layer norm follows its sublayer's residual
    sum in post-norm blocks (`Anatomy.final_norm` is None), and precedes the sublayer in pre-norm ones. Where G query
    heads share a key and a value (`Anatomy.groups`), these two have A / G rows. A gate multiplies the neurons of
    `ffn_in` before `ffn_out` reads them.
    """

    attention: nn.Module  # has scaling
    query: nn.Linear  # [A, D]
    key: nn.Linear  # [A / G, D]
    value: nn.Linear  # [A / G, D]
    attention_output: nn.Linear  # [D, A]
    attention_norm: Norm  # [D]
    ffn_in: nn.Linear  # [F, D]
    ffn_out: nn.Linear  # [D, F]
    ffn_norm: Norm  # [D]
    ffn_gate: nn.Linear | None = None  # [F, D]
    cross: Cross | None = None  # of a decoder that looks at an encoder


class Embeddings(NamedTuple):
    """What is summed into the first hidden state; `tables[0]` holds the word vectors. E = D without projection."""

    tables: tuple[nn.Embedding, ...]  # each [*, E]
    norm: nn.LayerNorm | None  # [E]
    projection: nn.Linear | None  # [D, E]


class Anatomy(Protocol):
    """One architecture, or several that share their parts' names."""

    @property
    def model_types(self) -> tuple[str, ...]:
        """The `model_type`s of transformers that it describes."""
        ...

    @property
    def keys(self) -> Keys:
        """Names of the sizes in their configs."""
        ...

    @property
    def causal(self) -> bool:
        """Whether tokens look back only."""
        ...

    @property
    def after_heads(self) -> tuple[str, ...]:
        """Names of the attention module's children that follow the heads: its output, where that is a part of it."""
        ...

    def prepare(self, encoder: nn.Module) -> None:
        """Give a fresh encoder the parts that `Layer` speaks of, in place, where transformers builds it otherwise."""
        ...

    def blocks(self, encoder: nn.Module) -> list[nn.Module]:
        """The blocks, first to last: hidden states [B, S, D] are their first argument and their result."""
        ...

    def layers(self, encoder: nn.Module) -> list[Layer]:
        """The parts of the blocks, first to last."""
        ...

    def embeddings(self, encoder: nn.Module) -> Embeddings:
        """The embedding tables and their layer norm."""
        ...

    def final_norm(self, encoder: nn.Module) -> Norm | None:
        """The layer norm after the last block: pre-norm architectures have one."""
        ...

    def groups(self, config: dict[str, Any]) -> int:
        """G, how many query heads share a key and a value; a layer's heads are a multiple of it."""
        ...

    def narrow(self, config: dict[str, Any], shape: Shape) -> dict[str, Any]:
        """`config` with the layers of `shape` and, for `reshape` to widen, the fewest heads and neurons."""
        ...

    def set_heads(self, attention: nn.Module, heads: int, head_size: int) -> None:
        """Tell an attention module, whose projections have changed, of its heads."""
        ...

    def with_hidden(self, config: dict[str, Any], hidden: int) -> dict[str, Any]:
        """`config` at another hidden size."""
        ...

    def max_length(self, config: dict[str, Any]) -> int:
        """Longest token sequence that the position table takes."""
        ...


class Named(Protocol):
    """What describes architectures: `Anatomy`, or `millis.models.stacks.Stacks`."""

    @property
    def model_types(self) -> tuple[str, ...]:
        """The `model_type`s of transformers that it describes."""
        ...


Described = TypeVar("Described", bound=Named)


def model_types(known: Sequence[Named]) -> list[str]:
    """All that are described."""
    return [name for one in known for name in one.model_types]


def described(known: Sequence[Described], model_type: str, fault: str) -> Described:
    """The one that describes a `model_type`.

    Args:
        fault: A sentence for users, with places for `kind`, `known` and `near`, a guess at what was meant.

    Raises:
        MillisError: `fault`, where nobody has described that architecture here yet.
    """
    for one in known:
        if model_type in one.model_types:
            return one
    names = model_types(known)
    raise MillisError(fault.format(kind=model_type, known=", ".join(names), near=nearest(model_type, names)))
