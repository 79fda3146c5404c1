"""What a recipe asks for, before anything is trained."""

from dataclasses import dataclass

from millis.models.spec import Spec
from millis.models.tokenizer import AnyTokenizer


@dataclass(frozen=True)
class Plan:
    """A student to come.

    Args:
        spec: The architecture, all that latency depends on beside the backend.
        tokenizer: The teacher's, or one for a smaller vocabulary.
        name: Short human name of the architecture.
        trains: False where the weights are the teacher's own, or made from them without training.
        settled: False where training decides what is left of the architecture.
        fingerprint: Of everything that determines the weights.
    """

    spec: Spec
    tokenizer: AnyTokenizer
    name: str
    trains: bool
    settled: bool
    fingerprint: str

    @classmethod
    def probe(cls, spec: Spec, tokenizer: AnyTokenizer) -> "Plan":
        """A model that is only timed."""
        return cls(spec, tokenizer, "probe", trains=False, settled=True, fingerprint="")
