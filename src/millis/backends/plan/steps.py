"""The steps of a forward pass, and the tensors they compute with, as they lie in a file.

Steps read and write slots: matrices with a row for each token of a text, or for each text. A tensor is named by its
place in the file's list.
"""

from math import prod
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

Size = Annotated[int, Meta(ge=1, le=2**24)]
Place = Annotated[int, Meta(ge=0, le=2**24)]
Per = Literal["token", "text"]
Precision = Literal["fp32", "bf16"]
Cache = Literal["fp32", "int8"]
Kind = Precision | Literal["int8"]
Activation = Literal["none", "gelu", "gelu_tanh", "relu", "tanh", "silu"]
Pooling = Literal["mean", "first", "maximum"]
DTYPES = {"f4": 4, "u2": 2, "i1": 1}  # name in NumPy, little-endian → bytes


class Tensor(Struct, frozen=True):
    """Where a tensor lies.

    Args:
        name: For readers: of the layer, and what of it.
        dtype: One of `DTYPES`.
        shape: As it was packed.
        offset: From where the tensors begin, a multiple of 64.
    """

    name: Annotated[str, Meta(max_length=500)]
    dtype: Literal["f4", "u2", "i1"]
    shape: Annotated[list[Size], Meta(min_length=1, max_length=4)]
    offset: Annotated[int, Meta(ge=0, le=2**53)]

    @property
    def count(self) -> int:
        """Of its numbers."""
        return prod(self.shape)


class Slot(Struct, frozen=True):
    """A matrix between two steps: what has a row, and how many numbers a row has."""

    per: Per
    width: Size


class Matrix(Struct, frozen=True):
    """Weights [outputs, inputs] in panels (`millis.backends.plan.packing`).

    Args:
        inputs, outputs: Before padding.
        kind: `int8` also has `scales`, the step of each output's integers; `int4` one for every `block` of them.
        weights: The tensor.
        bias: None where there is none.
        block: Of `int4`, a multiple of 8.
    """

    inputs: Size
    outputs: Size
    kind: Kind | Literal["int4"]
    weights: Place
    scales: Place | None = None
    bias: Place | None = None
    block: Size | None = None


class Table(Struct, frozen=True):
    """Rows to look up; `int8` also has `scales`, one a row."""

    rows: Size
    width: Size
    kind: Kind
    values: Place
    scales: Place | None = None


class Norm(Struct, frozen=True):
    """A layer norm; without `shift`, by the root of the mean square (RMSNorm, 1910.07467)."""

    gain: Place
    shift: Place | None
    epsilon: Annotated[float, Meta(ge=0, le=1)]


class Embed(Struct, frozen=True, tag_field="step", tag="embed"):
    """out = norm(base + word + position + type), whichever of them there are.

    Args:
        out: Slot of tokens.
        width: Of its rows.
        base: Slot that is added to; None for none.
        padding: Positions count the tokens that are not this id, from the number after it, as RoBERTa has them; None
            takes the place in the row, from 0.
        reads_types: Whether a request's token types are read; else all are 0.
        matrix: Has a word in each of its outputs, in place of `words`: a table that is a model's last matrix too.
    """

    out: Place
    width: Size
    base: Place | None = None
    words: Table | None = None
    positions: Table | None = None
    types: Table | None = None
    norm: Norm | None = None
    padding: Place | None = None
    reads_types: bool = False
    matrix: Matrix | None = None


class Linear(Struct, frozen=True, tag_field="step", tag="linear"):
    """out[:, column : column + outputs] = activation(source · matrixᵀ + bias)."""

    source: Place
    out: Place
    matrix: Matrix
    activation: Activation = "none"
    column: Place = 0


class Attention(Struct, frozen=True, tag_field="step", tag="attention"):
    """Queries, keys and values side by side in `source`, each [heads · size], to contexts [heads · size].

    Args:
        source, out: Slots of tokens.
        heads, size: How many, and of how many numbers.
        scale: Of the scores.
        keeps: Whether what each token receives is added up, for `Drop`.
    """

    source: Place
    out: Place
    heads: Size
    size: Size
    scale: Annotated[float, Meta(ge=-1e6, le=1e6)]
    keeps: bool = False


