"""Anatomy: where the parts of an encoder sit in each architecture of transformers, and what they are called.

Everything that cuts a model (a smaller student, pruning, factorization) speaks of layers, heads and neurons and
finds them here. An architecture is one small class with the members of `Anatomy`, added to `ANATOMIES`.

The attention modules of transformers infer the number of heads from the width of their projections
(`view(..., -1, head_size)`), so a layer's heads are freed from the hidden size by resizing four linears and setting
`attention_head_size` and `scaling`; `tests/models/test_anatomy.py` holds every supported architecture to that.
"""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from millis.errors import MillisError, nearest
from millis.types import Spec


class Keys(NamedTuple):
    """Names of the sizes in an architecture's config."""

    layers: str
    hidden: str
    heads: str
    ffn: str


class Layer(NamedTuple):
    """The parts of one block. Linears hold [out, in]; A = heads * head size."""

    attention: nn.Module  # has attention_head_size and scaling
    query: nn.Linear  # [A, D]
    key: nn.Linear  # [A, D]
    value: nn.Linear  # [A, D]
    attention_output: nn.Linear  # [D, A]
    attention_norm: nn.LayerNorm  # [D]
    ffn_in: nn.Linear  # [F, D]
    ffn_out: nn.Linear  # [D, F]
    ffn_norm: nn.LayerNorm  # [D]


class Embeddings(NamedTuple):
    """What is summed into the first hidden state; `tables[0]` holds the word vectors. E = D without projection."""

    tables: tuple[nn.Embedding, ...]  # each [*, E]
    norm: nn.LayerNorm  # [E]
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

    def layers(self, encoder: nn.Module) -> list[Layer]:
        """The blocks, first to last."""
        ...

    def embeddings(self, encoder: nn.Module) -> Embeddings:
        """The embedding tables and their layer norm."""
        ...

    def with_hidden(self, config: dict[str, Any], hidden: int) -> dict[str, Any]:
        """`config` at another hidden size."""
        ...

    def max_length(self, config: dict[str, Any]) -> int:
        """Longest token sequence that the position table takes."""
        ...


class Bert:
    """BERT (Devlin et al. 2019, 1810.04805): post-norm blocks, learned positions counted from 0."""

    model_types: tuple[str, ...] = ("bert",)
    keys = Keys("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")

    def layers(self, encoder: Any) -> list[Layer]:
        return [
            Layer(
                attention=block.attention.self,
                query=block.attention.self.query,
                key=block.attention.self.key,
                value=block.attention.self.value,
                attention_output=block.attention.output.dense,
                attention_norm=block.attention.output.LayerNorm,
                ffn_in=block.intermediate.dense,
                ffn_out=block.output.dense,
                ffn_norm=block.output.LayerNorm,
            )
            for block in encoder.encoder.layer
        ]

    def embeddings(self, encoder: Any) -> Embeddings:
        parts = encoder.embeddings
        tables = (parts.word_embeddings, parts.position_embeddings, parts.token_type_embeddings)
        return Embeddings(tables, parts.LayerNorm, getattr(encoder, "embeddings_project", None))

    def with_hidden(self, config: dict[str, Any], hidden: int) -> dict[str, Any]:
        return {**config, self.keys.hidden: hidden}

    def max_length(self, config: dict[str, Any]) -> int:
        return int(config["max_position_embeddings"])


class Roberta(Bert):
    """RoBERTa and kin: BERT's parts; positions are counted from `pad_token_id + 1`, the rows before are not used."""

    model_types = ("roberta", "xlm-roberta", "camembert")

    def max_length(self, config: dict[str, Any]) -> int:
        return int(config["max_position_embeddings"]) - int(config["pad_token_id"]) - 1


class Electra(Bert):
    """ELECTRA's discriminator (Clark et al. 2020, 2003.10555): BERT, whose small sizes project narrower embeddings."""

    model_types = ("electra",)

    def with_hidden(self, config: dict[str, Any], hidden: int) -> dict[str, Any]:
        if config["embedding_size"] != config["hidden_size"]:
            raise MillisError(
                f"this electra projects embeddings of {config['embedding_size']} to a hidden size of "
                f"{config['hidden_size']}, which millis cannot narrow to {hidden}: leave student.hidden_size=null and "
                "cut layers, heads or ffn_size"
            )
        return {**config, "hidden_size": hidden, "embedding_size": hidden}


