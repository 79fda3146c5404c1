"""An encoder-decoder as two ONNX graphs: what is run once a text, and what is run once a token.

The first reads the source and gives, for each layer of the decoder, the keys and values that it looks at. The second
reads tokens that are new, as the graph of a decoder does (`millis.backends.onnx.causal`), with those beside its own.
Attention within the decoder is ONNX Runtime's `GroupQueryAttention`, all other is its `MultiHeadAttention`. Where
positions are told by distance (1910.10683), a table [H, distances] is added to scores.

Inputs of the first: `input_ids` [1, S]. Outputs: `cross_<n>_key` and `_value` [1, H, S, d]. The second has the inputs
and outputs of a decoder's graph, of one text, and these as inputs.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from millis.backends.onnx.decoder import CONTEXT, IDS, LAST, LENGTH, PAST, PRESENT, ROWS
from millis.backends.onnx.encoder_decoder import STARTS
from millis.backends.onnx.nodes import MICROSOFT, integers
from millis.backends.onnx.parts import Parts, activation_of
from millis.models import stacks
from millis.models.encoder_decoder import EncoderDecoder, max_length
from millis.models.parts import Layer
from millis.models.stacks import Stack

CROSS = "cross"  # in names of tensors
TO_THE_END = np.iinfo(np.int64).max


def graphs(model: EncoderDecoder) -> tuple[Any, Any]:
    """The ONNX models of `model`'s two parts, in fp32.

    Raises:
        MillisError: a part that has no form here.
    """
    return _Reading(model).graph(), _Writing(model).graph()


class _Side(Parts):
    """What both graphs have.

    Args:
        side: 0 of the encoder, 1 of the decoder.
    """

    def __init__(self, model: EncoderDecoder, side: int) -> None:
        super().__init__(model, (model.spec.encoder, model.spec.decoder)[side].head_size, halves=1)
        found = stacks.find(model.spec.kind).find(model.encoder)
        self.stack: Stack = found[side]
        self.writing: Stack = found[1]
        self.activation = activation_of(self.stack.module.config)
        table, shared = self.stack.module.embed_tokens, model.encoder.get_input_embeddings()
        if (
            table.weight is shared.weight
        ):  # so that it is known again as the output matrix (`millis.backends.onnx.tied`)
            self.names[id(table)] = self.names[id(shared)]

    def embedded(self, count: str, first: str | None) -> str:
        """The first block's input.

        Args:
            count: How many tokens there are, an int64 [].
            first: The position of the first, an int64 []; None at the beginning.
        """
        stack, nodes = self.stack, self.nodes
        states = self.rows(stack.module.embed_tokens, IDS)
        if stack.scale != 1.0:
            states = nodes.add("Mul", states, nodes.constant(np.array(stack.scale, np.float32)))
        if stack.positions is not None:
            places = self.positions(count, first)
            if stack.offset:
                places = nodes.add("Add", places, nodes.constant(np.array(stack.offset, np.int64)))
            states = nodes.add("Add", states, self.rows(stack.positions, places))
        return states if stack.first is None else self.norm(stack.first, states)

    def positions(self, count: str, first: str | None) -> str:
        """Of the tokens that are read, [K]."""
        nodes, zero = self.nodes, self.nodes.constant(np.array(0, np.int64))
        begin = zero if first is None else first
        end = count if first is None else nodes.add("Add", first, count)
        return nodes.add("Range", begin, end, nodes.constant(np.array(1, np.int64)))

    def count(self) -> str:
        """How many tokens are read, an int64 []."""
        return self.nodes.add("Squeeze", self.nodes.add("Shape", IDS, start=1))

    def around(self, norm: Any, states: str, sublayer: Callable[[str], str]) -> str:
        """states + sublayer(norm(states)), or norm(states + sublayer(states)) where blocks are post-norm."""
        if self.stack.last is not None:
            return self.nodes.add("Add", states, sublayer(self.norm(norm, states)))
        return self.norm(norm, self.nodes.add("Add", states, sublayer(states)))

    def fed(self, layer: Layer, read: str) -> str:
        """The feed-forward of a block."""
        inner = self.linear(layer.ffn_in, read)
        if layer.ffn_gate is None:
            inner = self.activation(self.nodes, inner)
        else:
            inner = self.nodes.add("Mul", self.activation(self.nodes, self.linear(layer.ffn_gate, read)), inner)
        return self.linear(layer.ffn_out, inner)

    def biases(self, queries: str, keys: str, both_ways: bool) -> str:
        """What is added to scores, [1, H, K, T], of positions [K] and [T]; empty where nothing is."""
        table = self.stack.distances
        if table is None:
            return ""
        nodes, config = self.nodes, self.stack.module.config
        far = int(config.relative_attention_max_distance)
        distances = torch.arange(-far, far + 1) if both_ways else -torch.arange(far + 1)
        attention: Any = self.stack.layers[0].attention
        places = attention._relative_position_bucket(
            distances, both_ways, int(config.relative_attention_num_buckets), far
        )
        values = nodes.constant(table.weight[places].T, f"{self.names[id(table)]}.by_distance")
        axis = nodes.constant(integers(1)), nodes.constant(integers(0))
        apart = nodes.add("Sub", nodes.add("Unsqueeze", queries, axis[0]), nodes.add("Unsqueeze", keys, axis[1]))
        low, high = (nodes.constant(np.array(end, np.int64)) for end in (-far if both_ways else 0, far))
        apart = nodes.add("Clip", apart, low, high)
        if both_ways:  # key - query, from -far on
            apart = nodes.add("Sub", high, apart)
        return nodes.add("Unsqueeze", nodes.add("Gather", values, apart, axis=1), nodes.constant(integers(0)))

    def attended(self, attention: Any, heads: int, query: str, key: str, value: str, bias: str = "") -> str:
        """Attention of `heads` heads to all of `key`."""
        return self.nodes.add(
            "MultiHeadAttention",
            *[query, key, value, *(["", "", bias] if bias else [])],
            domain=MICROSOFT,
            num_heads=heads,
            scale=float(attention.scaling),
        )


class _Reading(_Side):
    """The encoder, and what the decoder looks at."""

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__(model, 0)

    def graph(self) -> Any:
        from onnx import TensorProto
        from onnx.helper import make_tensor_value_info as value

        nodes, stack = self.nodes, self.stack
        count = self.count()
        states = self.embedded(count, None)
        places = self.positions(count, None)
        bias = self.biases(places, places, both_ways=True)
        for layer in stack.layers:
            states = self.around(layer.attention_norm, states, partial(self._looked, layer, bias))
            states = self.around(layer.ffn_norm, states, partial(self.fed, layer))
        states = states if stack.last is None else self.norm(stack.last, states)
        outputs, size = [], self.model.spec.decoder.head_size
        for index, layer in enumerate(self.writing.layers):
            assert layer.cross is not None, "a decoder's layers look at the encoder"
            for part, linear in (("key", layer.cross.key), ("value", layer.cross.value)):
                heads = linear.out_features // size
                apart = nodes.reshape(self.linear(linear, states), 0, 0, heads, size)
                name = f"{CROSS}_{index}_{part}"
                nodes.add_several("Transpose", [apart], [name], perm=[0, 2, 1, 3])
                outputs.append(value(name, TensorProto.FLOAT, [1, heads, "read", size]))
        return nodes.model([value(IDS, TensorProto.INT64, [1, "read"])], outputs, {})

    def _looked(self, layer: Layer, bias: str, read: str) -> str:
        heads = layer.query.out_features // self.size
        query, key, value = (self.linear(one, read) for one in (layer.query, layer.key, layer.value))
        return self.linear(layer.attention_output, self.attended(layer.attention, heads, query, key, value, bias))


class _Writing(_Side):
    """The decoder."""

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__(model, 1)

    def graph(self) -> Any:
        nodes, stack = self.nodes, self.stack
        long = 7  # int64
        count, total = self.count(), nodes.add("Cast", LENGTH, to=long)
        first = nodes.add("Sub", total, count)
        states = self.embedded(count, first)
        bias = ""
        if stack.distances is not None:
            bias = self.biases(self.positions(count, first), self.positions(total, None), both_ways=False)
        for index, layer in enumerate(stack.layers):
            cross = layer.cross
            assert cross is not None, "a decoder's layers look at the encoder"
            states = self.around(layer.attention_norm, states, partial(self._kept, index, layer, bias))
            states = self.around(cross.norm, states, partial(self._crossed, index, cross))
            states = self.around(layer.ffn_norm, states, partial(self.fed, layer))
        states = nodes.add("Slice", states, ROWS, nodes.constant(integers(TO_THE_END)), nodes.constant(integers(1)))
        states = states if stack.last is None else self.norm(stack.last, states)
        if self.model.scale != 1.0:
            states = nodes.add("Mul", states, nodes.constant(np.array(self.model.scale, np.float32)))
        (head,), (output,) = self.model.classifiers(), self.model.spec.outputs
        nodes.add_several("Identity", [self.linear(head, states)], [output.name])
        said = {CONTEXT: str(max_length(self.model.spec)), STARTS: ",".join(map(str, self.model.spec.starts))}
        return nodes.model(*self._signature(), said)

    def _signature(self) -> tuple[list[Any], list[Any]]:
        from onnx import TensorProto
        from onnx.helper import make_tensor_value_info as value

        (output,) = self.model.spec.outputs
        inputs = [
            value(IDS, TensorProto.INT64, [1, "new"]),
            value(ROWS, TensorProto.INT64, [1]),
            value(LAST, TensorProto.INT32, [1]),
            value(LENGTH, TensorProto.INT32, []),
        ]
        outputs = [value(output.name, TensorProto.FLOAT, [1, "told", output.width])]
        for index, layer in enumerate(self.stack.layers):
            own, other = (one.out_features // self.size for one in (layer.key, _cross(layer).key))
            for part in ("key", "value"):
                kept = [TensorProto.FLOAT, [1, own, "room", self.wide]]
                inputs.append(value(f"{PAST}_{index}_{part}", *kept))
                inputs.append(value(f"{CROSS}_{index}_{part}", TensorProto.FLOAT, [1, other, "read", self.size]))
                outputs.append(value(f"{PRESENT}_{index}_{part}", *kept))
        return inputs, outputs

    def _kept(self, index: int, layer: Layer, bias: str, read: str) -> str:
        """Attention to the tokens before, keys and values kept."""
        nodes, heads = self.nodes, layer.query.out_features // self.size
        given = [self.widened(self.linear(one, read), heads) for one in (layer.query, layer.key, layer.value)]
        names = [f"{index}_key", f"{index}_value"]
        contexts, *_ = nodes.add_several(
            "GroupQueryAttention",
            [*given, *(f"{PAST}_{name}" for name in names), LAST, LENGTH, *(["", "", "", bias] if bias else [])],
            ["", *(f"{PRESENT}_{name}" for name in names)],
            domain=MICROSOFT,
            num_heads=heads,
            kv_num_heads=heads,
            scale=float(layer.attention.scaling),  # type: ignore[arg-type]
        )
        return self.linear(layer.attention_output, self.narrowed(contexts, heads))

    def _crossed(self, index: int, cross: Any, read: str) -> str:
        """Attention to what the encoder read."""
        heads = cross.query.out_features // self.size
        names = (f"{CROSS}_{index}_{part}" for part in ("key", "value"))
        return self.linear(cross.output, self.attended(cross.attention, heads, self.linear(cross.query, read), *names))


def _cross(layer: Layer) -> Any:
    assert layer.cross is not None, "a decoder's layers look at the encoder"
    return layer.cross
