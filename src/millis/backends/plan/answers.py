"""From token states to outputs: pooling and heads, as every family has them."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, get_args

from torch import nn

from millis.backends.plan import steps
from millis.backends.plan.builder import Builder
from millis.backends.plan.steps import Activation, Per, Pooling
from millis.models import heads, pooling

Pool: TypeAlias = Callable[[int, int], int]
"""Slot of token states and their width in, slot of the texts' vectors out."""


def answered(model: Any, states: int, builder: Builder, pool: Pool) -> None:
    """The model's own heads, over the text's vector or its tokens' states."""
    pers: Sequence[Per] = model.head.per if isinstance(model.head, heads.Heads) else ["text"]
    classified(heads.classifiers(model.head), pers, states, builder, pool)


def classified(found: Sequence[nn.Linear], pers: Sequence[Per], states: int, builder: Builder, pool: Pool) -> None:
    """Classifiers, and what each has a row for, as the first outputs."""
    width = found[0].in_features
    vector = pool(states, width) if "text" in pers else states
    for number, (head, per) in enumerate(zip(found, pers, strict=True)):
        logits = builder.slot(per, head.out_features)
        builder.linear([head], vector if per == "text" else states, logits)
        builder.give(logits, number)


def pooled(model: Any, builder: Builder) -> Pool:
    """As `millis.models.pooling`, of a transformer."""

    def vector(states: int, width: int) -> int:
        pool: Any = model.pool
        dense = pool if isinstance(pool, pooling.Pooler) else None
        kind: Pooling = "mean" if (pool if dense is None else dense.of) is pooling.mean else "first"
        out = builder.slot("text", width)
        builder.add(steps.Pool(states, out, width, kind))
        if dense is None:
            return out
        activated = builder.slot("text", width)
        builder.linear([dense.dense], out, activated, _named(dense))
        return activated

    return vector


def _named(dense: pooling.Pooler) -> Activation:
    (name,) = [name for name, function in pooling.ACTIVATIONS.items() if function is dense.activation]
    assert name in get_args(Activation)
    return name  # type: ignore[return-value]


def maximum(builder: Builder, floor: float) -> Pool:
    """The maximum over the tokens, of states that are never below `floor`."""

    def vector(states: int, width: int) -> int:
        out = builder.slot("text", width)
        builder.add(steps.Pool(states, out, width, "maximum", floor))
        return out

    return vector
