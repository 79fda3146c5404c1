"""A transformer whose tokens look back only, as an ONNX graph that keeps keys and values: Llama and kin, GPT-2.

It is written node by node, not traced: attention is ONNX Runtime's `GroupQueryAttention`, which turns queries and keys
by their positions (2104.09864), shares keys and values among groups of heads (2305.13245), looks back through a window
where the model does, and adds to keys and values where they lie (`millis.backends.onnx.decoder`). Query,
key and value stay products of their own, and so do gate and neurons: every layer can then be kept in fp32 or have
integers of its own.

Inputs, K tokens that are new in B texts: `input_ids` [B, K]; `rows` [1], minus the number of last tokens that get
logits; `last` [B], the position of the last token; `length`, how many tokens there are with those before;
`past_<n>_key` and `_value` [B, H / G, P, d], of P tokens. Outputs: the model's, [B, rows, V], and `present_<n>_key`
and `_value`.
"""

from typing import Any

import numpy as np

from millis.backends.onnx.decoder import CONTEXT, IDS, LAST, LENGTH, PAST, PRESENT, ROWS
from millis.backends.onnx.nodes import MICROSOFT, integers
from millis.backends.onnx.parts import Parts, activation_of, refusal
from millis.models import anatomy
from millis.models.encoder import Transformer
from millis.models.parts import Layer

BY_LENGTH = ("dynamic", "longrope")  # ways to turn heads that depend on how long the text is
TO_THE_END = np.iinfo(np.int64).max


def graph(model: Transformer) -> Any:
    """The ONNX model of `model`, in fp32.

    Its matrices are initializers called after their layers, transposed; that of the head is its own even where it is
    the token table (`millis.backends.onnx.tied`).

    Raises:
        MillisError: a part that has no form here.
    """
    return _Causal(model).graph()


