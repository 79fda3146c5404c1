"""What a factorization is: a change of the architecture, made once, before training, from the weights that are there.

Adding one is adding a class with the members of `Factorization` in a file here, and its YAML in `conf/factorization/`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from tokenizers import Tokenizer

from millis.data.batches import Batch
from millis.models.spec import Spec
from millis.traits import Traits
from millis.types import Text

Speedup: TypeAlias = Callable[[Spec], float]
"""A model of a spec, measured on the backend: latency of the model before factorization / its own."""

Batches: TypeAlias = Callable[[Tokenizer], Iterable[Batch]]
"""Labelled training batches under a tokenizer; called only by what needs gradients."""


class Factorization(Protocol):
    """Makes a student smaller at initialisation.

    `spec` and `apply` agree: what `apply` returns has the spec and the tokenizer that `spec` foretold, and
    `models.build(model.spec)` with the model's state dict is the model again.
    """

    @property
    def traits(self) -> Traits:
        """`RESHAPES`; and `MIXES` where rows and columns of matrices come out mixed, so that no head or neuron can be
        told apart."""
        ...

    @property
    def timed(self) -> bool:
        """Whether a measurement decides something, so that `settled` comes before all else."""
        ...

    def settled(self, spec: Spec, speedup: Speedup) -> "Factorization":
        """The factorization with what measurements decide decided; itself where there is nothing.

        Args:
            spec: Of the student.
            speedup: Measures.

        Raises:
            MillisError: what was asked for is out of reach.
        """
        ...

    def spec(self, spec: Spec, tokenizer: Tokenizer, texts: Sequence[Text]) -> tuple[Spec | None, Tokenizer]:
        """The architecture after `apply`, None where the weights decide it, and the tokenizer, changed or not.

        Args:
            spec: Of the student.
            tokenizer: Of the teacher.
            texts: Of the training split.
        """
        ...

    def apply(self, model: Any, tokenizer: Tokenizer, texts: Sequence[Text], batches: Batches) -> tuple[Any, Tokenizer]:
        """The smaller model, its weights made from those of `model`, and its tokenizer; `model` is left as it was.

        Args:
            model: The initialised student.
            tokenizer: Of the teacher.
            texts: Of the training split.
            batches: Labelled training rows.
        """
        ...

    def describe(self) -> str:
        """A few words for the recipe's name, such as `fwsvd 0.5`."""
        ...


def none() -> None:
    """Nothing factorized: what `conf/factorization/none.yaml` asks for."""
