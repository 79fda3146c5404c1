"""Low rank: a matrix W [O, I] as the product of a tall and a wide one, W ≈ U V with U [O, r] and V [r, I].

It holds r (O + I) weights in place of O I and costs as many multiplications, so it is smaller below the break-even rank
O I / (O + I). A spec's `ranks`, {dotted module name: r}, say which matrices of a model are built so; what
`millis.factorization` computes is loaded into them. An ALBERT-style word table (Lan et al. 2020, 1909.11942, section
3.1: V x E and E x D in place of V x D) is the same thing on an embedding.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from millis.errors import MillisError, nearest


class LowRankLinear(nn.Module):
    """y = U (V x) + b: `down` holds V [r, I], `up` holds U [O, r] and b [O].

    Args:
        in_features: I.
        out_features: O.
        rank: r.
        bias: Whether there is a b.
    """

    def __init__(self, in_features: int, out_features: int, rank: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features, self.rank = in_features, out_features, rank
        self.down = nn.Linear(in_features, rank, bias=False)
        self.up = nn.Linear(rank, out_features, bias=bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., I] → [..., O]."""
        outputs: Tensor = self.up(self.down(inputs))
        return outputs

    @property
    def weight(self) -> Tensor:
        """The product U V, [O, I]."""
        return self.up.weight @ self.down.weight

    @property
    def bias(self) -> Tensor | None:
        """b [O], or None."""
        return self.up.bias

    @torch.no_grad()
    def set_factors(self, left: Tensor, right: Tensor, whole: Any) -> None:
        """Take U = `left` [O, r], V = `right` [r, I], and the bias of `whole`, the layer that is replaced."""
        self.up.weight.copy_(left)
        self.down.weight.copy_(right)
        if self.up.bias is not None:
            self.up.bias.copy_(whole.bias)


class LowRankEmbedding(nn.Module):
    """Row v of U V: `table` holds U [V, r], `projection` holds the other factor as a linear layer, [D, r].

    Args:
        num_embeddings: Rows.
        embedding_dim: D.
        rank: r.
        padding_idx: Row that gets no gradient, as in `nn.Embedding`.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, rank: int, padding_idx: int | None = None) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim, self.rank = num_embeddings, embedding_dim, rank
        self.table = nn.Embedding(num_embeddings, rank, padding_idx=padding_idx)
        self.projection = nn.Linear(rank, embedding_dim, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids [...] → [..., D]."""
        vectors: Tensor = self.projection(self.table(ids))
        return vectors

    @property
    def weight(self) -> Tensor:
        """The product of the factors, [V, D]."""
        return self.table.weight @ self.projection.weight.T

    @torch.no_grad()
    def set_factors(self, left: Tensor, right: Tensor, whole: Any) -> None:
        """Take U = `left` [V, r] and the other factor `right` [r, D]; `whole` has nothing else to give."""
        self.table.weight.copy_(left)
        self.projection.weight.copy_(right.T)


def break_even(rows: int, columns: int) -> float:
    """The rank at which two factors hold as many weights as the whole: rows * columns / (rows + columns)."""
    return rows * columns / (rows + columns)


def install(model: nn.Module, ranks: Mapping[str, int]) -> None:
    """Replace the matrices named in `ranks` by factors with fresh weights, in place.

    Raises:
        MillisError: a name that is no linear layer or embedding of `model`.
    """
    for name, rank in ranks.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, _factors(_matrix(model, name), rank))


def _matrix(model: nn.Module, name: str) -> nn.Linear | nn.Embedding:
    modules = dict(model.named_modules())
    found = modules.get(name)
    if not isinstance(found, nn.Linear | nn.Embedding):
        matrices = [n for n, module in modules.items() if isinstance(module, nn.Linear | nn.Embedding)]
        raise MillisError(
            f"the spec gives a rank to {name!r}, which is no matrix of its model{nearest(name, matrices)}. Load the "
            "artifact with the millis that wrote it, or make it again"
        )
    return found


def _factors(whole: nn.Linear | nn.Embedding, rank: int) -> nn.Module:
    if isinstance(whole, nn.Embedding):
        return LowRankEmbedding(whole.num_embeddings, whole.embedding_dim, rank, whole.padding_idx)
    return LowRankLinear(whole.in_features, whole.out_features, rank, whole.bias is not None)
