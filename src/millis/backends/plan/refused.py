"""What has no plan, as a user reads it."""

from millis.errors import MillisError

INSTEAD = "Use backend=onnxruntime, or backend=eager"


def refusal(what: str) -> MillisError:
    """A model that cannot be run."""
    return MillisError(
        f"backend=native cannot run {what}: expected a transformer as BERT's, Llama's or GPT-2's, static, convolution "
        f"or bilstm. {INSTEAD}"
    )
