"""Anatomy: where the parts of an encoder sit in each architecture of transformers, and what they are called.

Everything that cuts a model (a smaller student, pruning, factorization) speaks of layers, heads and neurons and
finds them here. An architecture is one small class with the members of `Anatomy`, added to `ANATOMIES`.

The attention modules of transformers infer the number of heads from the width of their projections
(`view(..., -1, head_size)`), so a layer's heads are freed from the hidden size by resizing four linears and setting
the head size and `scaling`; `tests/models/test_anatomy.py` holds every supported architecture to that. A layer may
have no heads or no neurons left: see `millis.models.empty`.
"""

from typing import Any, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from millis.errors import MillisError, nearest
from millis.models import gpt2
from millis.models.empty import Empty, NoHeads, replace_module
from millis.models.spec import Shape
from millis.models.transformer_spec import TransformerSpec

Norm: TypeAlias = Any
"""`nn.LayerNorm`, or one of transformers' root mean square norms, which have a gain `weight` [D] and no bias."""


class Keys(NamedTuple):
    """Names of the sizes in an architecture's config."""

    layers: str
    hidden: str
    heads: str
    ffn: str


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


class Bert:
    """BERT (Devlin et al. 2019, 1810.04805): post-norm blocks, learned positions counted from 0."""

    model_types: tuple[str, ...] = ("bert",)
    keys = Keys("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
    causal = False
    after_heads: tuple[str, ...] = ()

    def prepare(self, encoder: Any) -> None:
        """Nothing to do: the parts are as `Layer` has them."""

    def blocks(self, encoder: Any) -> list[nn.Module]:
        return list(encoder.encoder.layer)

    def attend(self, block: Any, states: Tensor, bias: Tensor) -> tuple[Tensor, Tensor | None]:
        """The first half of a block, residual sum and norm included.

        Args:
            block: Of an encoder whose attention is computed step by step (`attn_implementation` "eager").
            states: [B, S, D].
            bias: Added to the attention scores, [B, 1, 1, S].

        Returns:
            States [B, S, D] and attention probabilities [B, H, S, S]; None where no head is left.
        """
        attended: tuple[Tensor, Tensor | None] = block.attention(states, bias)
        return attended

    def feed(self, block: Any, states: Tensor) -> Tensor:
        """The second half: feed-forward, residual sum and norm, [B, S, D]; each token by itself."""
        fed: Tensor = block.feed_forward_chunk(states)
        return fed

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

    def final_norm(self, encoder: Any) -> Norm | None:
        return None

    def groups(self, config: dict[str, Any]) -> int:
        return 1

    def narrow(self, config: dict[str, Any], shape: Shape) -> dict[str, Any]:
        # One head divides every hidden size, which the constructors ask for.
        return {**config, self.keys.layers: len(shape.heads), self.keys.heads: 1, self.keys.ffn: 1}

    def set_heads(self, attention: Any, heads: int, head_size: int) -> None:
        attention.attention_head_size = head_size
        attention.scaling = head_size**-0.5

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


class DistilBert(Bert):
    """DistilBERT (Sanh et al. 2019, 1910.01108): BERT without token types, under other names."""

    model_types = ("distilbert",)
    keys = Keys("n_layers", "dim", "n_heads", "hidden_dim")
    after_heads = ("out_lin",)

    def blocks(self, encoder: Any) -> list[nn.Module]:
        return list(encoder.transformer.layer)

    def attend(self, block: Any, states: Tensor, bias: Tensor) -> tuple[Tensor, Tensor | None]:
        attended, probabilities = block.attention(states, attention_mask=bias)
        return block.sa_layer_norm(attended + states), probabilities

    def feed(self, block: Any, states: Tensor) -> Tensor:
        fed: Tensor = block.output_layer_norm(block.ffn(states) + states)
        return fed

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


class Gpt2:
    """GPT-2 (Radford et al. 2019): pre-norm blocks whose tokens look back only; no norm after the embeddings."""

    model_types: tuple[str, ...] = ("gpt2",)
    keys = Keys("n_layer", "n_embd", "n_head", "n_inner")
    causal = True
    after_heads: tuple[str, ...] = ("c_proj", "resid_dropout")

    def prepare(self, encoder: Any) -> None:
        gpt2.separate(encoder)

    def blocks(self, encoder: Any) -> list[nn.Module]:
        return list(encoder.h)

    def layers(self, encoder: Any) -> list[Layer]:
        return [
            Layer(
                attention=block.attn,
                query=block.attn.c_attn.query,
                key=block.attn.c_attn.key,
                value=block.attn.c_attn.value,
                attention_output=block.attn.c_proj,
                attention_norm=block.ln_1,
                ffn_in=block.mlp.c_fc,
                ffn_out=block.mlp.c_proj,
                ffn_norm=block.ln_2,
            )
            for block in encoder.h
        ]

    def embeddings(self, encoder: Any) -> Embeddings:
        return Embeddings((encoder.wte, encoder.wpe), norm=None, projection=None)

    def final_norm(self, encoder: Any) -> Norm | None:
        return encoder.ln_f

    def groups(self, config: dict[str, Any]) -> int:
        return 1

    def narrow(self, config: dict[str, Any], shape: Shape) -> dict[str, Any]:
        return {**config, self.keys.layers: len(shape.heads), self.keys.heads: 1, self.keys.ffn: 1}

    def set_heads(self, attention: Any, heads: int, head_size: int) -> None:
        attention.num_heads, attention.head_dim, attention.split_size = heads, head_size, heads * head_size
        attention.scaling = head_size**-0.5 if attention.scale_attn_weights else 1.0
        if attention.scale_attn_by_inverse_layer_idx:
            attention.scaling /= attention.layer_idx + 1

    def with_hidden(self, config: dict[str, Any], hidden: int) -> dict[str, Any]:
        return {**config, self.keys.hidden: hidden}

    def max_length(self, config: dict[str, Any]) -> int:
        return int(config["n_positions"])


class Llama:
    """Llama and kin (Touvron et al. 2023, 2302.13971): pre-norm blocks by root mean square (1910.07467), rotary
    positions (2104.09864), gated feed-forward (2002.05202), query heads in groups (2305.13245); tokens look back only.
    """

    model_types: tuple[str, ...] = ("llama", "mistral", "qwen2")
    keys = Keys("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
    causal = True
    after_heads: tuple[str, ...] = ("o_proj",)

    def prepare(self, encoder: Any) -> None:
        """Keys and values of earlier tokens are kept by who writes, not by every pass over a text."""
        encoder.config.use_cache = False

    def blocks(self, encoder: Any) -> list[nn.Module]:
        return list(encoder.layers)

    def layers(self, encoder: Any) -> list[Layer]:
        return [
            Layer(
                attention=block.self_attn,
                query=block.self_attn.q_proj,
                key=block.self_attn.k_proj,
                value=block.self_attn.v_proj,
                attention_output=block.self_attn.o_proj,
                attention_norm=block.input_layernorm,
                ffn_in=block.mlp.up_proj,
                ffn_out=block.mlp.down_proj,
                ffn_norm=block.post_attention_layernorm,
                ffn_gate=block.mlp.gate_proj,
            )
            for block in encoder.layers
        ]

    def embeddings(self, encoder: Any) -> Embeddings:
        return Embeddings((encoder.embed_tokens,), norm=None, projection=None)

    def final_norm(self, encoder: Any) -> Norm | None:
        return encoder.norm

    def groups(self, config: dict[str, Any]) -> int:
        heads = int(config[self.keys.heads])
        return heads // int(config.get("num_key_value_heads") or heads)

    def narrow(self, config: dict[str, Any], shape: Shape) -> dict[str, Any]:
        kept = {name: value for name, value in config.items() if name != "layer_types"}  # one for each layer there was
        sizes = {self.keys.layers: len(shape.heads), self.keys.heads: 1, self.keys.ffn: 1}
        return {**kept, **sizes, "num_key_value_heads": 1, "head_dim": shape.head_size}

    def set_heads(self, attention: Any, heads: int, head_size: int) -> None:
        attention.head_dim, attention.scaling = head_size, head_size**-0.5

    def with_hidden(self, config: dict[str, Any], hidden: int) -> dict[str, Any]:
        return {**config, self.keys.hidden: hidden}

    def max_length(self, config: dict[str, Any]) -> int:
        return int(config["max_position_embeddings"])


ANATOMIES: tuple[Anatomy, ...] = (Bert(), Roberta(), Electra(), DistilBert(), Gpt2(), Llama())


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


def hidden_size(spec: TransformerSpec) -> int:
    """D of an architecture whose parts are known.

    Raises:
        MillisError: as `find`.
    """
    return int(spec.encoder[find(spec.kind).keys.hidden])


def full_shape(config: dict[str, Any]) -> Shape:
    """The shape of an uncut model, from its config."""
    keys = find(config["model_type"]).keys
    layers, hidden, heads = (int(config[key]) for key in keys[:3])
    ffn = int(config.get(keys.ffn) or 4 * hidden)  # GPT-2 leaves it out: 4 D
    return Shape(int(config.get("head_dim") or hidden // heads), (heads,) * layers, (ffn,) * layers)


def reshape(encoder: nn.Module, anatomy: Anatomy, shape: Shape, std: float, groups: int = 1) -> None:
    """Give every block the number of heads and neurons that `shape` states, in place.

    A linear that changes size gets fresh weights, N(0, std²), and where it has a bias 0, as BERT initialises them.

    Args:
        encoder: A prepared encoder with at least one head and one neuron in each block.
        anatomy: Of its architecture.
        shape: H or F of a layer may be 0.
        std: Standard deviation of fresh weights.
        groups: G.

    Raises:
        MillisError: heads of a layer that are no multiple of G.
    """
    for index, (layer, heads, ffn) in enumerate(zip(anatomy.layers(encoder), shape.heads, shape.ffn, strict=True)):
        if heads % groups:
            raise MillisError(
                f"layer {index} would have {heads} heads, and {groups} of them share a key and a value: expected a "
                f"multiple of {groups}, for example {heads // groups * groups or groups}"
            )
        hidden, width = layer.ffn_out.out_features, heads * shape.head_size
        _resize(encoder, layer.query, width, hidden, std)
        for linear in (layer.key, layer.value):
            _resize(encoder, linear, width // groups, hidden, std)
        _resize(encoder, layer.attention_output, hidden, width, std)
        for neurons in filter(None, (layer.ffn_in, layer.ffn_gate)):
            _resize(encoder, neurons, ffn, hidden, std)
        _resize(encoder, layer.ffn_out, hidden, ffn, std)
        anatomy.set_heads(layer.attention, heads, shape.head_size)
        if groups > 1:
            layer.attention.num_key_value_groups = groups  # type: ignore[assignment]
        if heads == 0:
            replace_module(encoder, layer.attention, NoHeads(layer.attention, anatomy.after_heads))


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


def copy_norm(target: Norm, source: Norm, channels: Tensor) -> None:
    """Copy gain and, where there is one, bias of the chosen channels."""
    target.weight.copy_(source.weight[channels])
    if getattr(source, "bias", None) is not None:
        target.bias.copy_(source.bias[channels])


def _resize(encoder: nn.Module, linear: nn.Linear, outputs: int, inputs: int, std: float) -> None:
    if (linear.out_features, linear.in_features) == (outputs, inputs):
        return
    biased = linear.bias is not None
    if 0 in (outputs, inputs):
        replace_module(encoder, linear, Empty(inputs, outputs, biased))
        return
    linear.out_features, linear.in_features = outputs, inputs
    linear.weight = nn.Parameter(torch.empty(outputs, inputs).normal_(std=std))
    if biased:
        linear.bias = nn.Parameter(torch.zeros(outputs))
