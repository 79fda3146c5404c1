"""What each family of models is made of, as steps. A family is a function, found by the model's class."""

from functools import singledispatch
from typing import Any, Literal

from torch import nn

from millis.backends.plan import decoder, encoder, steps
from millis.backends.plan.answers import answered, maximum
from millis.backends.plan.builder import Builder
from millis.backends.plan.refused import refusal
from millis.models import anatomy
from millis.models.bilstm import BiLstm
from millis.models.convolution import Convolution
from millis.models.encoder import Transformer
from millis.models.static import Static


@singledispatch
def build(model: Any, builder: Builder) -> None:
    """Add the steps of `model` to `builder`.

    Raises:
        MillisError: a model that has no steps here, and why.
    """
    raise refusal(f"a model of class {type(model).__name__}")


@build.register
def _(model: Transformer, builder: Builder) -> None:
    causal = model.spec.shape is not None and anatomy.find(model.spec.kind).causal
    (decoder if causal else encoder).build(model, builder)


@build.register
def _(model: Static, builder: Builder) -> None:
    pooled = builder.slot("text", model.spec.size)
    weights = builder.tensor("weights", model.log_weights.weight.detach().exp().reshape(-1).numpy())
    norm: Literal["l2", "mean"] = "l2" if model.spec.norm == "l2" else "mean"
    builder.add(steps.Bag(pooled, builder.table(model.vectors), weights, norm))
    answered(model, pooled, builder, lambda vector, width: vector)


@build.register
def _(model: Convolution, builder: Builder) -> None:
    spec = model.spec
    size, filters = spec.embedding_size, spec.filters
    vectors = builder.slot("token", size)
    builder.add(steps.Embed(vectors, size, words=builder.table(model.embedding)))
    states = builder.slot("token", filters * len(spec.widths))
    for place, (window, width) in enumerate(zip(model.windows, spec.widths, strict=True)):
        assert isinstance(window, nn.Conv1d)
        seen = vectors
        if width > 1:
            seen = builder.slot("token", width * size)
            builder.add(steps.Unfold(vectors, seen, size, width))
        weight = window.weight.permute(0, 2, 1).reshape(filters, width * size)  # [F, E, W] → windows of whole rows
        matrix = builder.matrix(builder.name(window), weight, window.bias, builder.rounds(window))
        builder.add(steps.Linear(seen, states, matrix, "relu", place * filters))
    answered(model, states, builder, maximum(builder, floor=0.0))


@build.register
def _(model: BiLstm, builder: Builder) -> None:
    size, hidden = model.spec.embedding_size, model.spec.hidden_size
    vectors, gates = builder.slot("token", size), builder.slot("token", 4 * hidden)
    builder.add(steps.Embed(vectors, size, words=builder.table(model.embedding)))
    states = builder.slot("token", 2 * hidden)
    directions: list[Any] = [model.forwards, model.backwards]
    for column, lstm in zip((0, hidden), directions, strict=True):
        name = builder.name(lstm)
        inputs = builder.matrix(
            f"{name}.inputs",
            lstm.weight_ih_l0,
            lstm.bias_ih_l0 + lstm.bias_hh_l0,
            builder.rounds(lstm),
            f"{name}.weight_ih_l0",
        )
        builder.add(steps.Linear(vectors, gates, inputs))
        recurrent = builder.matrix(
            f"{name}.state", lstm.weight_hh_l0, None, builder.rounds(lstm), f"{name}.weight_hh_l0"
        )
        builder.add(steps.Lstm(gates, states, hidden, recurrent, backwards=column > 0, column=column))
    answered(model, states, builder, maximum(builder, floor=-1.0))
