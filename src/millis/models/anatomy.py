"""Anatomy: where the parts of an encoder sit in each architecture of transformers, and what they are called.

Everything that cuts a model (a smaller student, pruning, factorization) speaks of layers, heads and neurons and
finds them here. An architecture is one small class with the members of `millis.models.parts.Anatomy` (`post_norm.py`,
`pre_norm.py`), added to `ANATOMIES`.

The attention modules of transformers infer the number of heads from the width of their projections
(`view(..., -1, head_size)`), so a layer's heads are freed from the hidden size by resizing four linears and setting
the head size and `scaling`; `tests/models/test_anatomy.py` holds every supported architecture to that. A layer may
have no heads or no neurons left: see `millis.models.empty`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from millis.errors import MillisError
from millis.models.empty import Empty, NoHeads, replace_module
from millis.models.parts import Anatomy, Norm, described, model_types
from millis.models.post_norm import Bert, DistilBert, Electra, Roberta
from millis.models.pre_norm import Gpt2, Llama
from millis.models.spec import Shape
from millis.models.transformer_spec import TransformerSpec

ANATOMIES: tuple[Anatomy, ...] = (Bert(), Roberta(), Electra(), DistilBert(), Gpt2(), Llama())


UNKNOWN = (
    "millis cannot cut a {kind!r} model: it knows the parts of {known}{near}. Choose a model of these, a student that "
    "copies no layers (student=convolution, bilstm, static), or describe the architecture beside those in "
    "millis/models/post_norm.py or pre_norm.py"
)


def supported() -> list[str]:
    """The `model_type`s whose parts are known."""
    return model_types(ANATOMIES)


def find(model_type: str) -> Anatomy:
    """The anatomy of a `model_type`.

    Raises:
        MillisError: nobody has described that architecture here yet.
    """
    return described(ANATOMIES, model_type, UNKNOWN)


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
        resize(encoder, layer.query, width, hidden, std)
        for linear in (layer.key, layer.value):
            resize(encoder, linear, width // groups, hidden, std)
        resize(encoder, layer.attention_output, hidden, width, std)
        for neurons in filter(None, (layer.ffn_in, layer.ffn_gate)):
            resize(encoder, neurons, ffn, hidden, std)
        resize(encoder, layer.ffn_out, hidden, ffn, std)
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


def resize(encoder: nn.Module, linear: nn.Linear, outputs: int, inputs: int, std: float) -> None:
    """Give a linear of `encoder` another size and, where it changes, fresh weights N(0, std²) and bias 0, in place."""
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
