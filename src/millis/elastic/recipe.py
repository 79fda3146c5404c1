"""Elastic weights as a recipe asks for them: at which sizes they run, and how often each is trained."""

from collections.abc import Sequence
from dataclasses import dataclass

from millis.distillation.contract import Stage
from millis.elastic.policy import Policy
from millis.elastic.sandwich import Sandwich
from millis.elastic.setting import Axes, Setting
from millis.errors import MillisError
from millis.models import anatomy
from millis.models.selection import selected_spec
from millis.models.sizes import Size, check_size, count
from millis.models.student import head_count
from millis.models.transformer_spec import TransformerSpec

Sizes = Sequence[Size] | None


@dataclass(frozen=True)
class Elastic:
    """One set of weights for students of many sizes, a cut of the teacher at the largest of them.

    A size is a count, a share of the teacher's, or None for the teacher's own, as everywhere.

    Args:
        layers: Numbers of layers; None is every number up to the teacher's.
        hidden_size, heads, ffn_size: Channels; heads and neurons of each layer. None is the teacher's alone.
        policy: Which sizes are trained beside the largest and the smallest.
        sampled: How many of these in each step.
        from_largest: Weight (0 to 1) of the largest student's answers beside the teacher's and the labels.
        samples: Training texts that say which heads and neurons matter.

    Raises:
        MillisError: a size that is none, an axis without sizes, or numbers out of their range.
    """

    policy: Policy
    layers: Sizes = None
    hidden_size: Sizes = None
    heads: Sizes = None
    ffn_size: Sizes = None
    sampled: int = 2
    from_largest: float = 0.5
    samples: int = 2048

    def __post_init__(self) -> None:
        for name in ("layers", "hidden_size", "heads", "ffn_size"):
            sizes = getattr(self, name)
            if sizes is None:
                continue
            object.__setattr__(self, name, tuple(sizes))
            if not sizes:
                raise MillisError(f"student.elastic.{name}=[]: expected sizes, or null")
            for size in sizes:
                check_size(f"student.elastic.{name}", size)
        if self.sampled < 0:
            raise MillisError(f"student.elastic.sampled={self.sampled}: expected 0 (none between) or more; 2 is usual")
        if not 0 <= self.from_largest <= 1:
            raise MillisError(
                f"student.elastic.from_largest={self.from_largest}: expected 0 (teacher and labels only) to 1 (the "
                "largest student only)"
            )
        if self.samples < 1:
            raise MillisError(
                f"student.elastic.samples={self.samples}: expected at least 1 training text; some 2,000 are usual"
            )

    def axes(self, teacher: TransformerSpec) -> Axes:
        """The sizes, for students of this teacher.

        Raises:
            MillisError: its architecture cannot be cut, its layers are not alike, a size larger than its own, or one
                size alone.
        """
        whole = anatomy.hidden_size(teacher)
        shape = teacher.known_shape
        alike = set(zip(shape.heads, shape.ffn, strict=True))
        if len(alike) > 1:
            raise MillisError(
                f"student=elastic needs a teacher whose layers are alike, and this one's have {min(shape.heads)} to "
                f"{max(shape.heads)} heads and {min(shape.ffn)} to {max(shape.ffn)} neurons: choose student=transformer"
            )
        [(heads, ffn)] = alike
        groups = anatomy.find(teacher.kind).groups(teacher.encoder)
        every = range(1, teacher.layers + 1) if self.layers is None else self.layers
        axes = Axes(
            layers=_axis("layers", [count(size, teacher.layers) for size in every], teacher.layers),
            hidden=_axis("hidden_size", [count(size, whole) for size in self.hidden_size or [None]], whole),
            heads=_axis("heads", [head_count(size, heads, groups) for size in self.heads or [None]], heads),
            ffn=_axis("ffn_size", [count(size, ffn) for size in self.ffn_size or [None]], ffn),
            head_size=shape.head_size,
        )
        if axes.largest == axes.smallest:
            raise MillisError("student.elastic has one size alone: expected several, or student=transformer")
        return axes

    def spec(self, teacher: TransformerSpec, setting: Setting) -> TransformerSpec:
        """The architecture of a student of this teacher.

        Raises:
            MillisError: as `axes`; hidden channels of an architecture that cannot lose any.
        """
        return selected_spec(teacher, setting.selection(teacher))

    def describe(self, teacher: TransformerSpec) -> str:
        """`1-6 layers, 6-12 heads, 384-1536 neurons`: what there is to choose from."""
        axes = self.axes(teacher)
        named = (
            (axes.layers, "layers"), (axes.hidden, "channels"), (axes.heads, "heads"), (axes.ffn, "neurons")
        )  # fmt: skip
        return ", ".join(f"{sizes[0]}-{sizes[-1]} {name}" for sizes, name in named if len(sizes) > 1)

    def stages(self, stages: Sequence[Stage], teacher: TransformerSpec, seed: int) -> list[Stage]:
        """Those of a distillation; the last, which trains answers, trains those of all sizes."""
        *before, last = stages
        method = Sandwich(
            last.distillation, self.axes(teacher), self.policy, self.sampled, self.from_largest, seed
        )  # fmt: skip
        return [*before, last._replace(distillation=method)]


def _axis(name: str, counts: Sequence[int], whole: int) -> tuple[int, ...]:
    """The sizes of an axis, ascending, each once.

    Raises:
        MillisError: one that the teacher does not have.
    """
    if max(counts) > whole:
        raise MillisError(f"student.elastic.{name} has {max(counts)}: the teacher has {whole}, expected at most that")
    return tuple(sorted(set(counts)))
