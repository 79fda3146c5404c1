"""Heads: a linear classifier for each output, over a text's vector or over the state of each of its tokens.

What says which token comes next has no bias, and may have the table of token vectors as its weights (Press and Wolf
2017, 1608.05859).
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from torch import Tensor, nn

from millis.types import Output

STD = 0.02  # BERT's initializer_range
Answers: TypeAlias = Tensor | tuple[Tensor, ...]
"""Of one output its logits, of several a tuple: [B, C] per text, [B, S, C] per token."""


class Heads(nn.ModuleDict):
    """Classifiers by output, for a model that gives more than one row of logits a text.

    Args:
        width: D, of a text's vector and of a token's state.
        outputs: In order.
    """

    def __init__(self, width: int, outputs: Sequence[Output]) -> None:
        super().__init__({output.name: _linear(width, output) for output in outputs})
        self.per = [output.per for output in outputs]


class Early(nn.ModuleDict):
    """Classifiers that stand before the head, by layer.

    Args:
        width: D.
        classes: C.
        layers: After which they stand.
    """

    def __init__(self, width: int, classes: int, layers: Sequence[int]) -> None:
        super().__init__({str(layer): nn.Linear(width, classes) for layer in layers})
        for classifier in self.values():
            start(classifier)


def start(classifier: nn.Module) -> None:
    """Fresh weights as BERT has them, N(0, STD²), and bias 0."""
    assert isinstance(classifier, nn.Linear)
    nn.init.normal_(classifier.weight, std=STD)
    if classifier.bias is not None:
        nn.init.zeros_(classifier.bias)


def classifying(model: nn.Module) -> tuple[str, ...]:
    """Names of the modules of a model of any family that classify: its head, and early ones."""
    return tuple(name for name, module in model.named_modules() if name == "head" or isinstance(module, Early))


def head(width: int, outputs: Sequence[Output]) -> nn.Linear | Heads:
    """The head of a model; what answers a text once is the bare linear layer."""
    once = [output.per for output in outputs] == ["text"]
    return _linear(width, outputs[0]) if once else Heads(width, outputs)


def _linear(width: int, output: Output) -> nn.Linear:
    """A fresh classifier; what gives a vector starts with the text's own, as far as it goes."""
    made = nn.Linear(width, output.width, bias=output.choice != "next")
    if output.choice == "vector":
        nn.init.eye_(made.weight)
        nn.init.zeros_(made.bias)
    return made


def classifiers(found: nn.Module) -> list[nn.Linear]:
    """The linear layers of a head."""
    return list(found.values()) if isinstance(found, Heads) else [found]  # type: ignore[arg-type, list-item]


def answers(found: nn.Module, states: Tensor, pool: Callable[[Tensor], Tensor], dropout: nn.Module) -> Answers:
    """What a model's head says.

    Args:
        found: The head.
        states: Of the tokens, [B, S, D].
        pool: States to the text's vector, [B, D]; called only where an output answers the text.
        dropout: Before the head.
    """
    if not isinstance(found, Heads):
        logits: Tensor = found(dropout(pool(states)))
        return logits
    read = {per: dropout(pool(states) if per == "text" else states) for per in dict.fromkeys(found.per)}
    given = tuple(one(read[per]) for one, per in zip(found.values(), found.per, strict=True))
    return given if len(given) > 1 else given[0]