class _Causal(Parts):
    def __init__(self, model: Transformer) -> None:
        rotary = getattr(model.encoder, "rotary_emb", None)
        halves = 1 if rotary is None else 2  # of a head: pairs of numbers are turned, one of each half
        super().__init__(model, model.spec.known_shape.head_size, halves)
        self.encoder, self.config = model.encoder, model.encoder.config
        self.anatomy = anatomy.find(model.spec.kind)
        self.context = self.anatomy.max_length(model.spec.encoder)
        self.activation = activation_of(self.config)
        self.turns = [] if rotary is None else self._turns(rotary)

    def graph(self) -> Any:
        nodes, layers = self.nodes, self.anatomy.layers(self.encoder)
        states = self._embedded()
        for index, layer in enumerate(layers):
            states = self._attended(index, layer, states)
            states = self._fed(layer, states)
        last = nodes.constant(integers(TO_THE_END))
        states = nodes.add("Slice", states, ROWS, last, nodes.constant(integers(1)))
        (head,) = self.model.classifiers()
        (output,) = self.model.spec.outputs
        logits = self.linear(head, self.norm(self.anatomy.final_norm(self.encoder), states))
        nodes.add_several("Identity", [logits], [output.name])
        return nodes.model(*self._signature(layers), {CONTEXT: str(self.context)})

    def _signature(self, layers: list[Layer]) -> tuple[list[Any], list[Any]]:
        from onnx import TensorProto
        from onnx.helper import make_tensor_value_info as value

        (output,) = self.model.spec.outputs
        inputs = [
            value(IDS, TensorProto.INT64, ["batch", "new"]),
            value(ROWS, TensorProto.INT64, [1]),
            value(LAST, TensorProto.INT32, ["batch"]),
            value(LENGTH, TensorProto.INT32, []),
        ]
        outputs = [value(output.name, TensorProto.FLOAT, ["batch", "told", output.width])]
        for index, layer in enumerate(layers):
            heads = layer.key.out_features // self.size
            for part in ("key", "value"):
                kept = [TensorProto.FLOAT, ["batch", heads, "room", self.wide]]
                inputs.append(value(f"{PAST}_{index}_{part}", *kept))
                outputs.append(value(f"{PRESENT}_{index}_{part}", *kept))
        return inputs, outputs

    def _embedded(self) -> str:
        words, *others = self.anatomy.embeddings(self.encoder).tables
        states = self.rows(words, IDS)
        for table in others:  # GPT-2's, of positions
            nodes, int32 = self.nodes, 6
            count = nodes.add("Cast", nodes.add("Squeeze", nodes.add("Shape", IDS, start=1)), to=int32)
            first = nodes.add("Sub", LENGTH, count)
            positions = nodes.add("Range", first, LENGTH, nodes.constant(np.array(1, np.int32)))
            states = nodes.add("Add", states, self.rows(table, positions))
        return states

    def _attended(self, index: int, layer: Layer, states: str) -> str:
        """states + attention(norm(states))."""
        nodes, read = self.nodes, self.norm(layer.attention_norm, states)
        heads, shared = (one.out_features // self.size for one in (layer.query, layer.key))
        parts = ((layer.query, heads), (layer.key, shared), (layer.value, shared))
        given = [self.widened(self.linear(one, read), count) for one, count in parts]
        kept = [f"{index}_key", f"{index}_value"]
        contexts, *_ = nodes.add_several(
            "GroupQueryAttention",
            [*given, *(f"{PAST}_{name}" for name in kept), LAST, LENGTH, *self.turns],
            ["", *(f"{PRESENT}_{name}" for name in kept)],
            domain=MICROSOFT,
            num_heads=heads,
            kv_num_heads=shared,
            scale=float(layer.attention.scaling),  # type: ignore[arg-type]
            do_rotary=int(bool(self.turns)),
            local_window_size=_window(self.config, index) or -1,
        )
        return nodes.add("Add", states, self.linear(layer.attention_output, self.narrowed(contexts, heads)))

    def _fed(self, layer: Layer, states: str) -> str:
        """states + feed-forward(norm(states)); without neurons, + its bias."""
        nodes, out = self.nodes, layer.ffn_out
        if out.in_features == 0:
            return states if out.bias is None else nodes.add("Add", states, self.constant(out, "bias"))
        read = self.norm(layer.ffn_norm, states)
        inner = self.linear(layer.ffn_in, read)
        if layer.ffn_gate is None:
            inner = self.activation(nodes, inner)
        else:
            inner = nodes.add("Mul", self.activation(nodes, self.linear(layer.ffn_gate, read)), inner)
        return nodes.add("Add", states, self.linear(out, inner))

    def _turns(self, rotary: Any) -> list[str]:
        """Cosines and sines of all positions, [context, wide / 2] each. ONNX Runtime computes them when it loads."""
        if (turning := (self.config.rope_parameters or {}).get("rope_type")) in BY_LENGTH:
            raise refusal(f"heads that are turned by the length of the text (rope_type {turning!r})", "a fixed turn")
        nodes, narrow = self.nodes, self.size // 2
        frequencies = np.zeros((1, self.wide // 2), np.float32)  # what heads are widened by is not turned
        frequencies[0, :narrow] = rotary.inv_freq.numpy()
        ends = [nodes.constant(np.array(end, np.float32)) for end in (0, self.context, 1)]
        positions = nodes.reshape(nodes.add("Range", *ends), -1, 1)
        angles = nodes.add("Mul", positions, nodes.constant(frequencies, "frequencies"))
        scaling = nodes.constant(np.array(rotary.attention_scaling, np.float32))
        return [nodes.add("Mul", nodes.add(kind, angles), scaling) for kind in ("Cos", "Sin")]


def _window(config: Any, index: int) -> int | None:
    """How many tokens, itself among them, a token of layer `index` sees; None where it sees all before it."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and kinds[index] != "sliding_attention":
        return None
    return getattr(config, "sliding_window", None)
