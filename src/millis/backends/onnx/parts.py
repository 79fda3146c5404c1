"""Parts of transformers as nodes of an ONNX graph: linears, norms, tables, activations, heads of other sizes."""

from collections.abc import Callable
from typing import Any

from torch import nn

from millis.backends.onnx.nodes import Nodes, integers
from millis.errors import MillisError
from millis.models.low_rank import LowRankEmbedding, LowRankLinear
from millis.quantization.smooth import Divide

ALIGNED, TURNED = 8, 16  # what head sizes are multiples of, where heads are as they are, and where they are turned
ACTIVATIONS: dict[str, Callable[[Nodes, str], str]] = {
    "silu": lambda nodes, given: nodes.add("Mul", given, nodes.add("Sigmoid", given)),
    "gelu": lambda nodes, given: nodes.add("Gelu", given),
    "gelu_new": lambda nodes, given: nodes.add("Gelu", given, approximate="tanh"),
    "relu": lambda nodes, given: nodes.add("Relu", given),
    "tanh": lambda nodes, given: nodes.add("Tanh", given),
}
ALIASES = {"swish": "silu", "gelu_pytorch_tanh": "gelu_new", "gelu_fast": "gelu_new"}  # of transformers


class Parts:
    """A graph of `model` that is being written.

    Its matrices are initializers called after their layers, transposed.

    Args:
        model: A module whose layers are known by name.
        size: Of a head.
        halves: Of a head, behind each of which zeros are put where it is widened.
    """

    def __init__(self, model: nn.Module, size: int, halves: int) -> None:
        self.model: Any = model
        self.nodes = Nodes()
        self.names = {id(module): name for name, module in model.named_modules()}
        self.quotients: dict[tuple[Divide, str], str] = {}
        self.size, self.halves = size, halves
        multiple = ALIGNED if halves == 1 else TURNED
        self.wide = -(-size // multiple) * multiple

    def linear(self, layer: Any, states: str) -> str:
        """What a linear, in full or of low rank, makes of `states`."""
        if isinstance(layer, LowRankLinear):
            return self.linear(layer.up, self.linear(layer.down, states))
        for hook in layer._forward_pre_hooks.values():
            states = self.divided(hook, states)
        weight = self.nodes.constant(layer.weight.T, f"{self.names[id(layer)]}.weight")
        made = self.nodes.add("MatMul", states, weight)
        return made if layer.bias is None else self.nodes.add("Add", made, self.constant(layer, "bias"))

    def divided(self, divide: Divide, states: str) -> str:
        """What smoothed layers read; those that read one tensor share the quotient."""
        if (divide, states) not in self.quotients:
            reciprocal = self.nodes.constant(divide.reciprocal, f"{states}_reciprocal_{len(self.quotients)}")
            self.quotients[divide, states] = self.nodes.add("Mul", states, reciprocal)
        return self.quotients[divide, states]

    def rows(self, table: Any, places: str) -> str:
        """Rows of an embedding table, in full or of low rank."""
        if isinstance(table, LowRankEmbedding):
            return self.linear(table.projection, self.rows(table.table, places))
        return self.nodes.add("Gather", self.constant(table, "weight"), places)

    def norm(self, norm: Any, states: str) -> str:
        """A layer norm, or one by root mean square."""
        gain = self.constant(norm, "weight")
        if isinstance(norm, nn.LayerNorm):
            shift = self.constant(norm, "bias")
            return self.nodes.add("LayerNormalization", states, gain, shift, axis=-1, epsilon=norm.eps)
        return self.nodes.add("RMSNormalization", states, gain, axis=-1, epsilon=norm.variance_epsilon)

    def constant(self, module: nn.Module, part: str) -> str:
        """A parameter, under its name in the model."""
        return self.nodes.constant(getattr(module, part), f"{self.names[id(module)]}.{part}")

    def widened(self, states: str, heads: int) -> str:
        """Heads with zeros behind each half, up to the next size that ONNX Runtime takes."""
        if self.wide == self.size:
            return states
        nodes, half = self.nodes, self.size // self.halves
        apart = nodes.reshape(states, 0, 0, heads, self.halves, half)
        more = nodes.constant(integers(*[0] * 9, self.wide // self.halves - half))
        return nodes.reshape(nodes.add("Pad", apart, more), 0, 0, heads * self.wide)

    def narrowed(self, states: str, heads: int) -> str:
        """Undo `widened`."""
        if self.wide == self.size:
            return states
        nodes, half = self.nodes, self.size // self.halves
        apart = nodes.reshape(states, 0, 0, heads, self.halves, self.wide // self.halves)
        ends = [nodes.constant(integers(end)) for end in (0, half, 4)]
        return nodes.reshape(nodes.add("Slice", apart, *ends), 0, 0, heads * self.size)


def activation_of(config: Any) -> Callable[[Nodes, str], str]:
    """The nodes of an architecture's activation function.

    Raises:
        MillisError: it has no form here.
    """
    said = (getattr(config, name, None) for name in ("hidden_act", "activation_function", "dense_act_fn"))
    name = next(one for one in said if one is not None)
    if (known := ALIASES.get(name, name)) not in ACTIVATIONS:
        raise refusal(f"the activation {name!r}", f"one of {', '.join([*ACTIVATIONS, *ALIASES])}")
    return ACTIVATIONS[known]


def refusal(got: str, expected: str) -> MillisError:
    """What is raised where a part of a model that writes has no form here."""
    return MillisError(f"backend=onnxruntime cannot write {got} as a decoder: expected {expected}. Use backend=eager")
