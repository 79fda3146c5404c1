"""Word vectors for the small families, taken from the teacher and projected to fewer dimensions.

Principal components of the teacher's embedding table (Raunak 2017, 1708.03629, shows that they keep most of what
word vectors hold); the teacher's vocabulary is kept whole, so student and teacher read the same token ids.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from millis.errors import MillisError
from millis.models.transformer_spec import TransformerSpec


class Components(NamedTuple):
    """Principal components of a table X [V, E]: `projected` = (X - mean) @ axes."""

    projected: Tensor  # [V, D]
    mean: Tensor  # [E]
    axes: Tensor  # [E, D], orthonormal columns


def vocabulary_size(teacher_spec: TransformerSpec) -> int:
    """V of a teacher."""
    return int(teacher_spec.encoder["vocab_size"])


def dimensions(teacher_spec: TransformerSpec) -> int:
    """Width of a transformer teacher's vectors; where word vectors and hidden ones differ, of the narrower."""
    config = teacher_spec.encoder
    return min(int(config[name]) for name in ("hidden_size", "dim", "n_embd", "embedding_size") if name in config)


def principal_components(table: Tensor, size: int, option: str) -> Components:
    """The `size` directions of `table` [V, E] with the largest variance, exactly, from its covariance [E, E].

    Each direction's sign is chosen so that its largest entry is positive: the same table gives the same vectors.

    Args:
        table: [V, E].
        size: D, at most E.
        option: Name of the setting that `size` came from, for the message.

    Raises:
        MillisError: `size` is larger than E.
    """
    if size > table.shape[1]:
        raise MillisError(
            f"{option}={size} is larger than the teacher's {table.shape[1]}: its vectors hold no more. "
            f"Choose at most {table.shape[1]}"
        )
    mean = table.mean(dim=0)
    centred = (table - mean).double()
    _, axes = torch.linalg.eigh(centred.T @ centred)  # ascending eigenvalues
    axes = axes[:, -size:].flip(1)
    axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
    return Components((centred @ axes).float(), mean, axes.float())


@torch.no_grad()
def word_vectors(teacher: Any, size: int, option: str) -> Tensor:
    """The teacher's word embeddings in `size` dimensions, [V, D], scaled to root mean square 1.

    The scale is that of a fresh `nn.Embedding`, so the layers above start in the range they were initialised for.

    Raises:
        MillisError: as `principal_components`.
    """
    vectors = principal_components(teacher.encoder.get_input_embeddings().weight, size, option).projected
    return vectors / vectors.square().mean().sqrt()
