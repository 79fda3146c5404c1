"""Sensitivity: what rounding each linear layer costs, measured; which layers to keep in fp32, chosen by it.

A layer's damage is what happens to the logits when it alone is rounded; its relief is what the damage of rounding
everything falls by when it alone is not. Damage is the mean KL(fp32 ‖ rounded) of the predicted distributions, in nats
a text: 0 for a layer whose rounding changes no prediction, however large its weights' error. Rounding is simulated
(`millis.quantization.simulate`), so a model is ranked in seconds, without a graph.

Embedding tables are left out: rounded to 1/255 of their range, they cost all-MiniLM-L6-v2 0.0003 of cosine.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from millis.quantization.arithmetic import Arithmetic
from millis.quantization.calibration import by_length
from millis.quantization.simulate import Simulation, logits
from millis.quantization.spec import Fallback, Quantization
from millis.types import Features, Output


class Damage(NamedTuple):
    """What rounding did to the logits of the calibration texts.

    Args:
        kl: Mean KL(fp32 ‖ rounded) a text, nats.
        mse: Mean squared difference of logits.
        flips: Share of texts (0..1) whose likeliest label changed.
    """

    kl: float
    mse: float
    flips: float


class Sensitivity(NamedTuple):
    """One linear layer.

    Args:
        name: The layer's.
        damage: With it alone rounded.
        relief: KL of everything rounded, less KL of everything but it; nats, negative where errors cancel.
    """

    name: str
    damage: Damage
    relief: float


class Chosen(NamedTuple):
    """Layers that stay fp32, and why.

    Args:
        names: The most damaging first.
        alone: KL of each when it alone is rounded, in the order of `names`.
        before: KL with every candidate rounded.
        after: KL with the chosen layers in fp32.
    """

    names: tuple[str, ...]
    alone: tuple[float, ...]
    before: float
    after: float


def compare(outputs: Sequence[Output], reference: Sequence[Tensor], rounded: Sequence[Tensor]) -> Damage:
    """What became of a model's outputs: the mean over them.

    Args:
        outputs: What rows of logits say. Which of several labels a text has are so many questions of two answers;
            numbers are taken for the means of normal distributions of variance 1, whose KL is half the squared error;
            of vectors it is 1 - their cosine, as of von Mises-Fisher distributions of one concentration, to a factor.
        reference: fp32, [M, C] each.
        rounded: [M, C] each.
    """
    found = []
    for output, *pair in zip(outputs, reference, rounded, strict=True):
        if output.choice == "value":
            error = float((pair[0] - pair[1]).square().mean())
            found.append(Damage(error / 2, error, 0.0))
        elif output.choice == "vector":
            apart = 1 - float(torch.cosine_similarity(pair[0].double(), pair[1].double(), dim=-1).mean())
            found.append(Damage(max(apart, 0.0), float((pair[0] - pair[1]).square().mean()), 0.0))
        elif output.choice == "each":
            found.append(_compare(*(torch.stack([torch.zeros_like(one), one], dim=-1).flatten(0, 1) for one in pair)))
        else:
            found.append(_compare(*pair))
    return Damage(*(sum(values) / len(found) for values in zip(*found, strict=True)))


def _compare(reference: Tensor, rounded: Tensor) -> Damage:
    expected, got = reference.double().log_softmax(dim=-1), rounded.double().log_softmax(dim=-1)
    kl = (expected.exp() * (expected - got)).sum(dim=-1).mean()
    flips = (reference.argmax(dim=-1) != rounded.argmax(dim=-1)).double().mean()
    return Damage(max(float(kl), 0.0), float((reference - rounded).square().mean()), float(flips))


class Ranking:
    """Damage of rounding the linear layers of a model.

    Args:
        model: In evaluation mode, on the CPU; left as it was.
        requests: Calibration texts, [1, S] each, without padding.
        quantization: What a backend would be asked for.
        arithmetic: What it would compute then.
        fixed: Layers that stay fp32 whatever they cost.
    """

    def __init__(
        self,
        model: nn.Module,
        requests: Sequence[Features],
        quantization: Quantization,
        arithmetic: Arithmetic,
        fixed: Collection[str] = (),
    ) -> None:
        self._simulation = Simulation(model, quantization, arithmetic, requests)
        self._batches = by_length(requests)
        self._reference = logits(model, self._batches)
        self._outputs = cast(Any, model).spec.outputs
        self.candidates = [name for name in self._simulation.layers if name not in fixed]

    def damage(self, names: Collection[str]) -> Damage:
        """Of rounding the layers `names`."""
        with self._simulation.rounded(names):
            return compare(self._outputs, self._reference, logits(self._simulation.model, self._batches))

    def table(self) -> list[Sensitivity]:
        """Every candidate, the most damaging first; a forward pass of all texts for each column of each row."""
        whole = self.damage(self.candidates).kl
        rows = []
        for name in self.candidates:
            others = [other for other in self.candidates if other != name]
            rows.append(Sensitivity(name, self.damage([name]), whole - self.damage(others).kl))
        return sorted(rows, key=lambda row: row.damage.kl, reverse=True)

    def choose(self, fallback: Fallback) -> Chosen:
        """The fewest layers, taken in the order of their damage, that bring the KL of all others to the limit."""
        alone = {name: self.damage([name]).kl for name in self.candidates}
        order = sorted(self.candidates, key=alone.__getitem__, reverse=True)
        before = after = self.damage(order).kl
        kept = 0
        while after > fallback.damage and kept < min(fallback.layers, len(order)):
            kept += 1
            after = self.damage(order[kept:]).kl
        return Chosen(tuple(order[:kept]), tuple(alone[name] for name in order[:kept]), before, after)


@torch.no_grad()
def rank(
    model: nn.Module, requests: Sequence[Features], quantization: Quantization, arithmetic: Arithmetic
) -> list[Sensitivity]:
    """`Ranking.table` of a model: what each linear layer costs, the most damaging first."""
    return Ranking(model, requests, quantization, arithmetic).table()
