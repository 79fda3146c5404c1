"""Matrices of a model, found by role or by name: what factorization and adapters speak of.

A pattern is either a role, which every architecture that `millis.models.anatomy` knows has in each layer (and the word
table, which every encoder has), or a module's dotted name with shell wildcards, such as `encoder.*.intermediate.dense`.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from torch import nn

from millis.errors import MillisError, nearest
from millis.models import anatomy
from millis.models.low_rank import LowRankEmbedding, LowRankLinear

Matrix: TypeAlias = nn.Linear | nn.Embedding
WORDS = "word_embeddings"
ROLES = ("query", "key", "value", "attention_output", "ffn_in", "ffn_out", WORDS)


def find(model: nn.Module, patterns: Sequence[str], option: str) -> dict[str, Matrix]:
    """Dotted name → linear layer or table, in the model's order, of everything that a pattern names.

    The factors of what is factorized already are not found.

    Args:
        model: Of any family; roles are known where `millis.models.anatomy` knows the encoder.
        patterns: Roles, or names with wildcards.
        option: Name of the setting that the patterns came from, for the message.

    Raises:
        MillisError: no pattern, or one that names nothing.
    """
    named, roles = _matrices(model), _roles(model)
    if isinstance(patterns, str) or not patterns:
        raise MillisError(
            f"{option}={patterns!r} is no list of matrices; expected for example [{ROLES[4]}, {ROLES[5]}]"
        )
    for pattern in patterns:
        if not any(_matches(name, roles, pattern) for name in named):
            known = [*dict.fromkeys(roles[name] for name in named if name in roles), *named]
            raise MillisError(
                f"{option} holds {pattern!r}, which names no matrix of this model{nearest(pattern, known)}. Expected a "
                f"role ({', '.join(ROLES)}) or a name with wildcards, such as {next(iter(named), '*.dense')!r}"
            )
    return {name: found for name, found in named.items() if any(_matches(name, roles, p) for p in patterns)}


def _matches(name: str, roles: dict[str, str], pattern: str) -> bool:
    return roles.get(name) == pattern or fnmatchcase(name, pattern)


def _matrices(model: nn.Module) -> dict[str, Matrix]:
    modules = dict(model.named_modules())
    factors = tuple(f"{n}." for n, m in modules.items() if isinstance(m, LowRankLinear | LowRankEmbedding))
    return {n: m for n, m in modules.items() if isinstance(m, nn.Linear | nn.Embedding) and not n.startswith(factors)}


def _roles(model: Any) -> dict[str, str]:
    """Dotted name → role. A part that is no linear layer (GPT-2's fused projections) has none."""
    encoder = getattr(model, "encoder", None)
    if encoder is None:
        return {}
    parts = {id(encoder.get_input_embeddings()): WORDS}
    if model.spec.shape is not None:
        for layer in anatomy.find(model.spec.kind).layers(encoder):
            parts |= {id(getattr(layer, role, None)): role for role in ROLES if role != WORDS}
    return {name: parts[id(module)] for name, module in model.named_modules() if id(module) in parts}