class DistilBert:
    """DistilBERT (Sanh et al. 2019, 1910.01108): BERT without token types, under other names."""

    model_types: tuple[str, ...] = ("distilbert",)
    keys = Keys("n_layers", "dim", "n_heads", "hidden_dim")

    def layers(self, encoder: Any) -> list[Layer]:
        return [
            Layer(
                attention=block.attention,
                query=block.attention.q_lin,
                key=block.attention.k_lin,
                value=block.attention.v_lin,
                attention_output=block.attention.out_lin,
                attention_norm=block.sa_layer_norm,
                ffn_in=block.ffn.lin1,
                ffn_out=block.ffn.lin2,
                ffn_norm=block.output_layer_norm,
            )
            for block in encoder.transformer.layer
        ]

    def embeddings(self, encoder: Any) -> Embeddings:
        parts = encoder.embeddings
        return Embeddings((parts.word_embeddings, parts.position_embeddings), parts.LayerNorm, projection=None)

    def with_hidden(self, config: dict[str, Any], hidden: int) -> dict[str, Any]:
        return {**config, self.keys.hidden: hidden}

    def max_length(self, config: dict[str, Any]) -> int:
        return int(config["max_position_embeddings"])


ANATOMIES: tuple[Anatomy, ...] = (Bert(), Roberta(), Electra(), DistilBert())


def supported() -> list[str]:
    """The `model_type`s whose parts are known."""
    return [name for anatomy in ANATOMIES for name in anatomy.model_types]


def find(model_type: str) -> Anatomy:
    """The anatomy of a `model_type`.

    Raises:
        MillisError: nobody has described that architecture here yet.
    """
    for anatomy in ANATOMIES:
        if model_type in anatomy.model_types:
            return anatomy
    raise MillisError(
        f"millis cannot cut a {model_type!r} model: it knows the parts of {', '.join(supported())}"
        f"{nearest(model_type, supported())}. Choose a model of these, a student that copies no layers "
        "(student=convolution, bilstm, static), or describe the architecture in millis/models/anatomy.py"
    )


def full_shape(config: dict[str, Any]) -> Spec:
    """The shape of an uncut model: `{"head_size": int, "heads": [H] * L, "ffn": [F] * L}` from its config."""
    keys = find(config["model_type"]).keys
    layers, hidden, heads, ffn = (int(config[key]) for key in keys)
    return {"head_size": hidden // heads, "heads": [heads] * layers, "ffn": [ffn] * layers}


def reshape(encoder: nn.Module, anatomy: Anatomy, shape: Spec, std: float) -> None:
    """Give every block the number of heads and neurons that `shape` states, in place.

    A linear that changes size gets fresh weights, N(0, std²) and bias 0, as BERT initialises them.

    Args:
        encoder: The encoder, whatever its blocks' sizes.
        anatomy: Of its architecture.
        shape: `{"head_size": int, "heads": [H of each layer], "ffn": [F of each layer]}`.
        std: Standard deviation of fresh weights.
    """
    for layer, heads, ffn in zip(anatomy.layers(encoder), shape["heads"], shape["ffn"], strict=True):
        hidden, width = layer.ffn_out.out_features, heads * shape["head_size"]
        for linear in (layer.query, layer.key, layer.value):
            _resize(linear, width, hidden, std)
        _resize(layer.attention_output, hidden, width, std)
        _resize(layer.ffn_in, ffn, hidden, std)
        _resize(layer.ffn_out, hidden, ffn, std)
        layer.attention.attention_head_size = shape["head_size"]
        layer.attention.scaling = shape["head_size"] ** -0.5


def head_rows(heads: Tensor, head_size: int) -> Tensor:
    """Rows of query, key, value (columns of the attention output) that belong to `heads` [H'], [H' * head_size]."""
    return (heads[:, None] * head_size + torch.arange(head_size, device=heads.device)).flatten()


def copy_linear(
    target: nn.Linear, source: nn.Linear, rows: Tensor | None = None, columns: Tensor | None = None
) -> None:
    """Copy the chosen rows (outputs) and columns (inputs) of `source`, all where None, into the smaller `target`."""
    weight = source.weight if rows is None else source.weight[rows]
    target.weight.copy_(weight if columns is None else weight[:, columns])
    if source.bias is not None:
        target.bias.copy_(source.bias if rows is None else source.bias[rows])


def copy_norm(target: nn.LayerNorm, source: nn.LayerNorm, channels: Tensor) -> None:
    """Copy gain and bias of the chosen channels."""
    target.weight.copy_(source.weight[channels])
    target.bias.copy_(source.bias[channels])


def _resize(linear: nn.Linear, outputs: int, inputs: int, std: float) -> None:
    if (linear.out_features, linear.in_features) == (outputs, inputs):
        return
    linear.out_features, linear.in_features = outputs, inputs
    linear.weight = nn.Parameter(torch.empty(outputs, inputs).normal_(std=std))
    linear.bias = nn.Parameter(torch.zeros(outputs))
