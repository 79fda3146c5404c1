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

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from millis.backends.onnx.decoder import CONTEXT, IDS, LAST, LENGTH, PAST, PRESENT, ROWS
from millis.backends.onnx.nodes import MICROSOFT, Nodes, integers
from millis.errors import MillisError
from millis.models import anatomy
from millis.models.encoder import Transformer
from millis.models.low_rank import LowRankEmbedding, LowRankLinear
from millis.models.parts import Layer
from millis.quantization.smooth import Divide

BY_LENGTH = ("dynamic", "longrope")  # ways to turn heads that depend on how long the text is
ALIGNED, TURNED = 8, 16  # what head sizes are multiples of, where heads are as they are, and where they are turned
TO_THE_END = np.iinfo(np.int64).max
ACTIVATIONS: dict[str, Callable[[Nodes, str], str]] = {
    "silu": lambda nodes, given: nodes.add("Mul", given, nodes.add("Sigmoid", given)),
    "gelu": lambda nodes, given: nodes.add("Gelu", given),
    "gelu_new": lambda nodes, given: nodes.add("Gelu", given, approximate="tanh"),
    "relu": lambda nodes, given: nodes.add("Relu", given),
    "tanh": lambda nodes, given: nodes.add("Tanh", given),
}
ALIASES = {"swish": "silu", "gelu_pytorch_tanh": "gelu_new", "gelu_fast": "gelu_new"}  # of transformers


def graph(model: Transformer) -> Any:
    """The ONNX model of `model`, in fp32.

    Its matrices are initializers called after their layers, transposed; that of the head is its own even where it is
    the token table (`millis.backends.onnx.tied`).

    Raises:
        MillisError: a part that has no form here.
    """
    return _Causal(model).graph()


