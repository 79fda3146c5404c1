"""Truncated SVD: the nearest matrix of rank r (Eckart and Young 1936), as two factors.

    W = P Σ Qᵀ,   U = P_r Σ_r^½,   V = Σ_r^½ Q_rᵀ,   ||W - U V||_F² = Σ_{i > r} σ_i²

With weights d on the rows (FWSVD, Hsu et al. 2022, 2207.00112: d_o² is the Fisher information of row o, summed over its
entries) the SVD is taken of diag(d) W, and U divided by d again, which minimises Σ_o d_o² ||w_o - (U V)_o||². The
singular values go to both factors in equal parts, where the paper leaves them in one: factors of one scale train with
one rate and quantize alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from tokenizers import Tokenizer
from torch import Tensor

from millis import models
from millis.errors import MillisError
from millis.factorization.contract import Batches, Speedup
from millis.factorization.rank import Latency, RankRule, Ratio
from millis.models.encoder_decoder_spec import SMALLER, EncoderDecoderSpec
from millis.models.low_rank import break_even
from millis.models.matrices import Matrix, find
from millis.models.spec import Spec
from millis.models.transformer_spec import TransformerSpec
from millis.traits import MIXES, RESHAPES, Traits
from millis.types import Text

OPTION = "factorization.matrices"


class Decomposition(NamedTuple):
    """W = left diag(values) right, in double precision; k = min(O, I)."""

    left: Tensor  # [O, k]; its columns are orthonormal where rows weigh the same
    values: Tensor  # [k], descending
    right: Tensor  # [k, I], orthonormal rows

    def factors(self, rank: int) -> tuple[Tensor, Tensor]:
        """U [O, r] and V [r, I]."""
        root = self.values[:rank].sqrt()
        return (self.left[:, :rank] * root).float(), (root[:, None] * self.right[:rank]).float()


def decompose(weight: Tensor, row_weights: Tensor | None = None) -> Decomposition:
    """The SVD of `weight` [O, I], of diag(d) W where row weights d [O] > 0 are given (module docstring).

    A BERT-base matrix of 3072 x 768 takes about 1 s on one core.
    """
    matrix = weight.detach().double()
    scale = torch.ones(len(matrix), dtype=torch.double) if row_weights is None else row_weights.double()
    left, values, right = torch.linalg.svd(scale[:, None] * matrix, full_matrices=False)
    return Decomposition(left / scale[:, None], values, right)


class RowWeights(Protocol):
    """Says how much each row of a matrix matters."""

    @property
    def name(self) -> str:
        """Of the method with these weights, for the recipe's name."""
        ...

    def __call__(self, model: Any, names: Sequence[str], batches: Batches, tokenizer: Tokenizer) -> dict[str, Tensor]:
        """Name of each matrix → d [O], above 0."""
        ...


@dataclass(frozen=True)
class Svd:
    """Holds matrices as two of low rank. A rank that would not make a matrix smaller leaves it whole.

    Args:
        matrices: Roles, or names with wildcards; see `millis.models.matrices`.
        rank: How many singular values are kept; see `millis.factorization.rank`.
        weights: How much each row matters (`millis.factorization.fisher.Fisher`); None is plain SVD.
    """

    matrices: Sequence[str]
    rank: RankRule
    weights: RowWeights | None = None
    traits: ClassVar[Traits] = (RESHAPES, MIXES)  # factors of a matrix have neither its rows nor its columns

    @property
    def timed(self) -> bool:
        """Whether the rank is one that a measurement finds."""
        return isinstance(self.rank, Latency)

    def settled(self, spec: Spec, speedup: Speedup) -> "Svd":
        """With the rank that the measured speed-up asks for.

        Raises:
            MillisError: no rank is fast enough.
        """
        if not isinstance(self.rank, Latency):
            return self
        shapes = self._shapes(spec)

        def measured(rule: Ratio) -> float:
            return speedup(with_ranks(_transformer(spec), _ranks(rule, shapes), shapes))

        return replace(self, rank=self.rank.choose(measured))

    def spec(self, spec: Spec, tokenizer: Tokenizer, texts: Sequence[Text]) -> tuple[Spec | None, Tokenizer]:
        """The spec with its `ranks`, None where singular values decide them.

        Raises:
            MillisError: no transformer, or a pattern that names none of its matrices.
        """
        shapes = self._shapes(spec)
        if self.rank.needs_weights:
            return None, tokenizer
        return with_ranks(_transformer(spec), _ranks(self.rank, shapes), shapes), tokenizer

    def apply(self, model: Any, tokenizer: Tokenizer, texts: Sequence[Text], batches: Batches) -> tuple[Any, Tokenizer]:
        """The model with its matrices factorized.

        Raises:
            MillisError: as `spec`.
        """
        _transformer(model.spec)
        found = find(model, self.matrices, OPTION)
        weights = {} if self.weights is None else self.weights(model, list(found), batches, tokenizer)
        parts = {name: decompose(matrix.weight, weights.get(name)) for name, matrix in found.items()}
        shapes = _shapes(found)
        ranks = {name: self.rank(*shapes[name], part.values) for name, part in parts.items()}
        return _factorized(model, found, parts, with_ranks(model.spec, ranks, shapes)), tokenizer

    def describe(self) -> str:
        """`svd 0.5`, `fwsvd 0.5`."""
        return f"{'svd' if self.weights is None else self.weights.name} {self.rank.describe()}"

    def _shapes(self, spec: Spec) -> dict[str, tuple[int, int]]:
        with torch.device("meta"):  # sizes and names are asked for, not weights
            return _shapes(find(models.build(_transformer(spec)), self.matrices, OPTION))


def with_ranks(
    spec: TransformerSpec, ranks: Mapping[str, int], shapes: Mapping[str, tuple[int, int]]
) -> TransformerSpec:
    """`spec` with those of `ranks` that make a matrix of its shape [O, I] smaller, beside the ranks it has already."""
    smaller = {name: rank for name, rank in ranks.items() if rank < break_even(*shapes[name])}
    return replace(spec, ranks={**spec.ranks, **smaller})


def _ranks(rule: RankRule, shapes: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    return {name: rule(*shape, None) for name, shape in shapes.items()}


def _shapes(found: Mapping[str, Matrix]) -> dict[str, tuple[int, int]]:
    return {name: (len(matrix.weight), matrix.weight.shape[1]) for name, matrix in found.items()}


def _factorized(model: Any, found: dict[str, Matrix], parts: dict[str, Decomposition], spec: TransformerSpec) -> Any:
    small = models.build(spec)
    chosen = {name: rank for name, rank in spec.ranks.items() if name in found}
    replaced = tuple(f"{name}." for name in chosen)
    whole = {name: value for name, value in model.state_dict().items() if not name.startswith(replaced)}
    small.load_state_dict(whole, strict=False)
    for name, rank in chosen.items():
        factors: Any = small.get_submodule(name)
        factors.set_factors(*parts[name].factors(rank), found[name])
    return small.train(model.training)


def _transformer(spec: Spec) -> TransformerSpec:
    if isinstance(spec, EncoderDecoderSpec):
        raise MillisError(
            f"factorization holds the matrices of student=transformer at low rank; got a {spec.kind!r} "
            f"encoder-decoder. Choose factorization=none, and {SMALLER}"
        )
    if not isinstance(spec, TransformerSpec):
        raise MillisError(
            f"factorization holds the matrices of student=transformer at low rank; got a {spec.family!r} student. "
            "Choose factorization=vocabulary, which serves every student, or factorization=none"
        )
    return spec
