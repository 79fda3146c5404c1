"""What stands in a block where all heads, or all feed-forward neurons, are gone: the output's bias, and nothing to run.

PyTorch, ONNX Runtime and the quantizers each stumble over matrices without elements (`view(..., -1, head_size)` cannot
infer zero heads, a range of no values has no minimum). The modules here keep the names and the (empty) weights, so that
a state dict has the same keys whatever the shape, and leave no matrix product in the graph.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Empty(nn.Module):
    """A linear layer without outputs, [*, I] → [*, 0], or without inputs, [*, 0] → its bias. Exactly one is 0.

    Has the members of `nn.Linear` but is none: what walks a model to quantize or factorize its linears passes it by.

    Args:
        inputs, outputs: I and O.
        biased: Whether there is a bias; without one and without inputs, zeros come out.
    """

    def __init__(self, inputs: int, outputs: int, biased: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features = inputs, outputs
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if biased else None

    def forward(self, states: Tensor) -> Tensor:
        """No outputs: nothing for each position. No inputs: the bias, [O] in evaluation, [*, O] in training."""
        if self.out_features == 0:
            return states[..., :0]
        bias = self.weight.new_zeros(self.out_features) if self.bias is None else self.bias
        # The residual sum broadcasts it, so an exported graph holds one constant; only dropout asks for every position.
        return bias.expand(*states.shape[:-1], -1) if self.training else bias


class NoHeads(nn.Module):
    """In place of an attention module that has no head left: what follows the heads inside it, run on any states.

    Args:
        attention: The module replaced; its children stay under their names.
        after_heads: Those of them that follow the heads, in their order.
    """

    def __init__(self, attention: nn.Module, after_heads: Sequence[str]) -> None:
        super().__init__()
        for name, child in attention.named_children():
            self.add_module(name, child)
        self.scaling: Any = attention.scaling
        self.after_heads = tuple(after_heads)

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        """The states after the heads, and no attention weights, as transformers' attention modules return."""
        for name in self.after_heads:
            hidden_states = self.get_submodule(name)(hidden_states)
        return hidden_states, None


def replace_module(root: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put `new` where `old` is a child in `root`."""
    places = [(parent, name) for parent in root.modules() for name, child in parent.named_children() if child is old]
    for parent, name in places:
        setattr(parent, name, new)