class _Causal:
    def __init__(self, model: Transformer) -> None:
        self.model, self.encoder, self.nodes = model, model.encoder, Nodes()
        self.anatomy = anatomy.find(model.spec.kind)
        self.names = {id(module): name for name, module in model.named_modules()}
        self.config, self.size = self.encoder.config, model.spec.known_shape.head_size
        self.context = self.anatomy.max_length(model.spec.encoder)
        self.activation = _activation(self.config)
        rotary = getattr(self.encoder, "rotary_emb", None)
        multiple = ALIGNED if rotary is None else TURNED
        self.halves = 1 if rotary is None else 2  # of a head: pairs of numbers are turned, one of each half
        self.wide = -(-self.size // multiple) * multiple
        self.quotients: dict[tuple[Divide, str], str] = {}
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
        logits = self._linear(head, self._norm(self.anatomy.final_norm(self.encoder), states))
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
        states = self._rows(words, IDS)
        for table in others:  # GPT-2's, of positions
            nodes, int32 = self.nodes, 6
            count = nodes.add("Cast", nodes.add("Squeeze", nodes.add("Shape", IDS, start=1)), to=int32)
            first = nodes.add("Sub", LENGTH, count)
            positions = nodes.add("Range", first, LENGTH, nodes.constant(np.array(1, np.int32)))
            states = nodes.add("Add", states, self._rows(table, positions))
        return states

    def _attended(self, index: int, layer: Layer, states: str) -> str:
        """states + attention(norm(states))."""
        nodes, read = self.nodes, self._norm(layer.attention_norm, states)
        heads, shared = (one.out_features // self.size for one in (layer.query, layer.key))
        parts = ((layer.query, heads), (layer.key, shared), (layer.value, shared))
        given = [self._widened(self._linear(one, read), count) for one, count in parts]
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
        return nodes.add("Add", states, self._linear(layer.attention_output, self._narrowed(contexts, heads)))

    def _fed(self, layer: Layer, states: str) -> str:
        """states + feed-forward(norm(states)); without neurons, + its bias."""
        nodes, out = self.nodes, layer.ffn_out
        if out.in_features == 0:
            return states if out.bias is None else nodes.add("Add", states, self._constant(out, "bias"))
        read = self._norm(layer.ffn_norm, states)
        inner = self._linear(layer.ffn_in, read)
        if layer.ffn_gate is None:
            inner = self.activation(nodes, inner)
        else:
            inner = nodes.add("Mul", self.activation(nodes, self._linear(layer.ffn_gate, read)), inner)
        return nodes.add("Add", states, self._linear(out, inner))

    def _linear(self, layer: Any, states: str) -> str:
        if isinstance(layer, LowRankLinear):
            return self._linear(layer.up, self._linear(layer.down, states))
        for hook in layer._forward_pre_hooks.values():
            states = self._divided(hook, states)
        weight = self.nodes.constant(layer.weight.T, f"{self.names[id(layer)]}.weight")
        made = self.nodes.add("MatMul", states, weight)
        return made if layer.bias is None else self.nodes.add("Add", made, self._constant(layer, "bias"))

    def _divided(self, divide: Divide, states: str) -> str:
        """What smoothed layers read; those that read one tensor share the quotient."""
        if (divide, states) not in self.quotients:
            reciprocal = self.nodes.constant(divide.reciprocal, f"{states}_reciprocal_{len(self.quotients)}")
            self.quotients[divide, states] = self.nodes.add("Mul", states, reciprocal)
        return self.quotients[divide, states]

    def _rows(self, table: Any, places: str) -> str:
        if isinstance(table, LowRankEmbedding):
            return self._linear(table.projection, self._rows(table.table, places))
        return self.nodes.add("Gather", self._constant(table, "weight"), places)

    def _norm(self, norm: Any, states: str) -> str:
        gain = self._constant(norm, "weight")
        if isinstance(norm, nn.LayerNorm):
            shift = self._constant(norm, "bias")
            return self.nodes.add("LayerNormalization", states, gain, shift, axis=-1, epsilon=norm.eps)
        return self.nodes.add("RMSNormalization", states, gain, axis=-1, epsilon=norm.variance_epsilon)

    def _constant(self, module: nn.Module, part: str) -> str:
        return self.nodes.constant(getattr(module, part), f"{self.names[id(module)]}.{part}")

    def _turns(self, rotary: Any) -> list[str]:
        """Cosines and sines of all positions, [context, wide / 2] each. ONNX Runtime computes them when it loads."""
        if (turning := (self.config.rope_parameters or {}).get("rope_type")) in BY_LENGTH:
            raise _refusal(f"heads that are turned by the length of the text (rope_type {turning!r})", "a fixed turn")
        nodes, narrow = self.nodes, self.size // 2
        frequencies = np.zeros((1, self.wide // 2), np.float32)  # what heads are widened by is not turned
        frequencies[0, :narrow] = rotary.inv_freq.numpy()
        ends = [nodes.constant(np.array(end, np.float32)) for end in (0, self.context, 1)]
        positions = nodes.reshape(nodes.add("Range", *ends), -1, 1)
        angles = nodes.add("Mul", positions, nodes.constant(frequencies, "frequencies"))
        scaling = nodes.constant(np.array(rotary.attention_scaling, np.float32))
        return [nodes.add("Mul", nodes.add(kind, angles), scaling) for kind in ("Cos", "Sin")]

    def _widened(self, states: str, heads: int) -> str:
        """Heads with zeros behind each half, up to the next size that ONNX Runtime takes."""
        if self.wide == self.size:
            return states
        nodes, half = self.nodes, self.size // self.halves
        apart = nodes.reshape(states, 0, 0, heads, self.halves, half)
        more = nodes.constant(integers(*[0] * 9, self.wide // self.halves - half))
        return nodes.reshape(nodes.add("Pad", apart, more), 0, 0, heads * self.wide)

    def _narrowed(self, states: str, heads: int) -> str:
        """Undo `_widened`."""
        if self.wide == self.size:
            return states
        nodes, half = self.nodes, self.size // self.halves
        apart = nodes.reshape(states, 0, 0, heads, self.halves, self.wide // self.halves)
        ends = [nodes.constant(integers(end)) for end in (0, half, 4)]
        return nodes.reshape(nodes.add("Slice", apart, *ends), 0, 0, heads * self.size)


def _activation(config: Any) -> Callable[[Nodes, str], str]:
    name = getattr(config, "hidden_act", None) or config.activation_function
    if (known := ALIASES.get(name, name)) not in ACTIVATIONS:
        raise _refusal(f"the activation {name!r}", f"one of {', '.join([*ACTIVATIONS, *ALIASES])}")
    return ACTIVATIONS[known]


def _window(config: Any, index: int) -> int | None:
    """How many tokens, itself among them, a token of layer `index` sees; None where it sees all before it."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and kinds[index] != "sliding_attention":
        return None
    return getattr(config, "sliding_window", None)


def _refusal(got: str, expected: str) -> MillisError:
    return MillisError(f"backend=onnxruntime cannot write {got} as a decoder: expected {expected}. Use backend=eager")
