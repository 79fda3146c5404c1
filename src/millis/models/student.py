"""Students of the family `transformer`: fewer layers, narrower layers, or the teacher untouched.

Layers are taken from the teacher at even distances (DistilBERT, 1910.01108; the uniform map of TinyBERT, 1909.10351,
section 3.1). Within a layer the parts with the largest weights are kept, structured magnitude pruning in the manner of
Li et al. 2017 (1608.08710), with the norms on both sides of a part taken together:

    head h       ||W_value,h|| * ||W_output,h||      Frobenius norms of its rows and columns
    neuron j     ||W_in,j|| * ||W_out,j||            L2 norms of its row (a gate's included) and column
    channel c    sum over the matrices that write or read the residual stream, embeddings included, of the L2 norm of
                 c's weights, relative to the mean over that matrix's channels

Query and key are left out of a head's score: they decide where it looks, not how much it writes. Heads that share a
key and a value (2305.13245) are kept together, by the sum of their scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from millis.errors import MillisError, nearest
from millis.models import anatomy
from millis.models.parts import Anatomy, Layer
from millis.models.selection import Selection, copy_selected, resized
from millis.models.sizes import Size, check_size, count
from millis.models.spec import Shape, Spec
from millis.models.transformer_spec import TransformerSpec
from millis.traits import CUT, IN_TRAINING, TEACHES, Reasons, Traits

INITS = ("teacher", "fresh")


def uniform_layers(teacher_layers: int, student_layers: int) -> list[int]:
    """Layer of the teacher, counted from 0, for each layer of the student: ceil(i * L / L') - 1 for i = 1..L'.

    The last layer is always among them, for the teacher's head was trained on its output: 6 → 3 gives 1, 3, 5.
    """
    return [-(-i * teacher_layers // student_layers) - 1 for i in range(1, student_layers + 1)]


_UNTRAINED = (
    "{other} happens while a student trains, and student=teacher is not trained: its weights are converted as they "
    "are. Choose student=transformer student.layers=null for a trained copy of the teacher, or {instead}"
)


@dataclass(frozen=True)
class Teacher:
    """The teacher itself, whatever its family: the baseline that needs no training."""

    trains: ClassVar[bool] = False
    fits: ClassVar[bool] = False
    refuses: ClassVar[Reasons] = dict.fromkeys((IN_TRAINING, TEACHES), _UNTRAINED)

    def spec(self, teacher_spec: Spec) -> Spec:
        """The teacher's spec."""
        return teacher_spec

    def initialise(self, model: nn.Module, teacher: nn.Module) -> None:
        """Copy every weight."""
        model.load_state_dict(teacher.state_dict())

    def describe(self, spec: Spec) -> str:
        """`teacher`."""
        return "teacher"


@dataclass(frozen=True)
class TransformerStudent:
    """The teacher's architecture at smaller sizes.

    A size is a count (an integer), a share of the teacher's (a fraction up to 1.0, so that one search space serves
    every teacher), or None for the teacher's own.

    Args:
        layers: How many layers (taken by `uniform_layers`), or which ones, counted from 0.
        hidden_size: D. The size of a head stays the teacher's, so D is free of the number of heads.
        heads: Attention heads in each layer.
        ffn_size: Feed-forward neurons in each layer.
        init: "teacher" copies the kept parts; "fresh" keeps random weights and may also be larger than the teacher.

    Raises:
        MillisError: a size that is neither a count nor a share, or an unknown `init`.
    """

    trains: ClassVar[bool] = True
    fits: ClassVar[bool] = False
    cuts: ClassVar[str] = TransformerSpec.family
    traits: ClassVar[Traits] = (CUT,)

    layers: Size | Sequence[int] = None
    hidden_size: Size = None
    heads: Size = None
    ffn_size: Size = None
    init: str = "teacher"

    def __post_init__(self) -> None:
        check_init(self.init)
        layers = len(self.layers) if isinstance(self.layers, Sequence) else self.layers
        sizes = {"layers": layers, "hidden_size": self.hidden_size, "heads": self.heads, "ffn_size": self.ffn_size}
        for name, value in sizes.items():
            check_size(f"student.{name}", value)

    def spec(self, teacher_spec: TransformerSpec) -> TransformerSpec:
        """The student's architecture.

        Raises:
            MillisError: the teacher cannot be cut, a layer it does not have, or a part larger than the teacher's.
        """
        if teacher_spec.family != TransformerSpec.family:
            raise MillisError(
                f"student=transformer cuts an encoder or a decoder, and the teacher is a {teacher_spec.kind!r} model "
                f"of the family {teacher_spec.family}: choose student={teacher_spec.family}, or student=teacher"
            )
        whole = anatomy.hidden_size(teacher_spec)
        shape = teacher_spec.known_shape
        chosen = self._chosen(len(shape.heads))
        groups = anatomy.find(teacher_spec.kind).groups(teacher_spec.encoder)
        heads = tuple(head_count(self.heads, shape.heads[index], groups) for index in chosen)
        ffn = tuple(count(self.ffn_size, shape.ffn[index]) for index in chosen)
        hidden = count(self.hidden_size, whole)
        if self.init == "teacher":
            at_most("hidden_size", hidden, whole)
            for index, attending, neurons in zip(chosen, heads, ffn, strict=True):
                at_most("heads", attending, shape.heads[index])
                at_most("ffn_size", neurons, shape.ffn[index])
        return resized(teacher_spec, Shape(shape.head_size, heads, ffn), hidden)

    @torch.no_grad()
    def initialise(self, model: Any, teacher: Any) -> None:
        """Weights before training: the kept parts of `teacher`, or nothing where `init` is "fresh"."""
        if self.init == "fresh":
            return
        parts, shape = anatomy.find(teacher.spec.kind), model.spec.shape
        groups = parts.groups(teacher.spec.encoder)
        blocks = parts.layers(teacher.encoder)
        layers = self._chosen(len(blocks))
        keep = Selection(
            layers=layers,
            hidden=largest(channel_importance(parts, teacher.encoder), anatomy.hidden_size(model.spec)),
            heads=[
                largest(head_importance(blocks[index], shape.head_size), count, groups)
                for index, count in zip(layers, shape.heads, strict=True)
            ],
            ffn=[
                largest(neuron_importance(blocks[index]), count) for index, count in zip(layers, shape.ffn, strict=True)
            ],
        )
        copy_selected(model, teacher, keep)

    def describe(self, spec: TransformerSpec) -> str:
        """`transformer 3x384`: layers x hidden; ` h6 f768` follow where heads or neurons do not add up to D and 4 D."""
        hidden, shape = anatomy.hidden_size(spec), spec.known_shape
        name = f"transformer {len(shape.heads)}x{hidden}"
        if any(heads * shape.head_size != hidden for heads in shape.heads):
            name += f" h{_span(shape.heads)}"
        if any(ffn != 4 * hidden for ffn in shape.ffn):
            name += f" f{_span(shape.ffn)}"
        return name

    def _chosen(self, teacher_layers: int) -> list[int]:
        """Layer of the teacher for each layer of the student."""
        return chosen_layers("layers", self.layers, teacher_layers, self.init)


def chosen_layers(name: str, asked: Size | Sequence[int], teacher_layers: int, init: str) -> list[int]:
    """Layer of the teacher, counted from 0, for each layer of the student.

    Args:
        name: Of the setting, for messages.
        asked: How many, taken by `uniform_layers`, or which.
        init: As in `TransformerStudent`.

    Raises:
        MillisError: a layer that the teacher does not have, or more than it has where they are copied.
    """
    if not isinstance(asked, Sequence):
        layers = count(asked, teacher_layers)
        if init == "teacher":
            at_most(name, layers, teacher_layers)
        return uniform_layers(teacher_layers, layers)
    outside = [index for index in asked if not 0 <= index < teacher_layers]
    if outside:
        raise MillisError(
            f"student.{name}={list(asked)} asks for layer {outside[0]}; the teacher has {teacher_layers}, "
            f"counted from 0 to {teacher_layers - 1}"
        )
    return list(asked)


def check_init(init: str) -> None:
    """Refuse what is none of `INITS`.

    Raises:
        MillisError: as said.
    """
    if init not in INITS:
        raise MillisError(
            f"student.init={init!r} is unknown; expected one of {', '.join(INITS)}{nearest(str(init), INITS)}"
        )


def head_count(size: Size, whole: int, groups: int) -> int:
    """`size` as a number of heads, of which `groups` each share a key and a value; a share is rounded to whole groups.

    Raises:
        MillisError: a count that is no multiple of `groups`.
    """
    if isinstance(size, float):
        return count(size, whole // groups) * groups
    heads = count(size, whole)
    if heads % groups:
        raise MillisError(
            f"student.heads={heads}: in this teacher {groups} heads each share a key and a value; expected a multiple "
            f"of {groups}, for example {heads // groups * groups or groups}"
        )
    return heads


def head_importance(layer: Layer, head_size: int) -> Tensor:
    """Importance of each head, [H]; formula above."""
    return gathered_and_written(layer.value, layer.attention_output, head_size)


def gathered_and_written(value: nn.Linear, output: nn.Linear, head_size: int) -> Tensor:
    """Importance of each head of an attention with these projections, [H]."""
    hidden, width = output.weight.shape
    heads = width // head_size
    gathered = torch.linalg.vector_norm(value.weight.reshape(-1, head_size * hidden), dim=1)
    gathered = gathered.repeat_interleave(heads // len(gathered))
    written = torch.linalg.vector_norm(output.weight.reshape(hidden, heads, head_size), dim=(0, 2))
    importance: Tensor = gathered * written
    return importance


def neuron_importance(layer: Layer) -> Tensor:
    """Importance of each feed-forward neuron, [F]; formula above."""
    rows = [linear.weight for linear in (layer.ffn_in, layer.ffn_gate) if linear is not None]
    incoming: Tensor = torch.linalg.vector_norm(torch.cat(rows, dim=1), dim=1)
    outgoing: Tensor = torch.linalg.vector_norm(layer.ffn_out.weight, dim=0)
    return incoming * outgoing


def channel_importance(parts: Anatomy, encoder: nn.Module) -> Tensor:
    """Importance of each hidden channel, [D]; formula above."""
    embeddings = parts.embeddings(encoder)
    tables = [table.weight for table in embeddings.tables]
    matrices = tables if embeddings.projection is None else [embeddings.projection.weight.T]
    for layer in parts.layers(encoder):
        reading = (layer.query, layer.key, layer.value, layer.ffn_in, layer.ffn_gate)
        matrices += [linear.weight for linear in reading if linear is not None]
        matrices += [linear.weight.T for linear in (layer.attention_output, layer.ffn_out)]
    # Relative norms: a table of 30,000 words and a projection of 100 rows have the same say.
    norms: list[Tensor] = [torch.linalg.vector_norm(matrix, dim=0) for matrix in matrices]
    return torch.stack([norm / norm.mean().clamp(min=1e-12) for norm in norms]).sum(dim=0)


def largest(importance: Tensor, count: int, together: int = 1) -> Tensor:
    """Indices of the `count` largest, ascending; ties go to the smaller index.

    Args:
        together: So many neighbours are kept together, by the sum of their importance; they divide `count`.
    """
    order = torch.argsort(importance.reshape(-1, together).sum(dim=1), descending=True, stable=True)
    kept = order[: count // together].sort().values
    return (kept[:, None] * together + torch.arange(together, device=kept.device)).flatten()


def at_most(name: str, value: int, limit: int) -> None:
    """Refuse a size of which the teacher has less.

    Raises:
        MillisError: as said.
    """
    if value > limit:
        raise MillisError(
            f"student.{name}={value} is larger than the teacher's {limit}: nothing there to copy. "
            f"Choose at most {limit}, or student.init=fresh to start from random weights"
        )


def _span(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}-{high}"