class AddNorm(Struct, frozen=True, tag_field="step", tag="add_norm"):
    """out = norm(residual + source), or + bias, the same for every row, where no source is."""

    residual: Place
    out: Place
    width: Size
    norm: Norm
    source: Place | None = None
    bias: Place | None = None


class Pool(Struct, frozen=True, tag_field="step", tag="pool"):
    """A text's row of its tokens'; of a text without tokens zeros, or `floor` of a maximum."""

    source: Place
    out: Place
    width: Size
    pooling: Pooling
    floor: Annotated[float, Meta(ge=-1e6, le=1e6)] = 0.0


class Unfold(Struct, frozen=True, tag_field="step", tag="unfold"):
    """The rows of a window around each token side by side, zeros beyond the text's ends."""

    source: Place
    out: Place
    width: Size
    window: Size


class Lstm(Struct, frozen=True, tag_field="step", tag="lstm"):
    """One direction, over gates [i, f, g, o] with the inputs' part; `matrix` is the state's, [4 · hidden, hidden]."""

    source: Place
    out: Place
    hidden: Size
    matrix: Matrix
    backwards: bool = False
    column: Place = 0


class Bag(Struct, frozen=True, tag_field="step", tag="bag"):
    """out = Σ w v / Σ w of a text's tokens ("mean"), or / √Σ w² ("l2"); `weights` has w for each row of the table."""

    out: Place
    table: Table
    weights: Place
    norm: Literal["mean", "l2"] = "mean"


class Give(Struct, frozen=True, tag_field="step", tag="give"):
    """A slot's rows are the model's output of this number."""

    source: Place
    output: Place
    width: Size


class Take(Struct, frozen=True, tag_field="step", tag="take"):
    """The states that a request brings, of a model that goes on where a segment has stopped."""

    out: Place
    width: Size


class Drop(Struct, frozen=True, tag_field="step", tag="drop"):
    """Tokens that received less than `threshold` of the latest attention, on average over its `heads` and over the
    text's tokens, are left out from here on; the first one of a text stays (`millis.models.token_pruning`)."""

    out: Place
    width: Size
    heads: Size
    threshold: Annotated[float, Meta(ge=0, le=1e6)]


class PreNorm(Struct, frozen=True, tag_field="step", tag="pre_norm"):
    """residual += source + bias, the same for every row, whichever of them there are; out = norm(residual)."""

    residual: Place
    out: Place
    width: Size
    norm: Norm
    source: Place | None = None
    bias: Place | None = None


class Gate(Struct, frozen=True, tag_field="step", tag="gate"):
    """out = activation(source[: width]) · source[width :] (2002.05202)."""

    source: Place
    out: Place
    width: Size
    activation: Activation


class Causal(Struct, frozen=True, tag_field="step", tag="causal"):
    """Attention to tokens before, whose keys and values are kept: `source` has queries [heads · size], keys and values
    [groups · size] each, `out` gets contexts [heads · size].

    Args:
        source, out: Slots of tokens; queries and keys are turned in `source`.
        heads, groups, size: Of queries, of keys and values (2305.13245), and how many numbers one has.
        scale: Of the scores.
        frequencies: Radians that each place turns a pair of numbers by, [size / 2] (2104.09864); None turns nothing.
        cache: What keys and values are kept in; `int8` has a step for each token's key and value of a head, its
            largest magnitude / 127.
    """

    source: Place
    out: Place
    heads: Size
    groups: Size
    size: Size
    scale: Annotated[float, Meta(ge=-1e6, le=1e6)]
    frequencies: Place | None = None
    cache: Cache = "fp32"


Step: TypeAlias = (
    Embed | Linear | Attention | AddNorm | Pool | Unfold | Lstm | Bag | Give | Take | Drop | PreNorm | Gate | Causal
)


class Plan(Struct, frozen=True):
    """A forward pass.

    Args:
        slots: Matrices between steps.
        outputs: Of the model, in order.
        steps: In the order in which they run.
        tensors: What they compute with.
        version: Of this form.
    """

    slots: list[Slot]
    outputs: list[Slot]
    steps: list[Step]
    tensors: list[Tensor]
    version: Literal[1] = 1
